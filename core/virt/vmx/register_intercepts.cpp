// Accesses to control registers, ports and MSRs (SDM vol. 3, 25.1.3, 25.3), and what the guest sees in the former (24.6.6).

#include "core/system/semantics.h"
#include "core/virt/vmx/vmx.h"

namespace bunshin::vmx {
namespace {

/// Exit qualification of control-register accesses (table 27-3).
enum CrAccess : u64 { mov_to = 0, mov_from = 1, lmsw_access = 3 };

u64 cr_qualification(const Record& r, CrAccess access) {
  return u64{r.reg} | access << 4 | u64{register_number(r.rm)} << 8;
}

/// The multiplier is a fixed-point number with 48 fraction bits (24.6.5).
u64 scaled(u64 tsc, u64 multiplier) { return static_cast<u64>(u128{tsc} * multiplier >> 48); }

}  // namespace

u64 Vmx::visible_cr0() const { return (cpu_.state.cr0 & ~c_.cr0_mask) | (c_.cr0_shadow & c_.cr0_mask); }
u64 Vmx::visible_cr4() const { return (cpu_.state.cr4 & ~c_.cr4_mask) | (c_.cr4_shadow & c_.cr4_mask); }
u64 Vmx::merged_cr0(u64 value) const { return (value & ~c_.cr0_mask) | (cpu_.state.cr0 & c_.cr0_mask); }
u64 Vmx::merged_cr4(u64 value) const { return (value & ~c_.cr4_mask) | (cpu_.state.cr4 & c_.cr4_mask); }

/// 23.8, and 25.3 "MOV to CR0" for unrestricted guests.
bool Vmx::cr0_allowed(u64 value) const {
  if (!in_operation_) return true;
  const u64 free = in_guest() && c_.also(secondary::unrestricted_guest) ? cr0::PE | cr0::PG : 0;
  const u64 ones = capabilities_.cr0_fixed0 & ~free;
  return (value & ones) == ones;
}

bool Vmx::cr4_allowed(u64 value) const {
  return !in_operation_ || (value & capabilities_.cr4_fixed0) == capabilities_.cr4_fixed0;
}

bool Vmx::intercepts_control_register_write(const Record& r, u64 value) {
  bool exiting = false;
  switch (r.reg) {
    case 0: exiting = ((value ^ c_.cr0_shadow) & c_.cr0_mask) != 0; break;
    case 3:
      exiting = c_.has(primary::cr3_load);
      for (u32 i = 0; i < c_.cr3_target_count && i < c_.cr3_targets.size(); ++i) {
        if (value == c_.cr3_targets[i]) exiting = false;
      }
      break;
    case 4: exiting = ((value ^ c_.cr4_shadow) & c_.cr4_mask) != 0; break;
    case 8: exiting = c_.has(primary::cr8_load); break;
    default: break;
  }
  return exiting && exits(r, Reason::ControlRegister, cr_qualification(r, mov_to));
}

bool Vmx::intercepts_control_register_read(const Record& r) {
  const bool exiting = (r.reg == 3 && c_.has(primary::cr3_store)) || (r.reg == 8 && c_.has(primary::cr8_store));
  return exiting && exits(r, Reason::ControlRegister, cr_qualification(r, mov_from));
}

/// LMSW can set PE but not clear it.
bool Vmx::intercepts_lmsw(const Record& r, u64 value) {
  const u64 differing = (value ^ c_.cr0_shadow) & c_.cr0_mask & (cr0::MP | cr0::EM | cr0::TS);
  const bool sets_pe = (value & ~c_.cr0_shadow & c_.cr0_mask & cr0::PE) != 0;
  if (differing == 0 && !sets_pe) return false;
  ExitInformation exit{.reason = Reason::ControlRegister,
                       .qualification = u64{lmsw_access} << 4 | (value & 0xffff) << 16,
                       .instruction_length = r.length};
  if (r.has_memory()) {
    exit.qualification |= 1u << 6;
    exit.linear = cpu_.unchecked_linear(r);
  }
  return exit_with(exit);
}

/// 24.6.4: an access exits if any of its ports does, or wraps around.
bool Vmx::io_bitmap_set(u16 port, unsigned bytes) {
  if (port + bytes > 0x10000u) return true;
  for (u32 p = port; p < u32{port} + bytes; ++p) {
    const u64 bitmap = p < 0x8000 ? c_.io_bitmap_a : c_.io_bitmap_b;
    const u8 bits = read_physical<u8>(cpu_, HostPhysical(bitmap + (p & 0x7fff) / 8));
    if ((bits >> (p & 7) & 1) != 0) return true;
  }
  return false;
}

u64 Vmx::string_operand_linear(const Record& r, bool input) const {
  const u64 offset = cpu_.state.gpr[input ? RDI : RSI] & (~u64{0} >> (64 - 8 * r.address_bytes()));
  return cpu_.unchecked_linear(input ? Seg::ES : cpu_.segment_of(r), offset);
}

bool Vmx::intercepts_io(const Record& r, const IoDetail& access) {
  const bool exiting =
      c_.has(primary::io_bitmaps) ? io_bitmap_set(access.port, access.bytes) : c_.has(primary::unconditional_io);
  if (!exiting) return false;
  ExitInformation exit{.reason = Reason::Io, .instruction_length = r.length};
  exit.qualification = u64{access.bytes - 1u} | u64{access.input} << 3 | u64{access.string} << 4 |
                       u64{access.repeated} << 5 | u64{access.immediate} << 6 | u64{access.port} << 16;
  if (access.string) {
    exit.instruction_information = string_io_information(r, access.input);
    exit.linear = string_operand_linear(r, access.input);
  }
  return exit_with(exit);
}

/// 24.6.9.
bool Vmx::intercepts_msr(const Record& r, u32 index, bool write) {
  constexpr u32 last_low = 0x1fff, first_high = 0xc000'0000;
  constexpr u64 high_map = 1024, write_maps = 2048;
  const Reason reason = write ? Reason::Wrmsr : Reason::Rdmsr;
  const bool low = index <= last_low;
  const bool high = index >= first_high && index <= first_high + last_low;
  if (!c_.has(primary::msr_bitmaps) || (!low && !high)) return exits(r, reason);
  const u64 byte = (index & last_low) / 8 + (high ? high_map : 0) + (write ? write_maps : 0);
  const u8 bits = read_physical<u8>(cpu_, HostPhysical(c_.msr_bitmaps + byte));
  return (bits >> (index & 7) & 1) != 0 && exits(r, reason);
}

u64 Vmx::guest_tsc(u64 host) const {
  if (!c_.has(primary::tsc_offsetting)) return host;
  if (!c_.also(secondary::tsc_scaling)) return host + c_.tsc_offset;
  return scaled(host, c_.tsc_multiplier) + c_.tsc_offset;
}

}  // namespace bunshin::vmx
