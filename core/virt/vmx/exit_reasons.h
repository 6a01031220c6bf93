#pragma once

// VMX: basic exit reasons (SDM vol. 3, appendix C). A failed entry's have bit 31 set. Reason 0, an exception or NMI, is a row for
// each vector.

#include "core/virt/exit_cause.h"

namespace bunshin::vmx {

/// ExitCause::code of an exit for an exception, or for an NMI as vector 2: beyond every reason.
constexpr u32 exception_cause(u32 vector) { return 0x100 + vector; }

ExitTable exit_table();

}  // namespace bunshin::vmx
