#pragma once

// The virtual TLB (CHAPTER S16): the tables that the hardware walks start empty, are filled on page faults, and are emptied by
// what empties a TLB: loads of CR3 and of the bits that govern paging. The guest writes its own tables freely.

#include "vmm-model/paging/guest_paging.h"
#include "vmm-model/paging/shadow_table.h"

namespace bunshin::vmm {

class VirtualTlb final : public GuestPaging {
 public:
  explicit VirtualTlb(const PagingContext& context) : GuestPaging(context) {}

  std::string_view name() const override { return "vtlb"; }
  bool start() override;
  FaultResult fault(const Exit& exit) override;
  bool root_written() override { return flush(); }
  bool controls_written() override { return flush(); }
  void invalidate(Linear address) override;
  void trap_writes(GuestPhysical page) override;

 private:
  /// Forgets everything; the hardware gets a new, empty root.
  bool flush();
  void release_tree(HostPhysical table, unsigned level);
  /// `piece`: of a large page of the guest's.
  bool fill(unsigned view, Linear address, u64 leaf, bool piece);
  void invalidate(unsigned view, Linear address);

  std::array<HostPhysical, 2> roots_{};  ///< by view
  unsigned levels_ = 0;
};

}  // namespace bunshin::vmm
