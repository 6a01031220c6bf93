#pragma once

// The software-filled TLB (CHAPTER S14), the textbook's easy case: there are no tables but the guest's. What the TLB lacks comes
// here, and what comes from here is the composed translation, put into the TLB by an instruction.

#include "vmm-model/paging/guest_paging.h"

namespace bunshin::vmm {

class SoftwareTlb final : public GuestPaging {
 public:
  explicit SoftwareTlb(const PagingContext& context) : GuestPaging(context) {}

  /// The processor has what it takes (docs/translation_schemes.md).
  static bool supported(Hardware& hardware);

  std::string_view name() const override { return "software"; }
  bool start() override;
  FaultResult fault(const Exit& exit) override;
  bool root_written() override;
  bool controls_written() override;
  void invalidate(Linear address) override;

 private:
  void fill(Linear address, const GuestTranslation& found, u64 leaf);

  HostPhysical root_;    ///< a page of nothing, whose address is the sign
  bool pieces_ = false;  ///< there may be parts of large pages in the TLB
};

}  // namespace bunshin::vmm
