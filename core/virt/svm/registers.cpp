// SVM's model-specific registers (AMD APM vol. 2, 15.30).

#include "core/system/msr_table.h"
#include "core/virt/svm/svm.h"

namespace bunshin::msr {
namespace {

using svm::Svm;

const Svm& svm_of(const Cpu& cpu) { return static_cast<const Svm&>(*cpu.virt); }
Svm& svm_of(Cpu& cpu) { return static_cast<Svm&>(*cpu.virt); }

template <u64 Svm::Registers::*field>
bool read_own(const Cpu& cpu, u32 /*index*/, u64& value) {
  value = svm_of(cpu).registers().*field;
  return true;
}

template <bool (Svm::*write)(u64)>
bool write_own(Cpu& cpu, u32 /*index*/, u64 value) {
  return (svm_of(cpu).*write)(value);
}

// clang-format off
constexpr Row rows[] = {
    {0xc000'0104, 1, Feature::TscScale, Maker::Amd, read_own<&Svm::Registers::tsc_ratio>, write_own<&Svm::write_tsc_ratio>},
    {0xc001'0114, 1, Feature::Svm, Maker::Amd, read_own<&Svm::Registers::vm_cr>, write_own<&Svm::write_vm_cr>},
    {0xc001'0115, 1, Feature::Svm, Maker::Amd, read_own<&Svm::Registers::ignne>, write_own<&Svm::write_ignne>},
    // SMM_CTL: there is no system-management mode to enter or leave.
    {0xc001'0116, 1, Feature::Svm, Maker::Amd, nullptr, write_ignored},
    {0xc001'0117, 1, Feature::Svm, Maker::Amd, read_own<&Svm::Registers::hsave>, write_own<&Svm::write_hsave>},
    // Reads as zero, so that nobody learns the key.
    {0xc001'0118, 1, Feature::SvmLock, Maker::Amd, read_constant<0>, write_own<&Svm::write_key>},
};
// clang-format on

}  // namespace

std::span<const Row> svm_rows() { return rows; }

}  // namespace bunshin::msr
