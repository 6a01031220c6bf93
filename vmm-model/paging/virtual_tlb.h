#pragma once

// The virtual TLB (CHAPTER S16): the tables that the hardware walks start empty, are filled on page faults, and are emptied by
// what empties a TLB: loads of CR3 and of the bits that govern paging. The guest writes its own tables freely.

#include "vmm-model/paging/address_list.h"
#include "vmm-model/paging/guest_paging.h"
#include "vmm-model/paging/shadow_table.h"

namespace bunshin::vmm {

class VirtualTlb final : public GuestPaging {
 public:
  explicit VirtualTlb(const PagingContext& context)
      : GuestPaging(context),
        tables_(context.hardware),
        lines_{AddressList(context.hardware), AddressList(context.hardware)} {}

  std::string_view name() const override { return "vtlb"; }
  bool start() override;
  FaultResult fault(const Exit& exit) override;
  bool root_written() override;
  bool rights_written() override;
  bool controls_written() override { return rebuild(); }
  void invalidate(Linear address) override;
  void trap_writes(GuestPhysical page) override;

 private:
  /// Entries are remembered, and emptied, by as many as a guest's line of its table holds: those that one fault fills.
  static constexpr unsigned line_entries = 8;
  static constexpr u64 line_bytes = line_entries * 8;

  /// A page to enter, as the guest translates it.
  struct Page {
    const GuestTranslation& found;
    WalkAccess access;
    u64 linear = 0;
    unsigned view = kernel_view;
  };

  /// No tables but new, empty roots.
  bool rebuild();
  /// Forgets translations: all, or those that a load of CR3 does. The tables stay.
  bool flush(bool globals);
  void empty_line(HostPhysical line, bool globals);
  HostPhysical add_table();
  bool add_to(AddressList& list, HostPhysical address);
  bool fill(const Page& page, const PagingControls& c);
  /// What else the hardware might have found on the way (SDM vol. 3, 4.10.2.3).
  void fill_line(const Page& page, const PagingControls& c, HostPhysical line);
  HostPhysical leaf_table(const Page& page);
  bool note_line(HostPhysical line, bool global);
  u64 leaf(const GuestTranslation& t, const PagingControls& c, WalkAccess access, unsigned view);
  void put(HostPhysical at, u64 entry);
  void invalidate(unsigned view, Linear address);
  void empty_table(HostPhysical at, unsigned level);

  std::array<HostPhysical, 2> roots_{};  ///< by view
  AddressList tables_;
  std::array<AddressList, 2> lines_;  ///< with translations of one address space, and with global ones
  u64 table_count_ = 0;
  unsigned levels_ = 0;
};

}  // namespace bunshin::vmm
