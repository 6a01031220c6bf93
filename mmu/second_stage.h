#pragma once

// The second stage: guest-physical to host-physical, by EPT (SDM vol. 3, 29.3) or by nested paging (AMD APM vol. 2,
// 15.25), with the loop of mmu/table_walk. Builds on a bare PhysicalMemory:
//
//   SecondStageWalker stage(memory);
//   stage.set_context({.mode = PagingMode::Ept4Level, .root = eptp});
//   walker.set_second_stage(&stage);

#include <string>

#include "base/stats.h"
#include "mmu/nested_tlb.h"
#include "mmu/structure_cache.h"
#include "mmu/table_walk.h"

namespace bunshin {

struct SecondStageParameters {
  NestedTlbParameters nested_tlb;
  StructureCacheParameters structure_caches;

  void describe(ParameterVisitor& v);
};

/// What the second stage's translation depends on.
struct SecondStageContext {
  PagingMode mode = PagingMode::Ept4Level;  ///< one of EPT's, or the hypervisor's own mode under nested paging
  u64 root = 0;                             ///< EPTP or nCR3
  bool accessed_dirty = false;              ///< EPTP bit 6; nested paging always sets A and D
  bool mode_based_execute = false;  ///< X is the right to execute at supervisor-mode addresses only, XU at others
  bool execute_only = true, large_pages = true, gigabyte_pages = true;  ///< IA32_VMX_EPT_VPID_CAP bits 0, 16, 17
  bool no_execute = true, pse = true, pse36 = true;  ///< nested paging: the hypervisor's EFER and CR4
  unsigned physical_bits = 46;
  /// Tells second stages apart in its caches: of EPT the EPTP's address bits, under nested paging the ASID.
  u64 tag = 0;

  bool is_ept() const { return paging_format(mode).is_ept; }
};

/// Why the last translation was refused: what a VM exit will say.
struct SecondStageFault {
  enum class Cause : u8 { None, EptViolation, EptMisconfiguration, NestedPageFault, PageModificationLogFull };
  Cause cause = Cause::None;
  GuestPhysical address;
  /// EPT violation: the exit qualification, bits 8:0 (SDM vol. 3, table 28-7). Nested page fault: the error code, with bit
  /// 32 or 33 (APM vol. 2, 15.25.6).
  u64 qualification = 0;
  /// EPT: bit 63 of the last entry read, "suppress #VE" (SDM vol. 3, 25.5.7.1).
  bool suppresses_exception = false;
};

/// Told of each page whose D the EPT walker is about to set (SDM vol. 3, 29.3.6). False: it must not.
class DirtyLog {
 public:
  virtual bool dirtied(GuestPhysical address) = 0;

 protected:
  ~DirtyLog() = default;
};

class SecondStageWalker final : public SecondStage {
 public:
  explicit SecondStageWalker(PhysicalMemory& memory) : tables_(memory, 2) {}

  void set_context(const SecondStageContext& context);
  const SecondStageContext& context() const { return context_; }
  /// Null: none.
  void set_observer(WalkObserver* observer) { observer_ = observer; }
  /// Null: every translation walks, from the root. Whoever sets them flushes them.
  void set_structure_caches(StructureCache* caches) { structures_ = caches; }
  void set_nested_tlb(NestedTlb* tlb) { nested_tlb_ = tlb; }
  /// Null: page modifications are not logged.
  void set_dirty_log(DirtyLog* log) { dirty_log_ = log; }

  SecondStageResult translate(GuestPhysical address, SecondStageAccess access, bool user_page = true) override;
  std::optional<HostPhysical> peek(GuestPhysical address) const override;
  /// Of the last translation that faulted.
  const SecondStageFault& fault() const { return fault_; }

  u64 walks() const { return walks_; }
  u64 references() const { return references_; }
  void register_stats(StatRegistry& registry, const std::string& prefix) const;

 private:
  using Path = TableWalk::Path;
  using Stop = TableWalk::Stop;

  /// Accesses to the guest's tables count as writes: under nested paging always, with EPT if A and D are in use (APM
  /// vol. 2, 15.25.6; SDM vol. 3, 29.3.3.2).
  AccessKind kind_of(SecondStageAccess access) const;
  AccessKinds kinds_of(u64 permits, bool user_page) const;
  SecondStageResult refuse(GuestPhysical address, SecondStageAccess access, const Path& path);
  u64 violation(SecondStageAccess access, u64 permits) const;
  u64 nested_page_fault(SecondStageAccess access, Stop stop) const;
  SecondStageResult found(GuestPhysical address, const Path& path, bool user_page) const;

  TableWalk tables_;
  SecondStageContext context_;
  Path path_;
  SecondStageFault fault_;
  WalkObserver* observer_ = nullptr;
  StructureCache* structures_ = nullptr;
  NestedTlb* nested_tlb_ = nullptr;
  DirtyLog* dirty_log_ = nullptr;
  unsigned address_bits_ = 0;  ///< that the tables index
  u64 walks_ = 0;
  u64 references_ = 0;
};

}  // namespace bunshin
