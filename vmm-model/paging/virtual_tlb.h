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
  HostPhysical add_table();
  void release_tables();
  bool fill(unsigned view, Linear address, u64 leaf, unsigned shift);
  void invalidate(unsigned view, Linear address);
  void empty_table(HostPhysical at);

  std::array<HostPhysical, 2> roots_{};  ///< by view
  HostPhysical list_;                    ///< of all tables
  unsigned list_used_ = 0;
  unsigned levels_ = 0;
};

}  // namespace bunshin::vmm
