// SVM's chapter of the opcode table. Privilege is checked behind EFER.SVME, so no attribute says it.

#include "core/decode/bind.h"
#include "core/decode/row.h"
#include "core/virt/svm/instructions.h"

namespace bunshin {
namespace {

namespace in = semantics;

/// Changes everything that the engine looks at.
constexpr u32 switches = attr::alone | attr::ends_block;

// clang-format off
constexpr Row rows[] = {
    {"0F 01 D8", "vmrun", {}, ending<in::vmrun>, Feature::Svm, switches},
    {"0F 01 D9", "vmmcall", {}, ending<in::vmmcall>, Feature::Svm, attr::ends_block},
    {"0F 01 DA", "vmload", {}, plain<in::vmload>, Feature::Svm, attr::alone},
    {"0F 01 DB", "vmsave", {}, plain<in::vmsave>, Feature::Svm, attr::alone},
    {"0F 01 DC", "stgi", {}, ending<in::stgi>, Feature::Svm, switches},
    {"0F 01 DD", "clgi", {}, ending<in::clgi>, Feature::Svm, switches},
    {"0F 01 DE", "skinit", {}, ending<in::skinit>, Feature::Skinit, switches},
    {"0F 01 DF", "invlpga", {}, ending<in::invlpga>, Feature::Svm, attr::ends_block},
};
// clang-format on

}  // namespace

std::span<const Row> svm_rows() { return rows; }

}  // namespace bunshin
