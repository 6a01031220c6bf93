#include "vmm-model/msr.h"

#include "vmm-model/registers.h"

namespace bunshin::vmm {

// Memory types as firmware sets them: all write-back but video memory and the PCI hole (SDM vol. 3, 11.11).
MsrFile::MsrFile() {
  constexpr u64 write_back_all = 0x0606'0606'0606'0606, hole = 0xc000'0000, hole_mask = 0xff'c000'0000, valid = 0x800;
  mtrr_fixed_.fill(write_back_all);
  mtrr_fixed_[2] = 0;
  mtrr_variable_[0] = hole;
  mtrr_variable_[1] = hole_mask | valid;
  mtrr_default_type_ = 0xc06;
}

u64* MsrFile::find(u32 number) {
  if (number >= msr::mtrr_physical_base && number < msr::mtrr_physical_base + mtrr_variable_.size()) {
    return &mtrr_variable_[number - msr::mtrr_physical_base];
  }
  if (number == msr::mtrr_fixed_64k) return &mtrr_fixed_[0];
  if (number == msr::mtrr_fixed_16k || number == msr::mtrr_fixed_16k + 1) {
    return &mtrr_fixed_[1 + number - msr::mtrr_fixed_16k];
  }
  if (number >= msr::mtrr_fixed_4k && number < msr::mtrr_fixed_4k + 8) {
    return &mtrr_fixed_[3 + number - msr::mtrr_fixed_4k];
  }
  if (number == msr::mtrr_default_type) return &mtrr_default_type_;
  if (number == msr::misc_enable) return &misc_enable_;
  if (number == msr::hwcr) return &hwcr_;
  if (number == msr::nb_cfg) return &nb_cfg_;
  if (number == msr::int_pending) return &int_pending_;
  return nullptr;
}

bool MsrFile::read(u32 number, u64& value) {
  constexpr u64 write_combining = 1 << 10, fixed_ranges = 1 << 8;
  switch (number) {
    case msr::mtrr_cap: value = variable_pairs | fixed_ranges | write_combining; return true;
    case msr::tsc_aux: value = tsc_aux; return true;
    case msr::mcg_cap:
    case msr::mcg_status:
    case msr::syscfg:
    case msr::vm_cr: value = 0; return true;
    default: break;
  }
  const u64* stored = find(number);
  if (stored == nullptr) return false;
  value = *stored;
  return true;
}

bool MsrFile::write(u32 number, u64 value) {
  switch (number) {
    case msr::tsc_aux:
      if (value >> 32 != 0) return false;
      tsc_aux = value;
      return true;
    case msr::mcg_status:
    case msr::bios_signature:
    case msr::syscfg: return true;
    default: break;
  }
  u64* stored = find(number);
  if (stored == nullptr) return false;
  *stored = value;
  return true;
}

}  // namespace bunshin::vmm
