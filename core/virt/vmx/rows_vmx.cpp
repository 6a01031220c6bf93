// The VMX chapter of the opcode table.

#include "core/decode/bind.h"
#include "core/decode/row.h"
#include "core/virt/vmx/vmx.h"

namespace bunshin {
namespace {

/// The profile has the instruction, so the processor has VMX.
template <bool (vmx::Vmx::*instruction)(const Record&)>
bool execute(Cpu& cpu, const Record& r) {
  return (static_cast<vmx::Vmx&>(*cpu.virt).*instruction)(r);
}

using vmx::Vmx;
/// Privilege is checked behind what only VMX knows.
constexpr u32 instruction = attr::ends_block | attr::alone;
constexpr u32 field_instruction = attr::force64;

// clang-format off
constexpr Row rows[] = {
    {"0F 01 C1", "vmcall", {}, ending<execute<&Vmx::vmcall>>, Feature::Vmx, instruction},
    {"0F 01 C2", "vmlaunch", {}, ending<execute<&Vmx::vmlaunch>>, Feature::Vmx, instruction},
    {"0F 01 C3", "vmresume", {}, ending<execute<&Vmx::vmresume>>, Feature::Vmx, instruction},
    {"0F 01 C4", "vmxoff", {}, ending<execute<&Vmx::vmxoff>>, Feature::Vmx, instruction},
    {"0F 01 D4", "vmfunc", {}, ending<execute<&Vmx::vmfunc>>, Feature::Vmfunc, instruction},
    {"F3 0F C7 /6 mem", "vmxon", {Op::Mq}, ending<execute<&Vmx::vmxon>>, Feature::Vmx, instruction},
    {"66 0F C7 /6 mem", "vmclear", {Op::Mq}, ending<execute<&Vmx::vmclear>>, Feature::Vmx, instruction},
    {"NP 0F C7 /6 mem", "vmptrld", {Op::Mq}, ending<execute<&Vmx::vmptrld>>, Feature::Vmx, instruction},
    {"NP 0F C7 /7 mem", "vmptrst", {Op::Mq}, ending<execute<&Vmx::vmptrst>>, Feature::Vmx, instruction},
    {"NP 0F 78 /r", "vmread", {Op::Ey, Op::Gy}, plain<execute<&Vmx::vmread>>, Feature::Vmx, field_instruction},
    {"NP 0F 79 /r", "vmwrite", {Op::Gy, Op::Ey}, plain<execute<&Vmx::vmwrite>>, Feature::Vmx, field_instruction},
    {"66 0F 38 80 /r mem", "invept", {Op::Gy, Op::Mdq}, ending<execute<&Vmx::invept>>, Feature::Ept,
     instruction | attr::force64},
    {"66 0F 38 81 /r mem", "invvpid", {Op::Gy, Op::Mdq}, ending<execute<&Vmx::invvpid>>, Feature::Vpid,
     instruction | attr::force64},
};
// clang-format on

}  // namespace

std::span<const Row> vmx_rows() { return rows; }

}  // namespace bunshin
