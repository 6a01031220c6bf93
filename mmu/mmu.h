#pragma once

// One core's memory-management unit: linear address to host-physical address, with the architectural TLB and the fast
// translation cache in front of it.

#include <optional>

#include "base/address.h"
#include "base/fault.h"
#include "mmu/fast_cache.h"
#include "mmu/memory/physical_memory.h"
#include "mmu/tlb.h"
#include "mmu/walker.h"

namespace bunshin {

class Mmu {
 public:
  Mmu(const TlbParameters& parameters, PhysicalMemory& memory);

  /// The registers that translation depends on have changed. Never invalidates the TLB by itself (the caller does what
  /// the manual says for the instruction at hand), but re-derives what may be hit fast.
  void set_context(const PagingContext& context);
  const PagingContext& context() const { return context_; }

  /// Translates for an access that lies in one page. On success `out` is set and the TLB (and, for the access's kind, the
  /// fast cache) holds the translation; otherwise the #PF to deliver is returned.
  std::optional<Fault> translate(Linear address, const Access& access, HostPhysical& out);
  /// Translates without permission checks, A/D updates or TLB fills, as a debugger does. Empty if not mapped.
  std::optional<HostPhysical> peek(Linear address) const;

  /// The fast cache for the current privilege (core/cpu.h reads it inline; see mmu/fast_cache.h).
  FastCache& fast() { return *fast_; }

  /// Invalidations (SDM vol. 3, 4.10.4.1).
  void flush_all();                                ///< all PCIDs, global entries included
  void flush_non_global();                         ///< all PCIDs, global entries stay
  void flush_pcid(u16 pcid);                       ///< MOV CR3, INVPCID type 1: one PCID's non-global entries
  void flush_page(Linear address);                 ///< INVLPG: current PCID and globals, paging-structure caches
  void flush_page_of_pcid(Linear address, u16 pcid);  ///< INVPCID type 0: globals stay
  /// The page holds (or no longer holds) decoded instructions: fast writes to it must (may) end.
  void code_page_changed(HostPhysical page);

 private:
  FastCache& fast_for(const PagingContext& context);
  void fill_fast(Linear address, const Access& access, HostPhysical physical, const TlbEntry& entry);

  PagingContext context_;
  PhysicalMemory& memory_;
  Tlb tlb_;
  Walker walker_;
  /// One for user accesses, one for supervisor accesses, one for supervisor accesses with EFLAGS.AC under SMAP.
  std::array<FastCache, 3> caches_;
  FastCache* fast_ = nullptr;
};

}  // namespace bunshin
