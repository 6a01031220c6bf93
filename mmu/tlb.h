#pragma once

// The architectural TLB: what guest software can see of it is that entries go stale. One set-associative array for each
// size of page (4 KiB; 2 and 4 MiB; 1 GiB), tagged with PCID and guest, replaced by a policy that sees the look-ups that reach
// it (accesses that hit the fast cache do not age anything).

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/parameters.h"
#include "base/state_hash.h"
#include "base/stats.h"
#include "mmu/access.h"
#include "mmu/tlb_replacement.h"

namespace bunshin {

struct TlbArrayParameters {
  u64 entries = 0;  ///< 0: translations of this size are not cached at all
  u64 ways = 1;

  void describe(ParameterVisitor& v);
  /// What is wrong with the geometry, if something is: the entries must divide into a power of two of sets.
  std::optional<std::string> problem() const;
};

/// Default: the second-level TLB of Skylake (Intel Optimization Manual, Skylake's cache and TLB parameters), with the
/// entries that 4 KiB and 2 MiB pages share counted for either.
struct TlbParameters {
  TlbArrayParameters small{1536, 12};  ///< 4 KiB
  TlbArrayParameters large{1536, 12};  ///< 2 MiB, 4 MiB
  TlbArrayParameters giant{16, 4};     ///< 1 GiB
  std::string replacement = "lru";
  u64 seed = 1;

  void describe(ParameterVisitor& v);
};

/// What a translation costs, beside what it finds.
struct TlbHierarchyParameters : TlbParameters {
  /// First levels for data and instructions. Default: Skylake's (Intel Optimization Manual, as above).
  TlbParameters l1d{{64, 4}, {32, 4}, {4, 4}};
  TlbParameters l1i{{128, 8}, {8, 8}, {0, 1}};
  u64 latency = 7;  ///< cycles of the second level, beyond the first's; an estimate (7-cpu.com: 9 with the first)
  u64 walkers = 2;  ///< page walks in flight at once
  u64 update_cycles = 0;

  void describe(ParameterVisitor& v);
};

struct TlbEntry {
  u64 linear = 0;    ///< of the page's first byte
  u64 physical = 0;  ///< host-physical, of the page's first byte
  u64 stamp = 0;     ///< when it was inserted; 0: invalid
  u64 last_use = 0;
  PageRights rights;
  u16 pcid = 0;
  u32 tag = 0;                          ///< of the guest
  AccessKinds stage_kinds = all_kinds;  ///< what the second stage permits
  u8 shift = page_shift;                ///< log2 of the page's size in bytes
  u8 pat_index = 0;                     ///< PAT:PCD:PWT
  bool global = false;
  bool dirty = false;    ///< D is known to be set: writes need no walk
  bool fetched = false;  ///< instructions were fetched through it

  HostPhysical translate(Linear address) const {
    return HostPhysical(physical | (address.value & ((u64{1} << shift) - 1)));
  }
};

class Tlb {
 public:
  /// Throws std::runtime_error if the entries do not divide into a power of two of sets, or are absurdly many.
  explicit Tlb(const TlbParameters& parameters);

  /// The PCID of look-ups and insertions (0 while CR4.PCIDE is clear).
  void set_pcid(u16 pcid);
  u16 pcid() const { return pcid_; }
  /// The guest of look-ups, insertions and flushes (VPID or ASID, and the second stage's); 0: none.
  void set_tag(u32 tag) {
    tag_ = tag;
    tagged_ = tagged_ || tag != 0;
  }
  /// Large pages are of 2^shift bytes: 22 in 32-bit paging, else 21. A change empties their array.
  void set_large_shift(unsigned shift);
  unsigned large_shift() const { return arrays_[1].shift; }

  /// The entry that translates `address` for the current PCID, or nullptr. Counts a hit or a miss.
  TlbEntry* lookup(Linear address);
  /// Stores the entry, current PCID added, in place of the least recently used one of its set. `victim` receives a
  /// valid entry that had to go (stamp 0: none did). nullptr if this size is not cached.
  const TlbEntry* insert(TlbEntry entry, TlbEntry& victim);
  void remove(TlbEntry& entry) { entry.stamp = 0; }

  /// Flushes concern the current guest. Before there was one they cost nothing: entries older than the flush that concerns
  /// them are invalid.
  void flush_all();
  void flush_non_global();
  void flush_pcid(u16 pcid);
  /// Of any guest (Mmu::flush_guest_linear and what follows it): everything, all but globals, one page of all PCIDs.
  void flush_tag(u32 tag);
  void flush_tag_non_global(u32 tag);
  void flush_tag_page(u32 tag, Linear address);
  /// Of all of them.
  void flush_everything();
  struct Flushed {
    unsigned shift = 0;  ///< of the largest page, 0 if there was none
    bool fetched = false;
  };
  /// Entries of `pcid`, and global ones if asked to, that translate `address`.
  Flushed flush_page(Linear address, u16 pcid, bool globals_too);

  const u64& hits() const { return hits_; }
  const u64& misses() const { return misses_; }
  /// By page size; a miss is of the size that was then inserted.
  void register_statistics(StatRegistry& registry, const std::string& prefix) const;
  /// Adds every valid entry and where it stands.
  void hash(StateHash& hash) const;

 private:
  struct Array {
    unsigned shift = page_shift;
    u64 ways = 1;
    u64 set_mask = 0;
    bool used = false;  ///< may hold a valid entry
    u64 hits = 0, insertions = 0;
    std::vector<u64> pages;  ///< linear >> shift of each entry, apart so that a set's tags share cache lines
    std::vector<TlbEntry> entries;

    u64 set_begin(u64 linear) const { return ((linear >> shift) & set_mask) * ways; }
  };

  static Array make_array(const TlbArrayParameters& parameters, unsigned shift, const char* name);
  Array& array_for(unsigned shift) { return arrays_[shift == page_shift ? 0 : shift >= 30 ? 2 : 1]; }
  bool valid(const TlbEntry& e) const {
    return e.stamp > (e.global ? global_floor_ : std::max(non_global_floor_, pcid_floor_[e.pcid]));
  }
  bool usable(const TlbEntry& e) const {
    if (e.tag != tag_) return false;
    return e.global ? e.stamp > global_floor_ : e.pcid == pcid_ && e.stamp > current_floor_;
  }
  u64 choose_victim(Array& array, u64 begin);
  template <class Concerns>
  void remove_if(Concerns concerns);
  void derive_floor() { current_floor_ = std::max(non_global_floor_, pcid_floor_[pcid_]); }

  static constexpr unsigned pcids = 4096;

  std::array<Array, 3> arrays_;
  /// Flushes so far, plus one: the stamp of what is inserted now.
  u64 now_ = 1;
  TlbReplacement replacement_;
  u16 pcid_ = 0;
  u32 tag_ = 0;
  bool tagged_ = false;       ///< there may be entries of a guest
  u64 global_floor_ = 0;      ///< global entries with a stamp up to this are gone
  u64 non_global_floor_ = 0;  ///< … non-global ones of any PCID
  u64 current_floor_ = 0;     ///< … of the current PCID
  std::vector<u64> pcid_floor_ = std::vector<u64>(pcids, 0);
  u64 hits_ = 0;
  u64 misses_ = 0;
};

}  // namespace bunshin
