#pragma once

// A VMCS as it lies in memory. Every access is a reference by physical address.

#include "core/virt/physical_access.h"
#include "core/virt/vmx/fields.h"

namespace bunshin::vmx {

inline constexpr u64 no_vmcs = ~u64{0};

class Vmcs {
 public:
  Vmcs(Cpu& cpu, u64 address) : cpu_(cpu), address_(address) {}

  u64 address() const { return address_; }
  /// Another one, and a byte of something else that this one points to.
  Vmcs at(u64 address) const { return Vmcs(cpu_, address); }
  u8 read_byte(u64 address) const { return read_physical<u8>(cpu_, HostPhysical(address)); }
  /// Zero-extended.
  u64 read(Field f) const {
    const HostPhysical at(address_ + offset_of(f));
    switch (bytes_of(f)) {
      case 2: return read_physical<u16>(cpu_, at);
      case 4: return read_physical<u32>(cpu_, at);
      default: return read_physical<u64>(cpu_, at);
    }
  }
  u32 read32(Field f) const { return static_cast<u32>(read(f)); }
  void write(Field f, u64 value) {
    const HostPhysical at(address_ + offset_of(f));
    switch (bytes_of(f)) {
      case 2: write_physical(cpu_, at, static_cast<u16>(value)); break;
      case 4: write_physical(cpu_, at, static_cast<u32>(value)); break;
      default: write_physical(cpu_, at, value); break;
    }
  }

  u32 revision() const { return read_physical<u32>(cpu_, HostPhysical(address_ + revision_offset)); }
  bool is_shadow() const { return (revision() & shadow_indicator) != 0; }
  void write_abort(u32 indicator) { write_physical(cpu_, HostPhysical(address_ + abort_offset), indicator); }
  LaunchState launch_state() const {
    return static_cast<LaunchState>(read_physical<u32>(cpu_, HostPhysical(address_ + launch_state_offset)));
  }
  void write_launch_state(LaunchState state) {
    write_physical(cpu_, HostPhysical(address_ + launch_state_offset), static_cast<u32>(state));
  }

 private:
  Cpu& cpu_;
  u64 address_;
};

}  // namespace bunshin::vmx
