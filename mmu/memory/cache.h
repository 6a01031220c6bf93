#pragma once

// One cache: tags with their line's state, replacement, the misses under way, the port, the prefetcher. It knows nothing
// of other caches (mmu/memory/cluster.h, uncore.h). Data is not held: the simulated memory always has the newest.

#include <bit>
#include <memory>
#include <vector>

#include "mmu/memory/calendar.h"
#include "mmu/memory/hierarchy_parameters.h"
#include "mmu/memory/line_filter.h"
#include "mmu/memory/mshr.h"
#include "mmu/memory/packed_bytes.h"
#include "mmu/memory/prefetcher.h"
#include "mmu/memory/replacement.h"
#include "mmu/memory/request_kind.h"

namespace bunshin {

enum class Inclusion : u8 { Inclusive, Exclusive, NonInclusive };

/// Counted for a cache as a whole; what concerns a requester is in CoreCounters.
struct CacheCounters {
  u64 evictions = 0;           ///< of valid lines, to make room
  u64 write_backs = 0;         ///< … that were modified
  u64 back_invalidations = 0;  ///< lines lost because an inclusive cache below lost them
  u64 mshr_full_cycles = 0;    ///< waited for a register
  u64 port_wait_cycles = 0;
  u64 prefetches = 0;          ///< requested from below
  u64 prefetches_dropped = 0;  ///< wished for when no register was free
  u64 prefetches_useful = 0;   ///< used after they arrived
  u64 prefetches_late = 0;     ///< used, but still on their way
  u64 prefetches_useless = 0;  ///< evicted or invalidated without a use
};

class Cache {
 public:
  static constexpr u64 npos = ~u64{0};
  /// Flags beside the state in a tag. A line with any of them never hits on the short path.
  static constexpr u64 pending = 4;     ///< may still be on its way
  static constexpr u64 prefetched = 8;  ///< not used since a prefetcher brought it
  static constexpr u64 untouched = 16;  ///< the replacement policy wants to hear of its first hit
  static constexpr u64 state_bits = 3;
  static constexpr u64 flag_bits = pending | prefetched | untouched;

  /// A line that had to go; `state` Invalid: there was none.
  struct Victim {
    u64 line = 0;
    LineState state = LineState::Invalid;
  };

  Cache(const L1Parameters& parameters, u64 seed);
  Cache(const LowerCacheParameters& parameters, u64 seed);
  Cache(Cache&&) = default;

  u64 latency() const { return latency_; }
  Inclusion inclusion() const { return inclusion_; }
  u64 line_cycles() const { return line_cycles_; }

  /// Whether the line is in its set's latest used way and may be read (written) without further ado: a hit on which
  /// nothing changes.
  bool plain_read(u64 address) const {
    const u64 line = line_of(address);
    return (recent_tag(line) ^ line) - 1 < state_bits;
  }
  bool plain_write(u64 address) const {
    const u64 line = line_of(address);
    return (recent_tag(line) ^ line) == static_cast<u64>(LineState::Modified);
  }

  /// The same in any way, which becomes the latest used one.
  bool hit_plainly(u64 address, bool write) {
    const u64 line = line_of(address);
    const u64 index = find(line);
    if (index == npos) return false;
    const u64 state_and_flags = tags_[index] ^ line;
    if (write ? state_and_flags != static_cast<u64>(LineState::Modified) : state_and_flags > state_bits) return false;
    touch(line, index);
    return true;
  }

  /// Index of a line that is here, or npos.
  u64 find(u64 line) const {
    const u64 set = set_of(line);
    const u64 sought = hint_of(line);
    for (u64 word = 0; word < hint_words_; ++word) {
      for (u64 ways = packed::matches(hints_[set * hint_words_ + word], sought); ways != 0; ways &= ways - 1) {
        const u64 index = set * ways_ + word * packed::bytes_a_word + static_cast<unsigned>(std::countr_zero(ways)) / 8;
        if ((tags_[index] ^ line) < line_bytes) return index;
      }
    }
    return npos;
  }
  bool holds(u64 line) const { return find(line) != npos; }
  LineState state(u64 index) const { return static_cast<LineState>(tags_[index] & state_bits); }
  void set_state(u64 index, LineState state) {
    tags_[index] = (tags_[index] & ~state_bits) | static_cast<u64>(state);
    set_changed(tags_[index]);
  }
  u64 flags(u64 index) const { return tags_[index] & flag_bits; }
  void clear_flags(u64 index, u64 flags) { tags_[index] &= ~(flags & flag_bits); }
  void touch(u64 line, u64 index) {
    const u64 set = set_of(line);
    replacement_.touch(set, static_cast<unsigned>(index - set * ways_));
    set_changed(line);
  }
  /// Lines that are hit without this cache being asked; told whenever that must end. Null: none. Must outlive the cache's use.
  void set_line_filter(LineFilter* filter) { hit_elsewhere_ = filter; }
  const LineFilter* line_filter() const { return hit_elsewhere_; }

