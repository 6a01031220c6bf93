// IA32_FEATURE_CONTROL and the capability MSRs (SDM vol. 3, 23.7 and A).

#include "core/system/msr_table.h"
#include "core/virt/vmx/capabilities.h"

namespace bunshin::msr {
namespace {

/// Firmware has locked it: every write is refused.
bool read_feature_control(const Cpu& cpu, u32 /*index*/, u64& value) {
  value = vmx::feature_control(cpu.profile);
  return true;
}

bool read_capability(const Cpu& cpu, u32 index, u64& value) {
  return vmx::Capabilities(cpu.profile).read_msr(cpu.profile, index, value);
}

constexpr Row rows[] = {
    {0x3a, 1, Feature::Base, Maker::Intel, read_feature_control},
    {0x480, 0x14, Feature::Vmx, Maker::Intel, read_capability},
};

}  // namespace

std::span<const Row> vmx_rows() { return rows; }

}  // namespace bunshin::msr
