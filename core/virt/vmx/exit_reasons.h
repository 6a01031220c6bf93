#pragma once

// VMX: basic exit reasons (SDM vol. 3, appendix C). A failed entry's have bit 31 set (27.9.1).

#include "core/virt/exit_cause.h"

namespace bunshin::vmx {

ExitTable exit_table();

}  // namespace bunshin::vmx