  /// Puts a line, not here yet, into its set. A victim counts as evicted.
  Victim fill(u64 line, LineState state, u64 flags);
  /// Takes a line away; returns the state it had.
  LineState invalidate(u64 line);
  /// Makes an owned line shared; returns the state it had.
  LineState share(u64 line);
  /// When a line that is here can be used: `cycle`, or later if it is still on its way.
  u64 arrival(u64 line, u64 index, u64 cycle) const;

  /// Books the port for a line from `cycle` on; returns when it is free.
  u64 reserve_port(u64 cycle) {
    const u64 begin = port_.reserve(cycle, line_cycles_);
    counters_.port_wait_cycles += begin - cycle;
    return begin;
  }
  /// A register for a miss at `cycle`; returns the cycle at which there is one.
  u64 acquire_mshr(u64 cycle, unsigned& slot) {
    const u64 begin = mshrs_.acquire(cycle, slot);
    counters_.mshr_full_cycles += begin - cycle;
    return begin;
  }

  MshrFile& mshrs() { return mshrs_; }
  const MshrFile& mshrs() const { return mshrs_; }
  Prefetcher& prefetcher() { return prefetcher_; }
  CacheCounters& counters() { return counters_; }
  const CacheCounters& counters() const { return counters_; }

  u64 lines() const { return lines_; }
  /// The line at an index below lines(), its state Invalid if there is none.
  Victim line_at(u64 index) const;
  void invalidate_at(u64 index) { drop(index); }

  /// As new; counters stay.
  void reset();
  void hash(StateHash& hash) const;

 private:
  struct FreeTags {
    void operator()(u64* tags) const { ::operator delete[](tags, std::align_val_t{line_bytes}); }
  };
  static constexpr u64 no_line = ~u64{0};  ///< differs from every 52-bit address in more than the low bits

  template <class Parameters>
  Cache(const Parameters& parameters, u64 seed, Inclusion inclusion, u64 line_cycles);

  u64 hint_of(u64 line) const { return line >> hint_shift_ & 0xff; }
  u64 set_of(u64 line) const { return (line >> line_shift) & set_mask_; }
  void set_changed(u64 line) {
    if (hit_elsewhere_ != nullptr) [[unlikely]]
      hit_elsewhere_->forget(line, set_mask_);
  }
  u64 recent_tag(u64 line) const {
    const u64 set = set_of(line);
    return tags_[set * ways_ + recent_[set]];
  }
  /// The line at `index`, which there is, goes.
  void drop(u64 index) {
    const u64 tag = tags_[index];
    if ((tag & prefetched) != 0) ++counters_.prefetches_useless;
    --valid_[set_of(tag)];
    set_changed(tag);
    tags_[index] = no_line;
  }

  // What an access to a recent way reads comes first, within one cache line of the host.
  u64 set_mask_;
  u64 ways_;
  u64 latency_;
  std::unique_ptr<u64[], FreeTags> tags_;  ///< line | flags | state, set by set; behind the last set, no lines
  const u8* recent_;
  LineFilter* hit_elsewhere_ = nullptr;
  unsigned hint_shift_;
  u64 hint_words_;          ///< a set
  std::vector<u64> hints_;  ///< the low byte of each way's tag: which ways are worth a look. Kept when a line goes
  std::vector<u8> valid_;   ///< … by set
  u64 lines_;
  u64 line_cycles_;
  u64 fill_flags_;
  Inclusion inclusion_;
  Replacement replacement_;
  MshrFile mshrs_;
  Calendar<32> port_;
  Prefetcher prefetcher_;
  CacheCounters counters_;
};

}  // namespace bunshin
