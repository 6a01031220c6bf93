#pragma once

// The back ends that an image has, in order of preference: the extensions are for 64-bit code, user state for 32-bit code.

#include <type_traits>

#include "vmm-model/arch/deprivileged/deprivileged_processor.h"
#include "vmm-model/arch/svm/svm_execution.h"
#include "vmm-model/arch/vmx/vmx_processor.h"
#include "vmm-model/bare/bare_vmx.h"

namespace bunshin::vmm::bare {

struct BackEnds64 {
  svm::SvmProcessor svm;
  BareVmx vmx_instructions;
  vmx::VmxProcessor vmx{vmx_instructions};
  std::array<ExecutionBackEnd*, 2> list{&svm, &vmx};
};

struct BackEnds32 {
  deprivileged::DeprivilegedProcessor deprivileged;
  std::array<ExecutionBackEnd*, 1> list{&deprivileged};
};

using BackEnds = std::conditional_t<sizeof(void*) == 8, BackEnds64, BackEnds32>;

}  // namespace bunshin::vmm::bare
