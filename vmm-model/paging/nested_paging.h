#pragma once

// Nested paging (CHAPTER S17): the hardware composes the guest's tables with one table a guest, which maps its memory.

#include "vmm-model/paging/guest_paging.h"

namespace bunshin::vmm {

class NestedPaging final : public GuestPaging {
 public:
  /// `page_bytes`: 4 KiB, 2 MiB or 1 GiB; smaller pages are used where memory is not aligned for it.
  NestedPaging(const PagingContext& context, u64 page_bytes);

  std::string_view name() const override { return "nested"; }
  bool start() override;
  FaultResult fault(const Exit& exit) override;
  bool root_written() override;
  bool controls_written() override { return root_written(); }

 private:
  u8 leaf_level(GuestPhysical address) const;
  bool map(GuestPhysical address);
  u64 table_entry(HostPhysical table) const;
  u64 leaf_entry(HostPhysical page, unsigned level) const;
  u64 present_bits() const;

  u8 largest_level_;
  HostPhysical root_;
};

}  // namespace bunshin::vmm
