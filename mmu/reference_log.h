#pragma once

// What an observed core did to memory, in program order: the raw material of timing models and statistics.

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "base/address.h"

namespace bunshin {

/// Where a translation was found.
enum class TlbOutcome : u8 {
  FirstLevel,
  SecondLevel,  ///< in the architectural TLB
  Walked,       ///< the references before it in the log are the walk's
};

struct MemoryReference {
  enum class Kind : u8 {
    Load,
    Store,
    LineFlush,      ///< CLFLUSH, CLFLUSHOPT
    LineWriteBack,  ///< CLWB
    // Those of a translation belong to the next reference that is not of one.
    TableRead,    ///< a page walk reads a paging-structure entry
    TableUpdate,  ///< … sets A or D in it
    HandlerLoad,  ///< the same two by ordinary instructions of a TLB miss handler
    HandlerStore,
    Delay,  ///< fixed cycles of the translation, as many as `bytes` says, and no reference
  };
  bool is_translation() const { return kind >= Kind::TableRead; }
  u64 linear = 0;  ///< of a walk: the address being translated
  HostPhysical physical;
  u16 bytes = 0;  ///< within one page
  Kind kind = Kind::Load;
  bool fast = false;                        ///< served by the fast translation cache
  u8 dimension = 0;                         ///< of table references: 1 the guest's own tables, 2 the second stage's
  u8 level = 0;                             ///< … 1 holds the entries that map 4 KiB pages
  TlbOutcome tlb = TlbOutcome::FirstLevel;  ///< of loads and stores, if first-level TLBs are modeled
  u32 hits_before = 0;                      ///< line-filter hits since the log was cleared
};

/// An access that the line filter served.
struct LineHit {
  u64 packed = 0;  ///< linear address, its top bit dropped, and below it whether it was a store
  bool store() const { return (packed & 1) != 0; }
  /// Of the 8-byte word.
  u64 word() const { return packed >> 4; }
};

/// Fixed room: what does not fit (a REP instruction's thousands of elements) is dropped.
class ReferenceLog {
 public:
  static constexpr std::size_t capacity = 8192;
  static constexpr std::size_t hit_capacity = 1024;

  /// Before the first add().
  void reserve() { references_.resize(capacity); }
  void add(const MemoryReference& reference) {
    if (size_ == references_.size()) [[unlikely]]
      return;
    references_[size_] = reference;
    references_[size_++].hits_before = hit_count_;
  }
  /// Whether hits in the line filter (mmu/memory/line_filter.h) are noted one by one. They are counted in any case.
  void note_hits(bool on) { notes_hits_ = on; }
  void add_hit(u64 linear, bool store) {
    if (notes_hits_ && hit_count_ < hit_capacity) hits_[hit_count_] = {linear << 1 | u64{store}};
    ++hit_count_;
  }
  /// Accesses that the line filter served, in program order, if they are noted.
  std::span<const LineHit> hits() const {
    return {hits_.data(), notes_hits_ ? std::min<std::size_t>(hit_count_, hit_capacity) : 0};
  }
  std::span<const MemoryReference> references() const { return {references_.data(), size_}; }
  std::size_t size() const { return size_; }
  u32 hit_count() const { return hit_count_; }
  void clear() {
    size_ = 0;
    hit_count_ = 0;
  }

 private:
  std::vector<MemoryReference> references_;
  std::size_t size_ = 0;
  bool notes_hits_ = false;
  u32 hit_count_ = 0;
  std::array<LineHit, hit_capacity> hits_{};
};

}  // namespace bunshin
