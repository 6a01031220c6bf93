#pragma once

// AMD-V: EXITCODE (APM vol. 2, appendix C), its low half, which is all that the codes of this table differ in.

#include "core/virt/exit_cause.h"

namespace bunshin::svm {

ExitTable exit_table();

}  // namespace bunshin::svm
