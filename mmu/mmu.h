#pragma once

// One core's memory-management unit: linear address to host-physical address, with the architectural TLB and the fast
// translation cache in front of it.

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/address.h"
#include "base/fault.h"
#include "base/state_hash.h"
#include "base/stats.h"
#include "mmu/fast_cache.h"
#include "mmu/first_level_tlb.h"
#include "mmu/memory/line_filter.h"
#include "mmu/memory/physical_memory.h"
#include "mmu/reference_log.h"
#include "mmu/second_stage.h"
#include "mmu/tlb.h"
#include "mmu/walk_listener.h"
#include "mmu/walker.h"

namespace bunshin {

class Cache;
class SchemeParameters;
class TranslationScheme;

class Mmu final : private WalkObserver {
 public:
  /// Throws std::runtime_error if the TLB's geometry is impossible.
  Mmu(const TlbParameters& parameters, PhysicalMemory& memory);
  ~Mmu();

  /// The registers that translation depends on have changed. Never invalidates the TLB by itself (the caller does what
  /// the manual says for the instruction at hand), but re-derives what may be hit fast.
  void set_context(const PagingContext& context);
  /// The same when only CPL, EFLAGS.AC or what follows from them changed: constant time, nothing is flushed.
  void set_privilege(bool user, bool access_override, bool watched);
  const PagingContext& context() const { return context_; }

  /// Translates for an access that lies in one page. On success `out` is set and the TLB (and, for the access's kind,
  /// the fast cache) holds the translation; otherwise the #PF to deliver is returned.
  std::optional<Fault> translate(Linear address, const Access& access, HostPhysical& out);
  /// Translates without permission checks, A/D updates or TLB fills, as a debugger does. Empty if not mapped.
  std::optional<HostPhysical> peek(Linear address) const;

  /// The fast cache for the current privilege (core/cpu.h reads it inline; see mmu/fast_cache.h). While references are
  /// logged it is an empty one, so that every access comes the slow way.
  FastCache& fast() { return *fast_; }
  /// The same, but filled even then.
  FastCache& held() { return world_->caches[held_cache()]; }
  /// Lines of the L1D that a timed core's handlers access without being logged (but see ReferenceLog::note_hits).
  LineFilter& lines() { return lines_; }
  /// The L1D, which tells lines() of its changes from now on. Null, as at first: lines() stays empty. Must outlive its use.
  void set_data_cache(bunshin::Cache* cache);
  /// An access to `linear`, which lies at `physical`, was just made: lines() is to serve the next one, if it may.
  void hold_line(u64 linear, HostPhysical physical);
  /// Makes an access that lines() does not serve, but held() does at `host`, if it is a hit in the L1D that waits for nothing;
  /// its page is in the first-level TLB. False: it is not, and nothing has changed.
  bool hit_line(u64 linear, const u8* host, unsigned size, bool store);

  /// Walks from now on write their references to `log`, and data accesses are to be written there by who makes them.
  /// Null: off. Must outlive its use.
  void set_log(ReferenceLog* log);
  /// Null: none. Must outlive its use.
  void set_walk_listener(WalkListener* listener);
  /// First-level TLBs and paging-structure caches, which cost or save time and are there only while references are logged.
  struct TimedCaches {
    FirstLevelTlb data, instructions;
    StructureCache structures;
    u64 update_cycles = 0;  ///< of setting A or D, beside the store
    u64 entry_cycles = 0;   ///< of a paging-structure entry found in a cache of kind `entry`
    /// Of the second stage. A cache of kind `entry` serves both dimensions, and is `structures`.
    StructureCache stage_structures{{}};
    NestedTlb nested_tlb{{}};

    /// Names begin with `prefix`.
    void register_statistics(StatRegistry& registry, const std::string& prefix) const;
    void hash(StateHash& hash) const;
  };
  /// Begins (or, null, ends) to use them, empty. Must outlive its use.
  void set_timed_caches(TimedCaches* caches);
  /// Where the translation of an access that the fast cache holds is found, and of the last one that it did not hold.
  TlbOutcome held_outcome(u64 linear) {
    return timed_ == nullptr ? TlbOutcome::FirstLevel : first_level(timed_->data, linear, held().shift_of(linear));
  }
  TlbOutcome last_outcome() const { return last_outcome_; }
  /// The same for the fetch of a block, be it that finding the block has translated or not.
  TlbOutcome fetch_outcome(u64 linear) {
    if (linear >> page_shift == fetched_page_ || timed_ == nullptr) [[likely]]
      return TlbOutcome::FirstLevel;
    fetched_page_ = linear >> page_shift;
    if (std::exchange(fetch_translated_, false)) return fetch_outcome_;
    return first_level(timed_->instructions, linear, fetch_shift(linear));
  }

