#pragma once

// A guest with page tables of its own on a second stage, on a bare PhysicalMemory.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "mmu/second_stage.h"
#include "mmu/walker.h"
#include "table_builder.h"

namespace bunshin {

/// Second-stage tables, made as pages are mapped, from host-physical 2 MiB on.
class StageTables {
 public:
  StageTables(PhysicalMemory& memory, PagingMode mode) : memory_(memory), format_(paging_format(mode)) {
    root_ = next_;
    next_ += page_size;
  }

  u64 root() const { return root_; }
  u64 permissive() const { return format_.is_ept ? ept::R | ept::W | ept::X : TablePath::permissive; }
  /// Maps the page of the level's size around `guest` to `host`'s; `bits` are the leaf's.
  void map(u64 guest, u64 host, unsigned leaf_level, u64 bits) {
    u64 table = root_;
    for (unsigned level = format_.levels; level > leaf_level; --level) {
      const u64 where = entry_address(table, guest, level);
      const u64 rights = format_.root_in_registers && level == format_.levels ? u64{pte::P} : permissive();
      if (get(where) == 0) {
        set(where, next_ | rights);
        next_ += page_size;
      }
      table = get(where) & 0x000f'ffff'ffff'f000;
    }
    const u64 mask = ~((u64{1} << shift(leaf_level)) - 1);
    set(entry_address(table, guest, leaf_level), (host & mask) | bits | (leaf_level > 1 ? pte::PS : 0));
  }
  void map(u64 guest, u64 host, unsigned leaf_level) { map(guest, host, leaf_level, permissive()); }
  /// Of the entry of `level` on the way to `guest`.
  u64 entry_on_path(u64 guest, unsigned level) const {
    u64 table = root_;
    for (unsigned l = format_.levels; l > level; --l)
      table = get(entry_address(table, guest, l)) & 0x000f'ffff'ffff'f000;
    return entry_address(table, guest, level);
  }
  u64 get(u64 where) const {
    u64 entry = 0;
    std::memcpy(&entry, memory_.page(HostPhysical(where)).host + (where & 0xfff), format_.entry_bytes);
    return entry;
  }
  void set(u64 where, u64 entry) {
    std::memcpy(memory_.page(HostPhysical(where)).host + (where & 0xfff), &entry, format_.entry_bytes);
  }
  unsigned shift(unsigned level) const {
    unsigned shift = page_shift;
    for (unsigned l = 1; l < level; ++l) shift += format_.index_bits[l - 1];
    return shift;
  }

 private:
  u64 entry_address(u64 table, u64 guest, unsigned level) const {
    const u64 mask = (u64{1} << format_.index_bits[level - 1]) - 1;
    return table + (guest >> shift(level) & mask) * format_.entry_bytes;
  }

  PhysicalMemory& memory_;
  const PagingFormat& format_;
  u64 root_ = 0;
  u64 next_ = 2 << 20;
};

class RecordingObserver final : public WalkObserver {
 public:
  void reference(const WalkReference& r) override { seen.push_back(r); }
  u64 tables(unsigned dimension) const {
    u64 count = 0;
    for (const WalkReference& r : seen) count += !r.update && r.dimension == dimension && !r.cached;
    return count;
  }
  u64 tables() const { return tables(1) + tables(2); }
  std::vector<WalkReference> seen;
};

/// A guest whose page at `linear()` is mapped by a leaf of `guest_leaf`, on a stage with leaves of `stage_leaf`. Where the
/// stage has 4 KiB pages, host-physical addresses lie 1 MiB above guest-physical ones.
class TwoDimensions {
 public:
  static constexpr u64 data = u64{1} << 30;  ///< guest-physical

  TwoDimensions(PagingMode guest, unsigned guest_leaf, PagingMode stage_mode, unsigned stage_leaf)
      : path(memory, guest), stage_tables(memory, stage_mode), walker(memory), stage(memory) {
    const u64 moved = stage_leaf == 1 ? u64{1} << 20 : 0;
    path.set(guest_leaf, data | TablePath::permissive | pte::A | pte::D | (guest_leaf > 1 ? pte::PS : 0));
    for (unsigned level = 1; level <= path.levels(); ++level) {
      if (level > guest_leaf) path.set(level, path.get(level) | (mode_sets_accessed(guest, level) ? pte::A : 0));
      stage_tables.map(TablePath::table(level), TablePath::table(level) + moved, stage_leaf);
    }
    copy_up(moved);
    // The data's page need not be RAM.
    stage_tables.map(data + offset_in(guest_leaf), stage_leaf == 1 ? u64{5} << 20 : data, stage_leaf);
    PagingContext context = path.context();
    walker.set_context(context);
    stage.set_context({.mode = stage_mode, .root = stage_tables.root()});
    walker.set_second_stage(&stage);
    walker.set_observer(&observer);
    stage.set_observer(&observer);
    guest_leaf_ = guest_leaf;
  }
  u64 linear() const { return path.linear() + (guest_leaf_ > 1 ? 0 : 0x123); }
  WalkResult walk(AccessKind kind = AccessKind::Read) { return walker.walk(Linear(linear()), {kind}); }

  PhysicalMemory memory{16 << 20};
  TablePath path;
  StageTables stage_tables;
  Walker walker;
  SecondStageWalker stage;
  RecordingObserver observer;

 private:
  static bool mode_sets_accessed(PagingMode mode, unsigned level) { return mode != PagingMode::Pae || level < 3; }
  u64 offset_in(unsigned leaf) const { return path.linear() & ((u64{1} << path.shift(leaf)) - 1); }
  void copy_up(u64 moved) {
    if (moved == 0) return;
    for (unsigned level = 1; level <= path.levels(); ++level) {
      const u64 from = TablePath::table(level);
      std::memcpy(memory.page(HostPhysical(from + moved)).host, memory.page(HostPhysical(from)).host, page_size);
    }
  }
  unsigned guest_leaf_ = 1;
};

}  // namespace bunshin
