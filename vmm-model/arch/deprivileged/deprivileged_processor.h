#pragma once

// De-privileged guests (CHAPTER S9, S10): what they share, for processors without an extension. 32-bit code only.

#include "vmm-model/execution_back_end.h"

namespace bunshin::vmm::deprivileged {

class DeprivilegedProcessor final : public ExecutionBackEnd {
 public:
  std::string_view name() const override { return user_state_name; }
  std::string_view enable(Hardware& hardware, PagePool& pool) override;
  bool nested_paging() const override { return false; }
  GuestExecution* create_execution(Hardware& hardware, PagePool& pool) override;

 private:
  std::array<HostPhysical, switch_area::shared_pages> shared_{};
};

}  // namespace bunshin::vmm::deprivileged