  /// Changes whenever a translation that instructions were fetched through may no longer hold, be it by a flush, an
  /// eviction or set_context(). What was found by fetching at an address stays true while this does, at the same CPL.
  u64 epoch() const { return epoch_; }

  /// MOV CR3, MOV CR0/CR4 in PAE paging: see Walker::load_pdptes. set_context() makes them effective.
  bool load_pdptes(u64 cr3, std::array<u64, 4>& pdptes) const {
    return walker_.load_pdptes(cr3, context_.physical_bits, pdptes);
  }

  /// Null: not virtualized. Translations of a guest tag are its second stage's: whoever gives the tag another one flushes it. A
  /// set_context() must follow, in which the tag may change with it. Must outlive its use.
  void set_second_stage(SecondStageWalker* stage);
  /// The last fault was the second stage's: a VM exit, as SecondStageWalker::fault() says, not a #PF.
  bool second_stage_faulted() const { return second_stage_faulted_; }

  /// No fast cache holds accesses to this page: whoever makes them is to look at them (VMX's APIC-access page). A page that
  /// does not exist: none. A set_context() must follow, as for the second stage.
  void set_trapped_page(HostPhysical page) { trapped_page_ = page; }
  HostPhysical trapped_page() const { return trapped_page_; }
  static constexpr HostPhysical no_trapped_page{~u64{0}};

  /// What happens on a TLB miss from now on; before the first one.
  void set_scheme(const SchemeParameters& parameters, unsigned core);
  /// Null while the hardware walker is all there is.
  const TranslationScheme* scheme() const { return scheme_.get(); }
  TranslationScheme* scheme() { return scheme_.get(); }

  /// Invalidations (SDM vol. 3, 4.10.4.1).
  void flush_all();                                   ///< all PCIDs, global entries included
  void flush_non_global();                            ///< all PCIDs, global entries stay
  void flush_pcid(u16 pcid);                          ///< MOV CR3, INVPCID type 1: one PCID's non-global entries
  void flush_page(Linear address);                    ///< INVLPG: current PCID and globals, paging-structure caches
  void flush_page_of_pcid(Linear address, u16 pcid);  ///< INVPCID type 0: globals stay
  /// Those of a hypervisor (SDM vol. 3, 29.4.3; APM vol. 2, 15.16). What depends on linear addresses, the second stage's part in
  /// it included, has the guest's tag, what is guest-physical the second stage's own (SecondStageContext::tag).
  void flush_guest_linear(u32 tag);                ///< INVVPID type 1, INVEPT for the tags concerned
  void flush_guest_non_global(u32 tag);            ///< INVVPID type 3, TLB_CONTROL 7
  void flush_guest_page(u32 tag, Linear address);  ///< INVVPID type 0, INVLPGA
  void flush_second_stage(u64 tag);                ///< INVEPT type 1
  void flush_second_stages();                      ///< INVEPT type 2
  void flush_guest(u32 tag);                       ///< TLB_CONTROL 3: all of an ASID, in both dimensions
  void flush_all_guests();                         ///< TLB_CONTROL 1: everything, the host's included
  /// How often guests have invalidated something themselves.
  u64 guest_flushes() const { return guest_flushes_; }
  /// The page holds (or no longer holds) decoded instructions: fast writes to it must (may) end.
  void code_page_changed(HostPhysical page);

  /// Names begin with `prefix`. Accesses that hit the fast cache are TLB hits too, but are not counted.
  void register_stats(StatRegistry& registry, const std::string& prefix) const;
  void hash(StateHash& hash) const;

 private:
  /// Which of a world's caches serves whom. `none` is never filled.
  enum Cache : u8 { user_cache, supervisor_cache, supervisor_ac_cache, none_cache };
  static constexpr u64 no_page = ~u64{0};

