#pragma once

// One guest's VMCS through VMREAD and VMWRITE. Both are slow, so what has been read since the last exit is not read again,
// and what a field holds already is not written.

#include <array>

#include "vmm-model/arch/vmx/vmx_processor.h"

namespace bunshin::vmm::vmx {

class GuestVmcs {
 public:
  GuestVmcs(VmxProcessor& processor, HostPhysical region) : processor_(processor), region_(region) {}

  u64 read(Field field);
  u32 read32(Field field) { return static_cast<u32>(read(field)); }
  void write(Field field, u64 value);
  void change_bits(Field field, u64 bits, bool set) {
    const u64 old = read(field);
    write(field, set ? old | bits : old & ~bits);
  }
  /// This is the VMCS that the next VMX instructions are about.
  void make_current() { processor_.make_current(region_); }
  /// The guest has run: its state and what the exit tells are new, and an injected event is in it.
  void guest_has_run();

 private:
  /// Width, kind and index of an encoding, packed. Fields that a hypervisor of this kind uses have indexes up to 31.
  static unsigned slot(Field field) {
    const unsigned e = static_cast<unsigned>(field);
    return (e >> 13 & 3) << 7 | (e >> 10 & 3) << 5 | (e >> 1 & 31);
  }
  bool known(unsigned slot) const { return (known_[slot / 64] >> slot % 64 & 1) != 0; }
  void keep(unsigned slot, u64 value) {
    values_[slot] = value;
    known_[slot / 64] |= u64{1} << slot % 64;
  }

  VmxProcessor& processor_;
  const HostPhysical region_;
  std::array<u64, 512> values_{};
  std::array<u64, 8> known_{};
};

}  // namespace bunshin::vmm::vmx