  Cache cache_for(bool user_mode, bool relief) const {
    return user_mode ? user_cache : context_.smap && relief ? supervisor_ac_cache : supervisor_cache;
  }
  Cache held_cache() const {
    return context_.watched ? none_cache : cache_for(context_.user, context_.access_override);
  }
  TlbOutcome first_level(FirstLevelTlb& first, u64 linear, unsigned shift);
  unsigned fetch_shift(u64 linear);
  void note_translation(Linear address, const Access& access, unsigned shift, TlbOutcome outcome);
  void flush_first_level(Linear address, u32 tag);
  void flush_timed();
  void flush_timed(u32 tag);
  void flush_timed_pcid(u16 pcid);
  void flush_timed_page(Linear address, u16 pcid);
  /// The fast caches, if they hold translations of this guest.
  void flush_fast_of(u32 tag);
  u64 space_of(u16 pcid) const { return u64{context_.guest_tag} << 12 | pcid; }
  void select_fast();
  void observe_walks();
  // WalkObserver
  void reference(const WalkReference& reference) override;
  void delay(u64 cycles) override;
  void use_timed_caches();
  /// What an entry permits without a walk: a write needs D set.
  AccessKinds ready_kinds(const TlbEntry& entry, const Access& access) const;
  TlbEntry entry_of(Linear address, const Translation& translation) const;
  void flush_fast();
  /// The TLB no longer holds `entry`, so nothing else may.
  void forget(const TlbEntry& entry);
  void flush_fast_page(Linear address, unsigned shift);
  std::optional<Fault> walk(Linear address, const Access& access, HostPhysical& out);
  void fill_fast(Linear address, const Access& access, HostPhysical physical, AccessKinds kinds, unsigned shift);

  PagingContext context_;
  PhysicalMemory& memory_;
  Tlb tlb_;
  Walker walker_;
  std::unique_ptr<TranslationScheme> scheme_;
  /// The fast caches of one side of the virtualization boundary, and what they are right for: entering and leaving a guest
  /// changes sides, and neither forgets.
  struct World {
    /// For user accesses, for supervisor accesses, for supervisor accesses with EFLAGS.AC under SMAP, and one that stays
    /// empty for when nothing may be hit fast.
    std::array<FastCache, 4> caches;
    PagingContext context;  ///< when it was left
    const SecondStageWalker* stage = nullptr;
    HostPhysical trapped_page = no_trapped_page;
    u64 epoch = 0;  ///< when it was left
  };
  /// Where translations of a guest tag are held; made when there is a first guest.
  World& world_of(u32 tag);
  void enter(World& world);
  void flush_fast(World& world);
  static void flush_page(World& world, Linear address, unsigned shift);
  void forget_lines(Linear address, unsigned shift);
  void new_epoch() { epoch_ = ++epochs_; }
  std::unique_ptr<World> host_ = std::make_unique<World>();
  std::unique_ptr<World> guest_;
  World* world_ = host_.get();
  LineFilter lines_;
  bunshin::Cache* data_cache_ = nullptr;
  FastCache* fast_ = nullptr;
  Cache held_by_lines_ = none_cache;  ///< whose translations lines_ holds
  u64 fetched_page_ = no_page;  ///< where the last fetch was, which found it in the first-level TLB or brought it there
  SecondStageWalker* second_stage_ = nullptr;
  ReferenceLog* log_ = nullptr;
  WalkListener* listener_ = nullptr;
  TimedCaches* timed_ = nullptr;
  TlbOutcome last_outcome_ = TlbOutcome::FirstLevel;
  /// Of the latest translation for a fetch, if fetch_outcome() has not told it yet.
  TlbOutcome fetch_outcome_ = TlbOutcome::FirstLevel;
  bool fetch_translated_ = false;
  Linear walked_;  ///< the address of the walk in the log
  u64 epoch_ = 0;
  void count_guest_flush() { guest_flushes_ += context_.guest_tag != 0 ? 1 : 0; }
  u64 guest_flushes_ = 0;
  u64 epochs_ = 0;  ///< that there have been
  /// Instructions were fetched through a translation that the TLB has no place for.
  bool fetched_uncached_ = false;
  bool second_stage_faulted_ = false;
  HostPhysical trapped_page_ = no_trapped_page;
};

}  // namespace bunshin
