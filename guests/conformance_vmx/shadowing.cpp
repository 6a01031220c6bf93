// VMCS shadowing (Intel SDM vol. 3, 24.10, 25.1.2, 30.3: VMREAD and VMWRITE): a guest's VMREAD and VMWRITE of fields whose bits are
// clear go to the VMCS that the link pointer names.

#include "guests/conformance_vmx/machine.h"

namespace guest {

namespace {

constexpr u32 shadow_indicator = 1u << 31;
constexpr Code vmread_code = "\x0f\x78\xc3"_code, vmwrite_code = "\x0f\x79\xc3"_code;  // of RAX, to RBX; RBX to RAX
alignas(4096) u8 read_map[4096], write_map[4096];

u64 address_of(const Region& r) { return reinterpret_cast<u64>(&r); }

/// A shadow VMCS whose guest RIP is 1234H; it can be filled like any other.
void make_shadow() {
  vmclear(address_of(other_region));
  other_region.revision |= shadow_indicator;
  vmptrld(address_of(other_region));
  put(vmcs::guest_rip, 0x1234);
  vmclear(address_of(other_region));
}

void with_shadow(Code code) {
  make_shadow();
  prepare(code);
  enable(Word::Secondary, secondary_control::shadowing);
  __builtin_memset(read_map, 0, sizeof read_map);
  __builtin_memset(write_map, 0, sizeof write_map);
  put(vmcs::vmread_map, reinterpret_cast<u64>(read_map));
  put(vmcs::vmwrite_map, reinterpret_cast<u64>(write_map));
  put(vmcs::link_pointer, address_of(other_region));
  registers.rax = vmcs::guest_rip;
}

void set_bit(u8* map, u32 field) { map[field / 8] = static_cast<u8>(map[field / 8] | 1u << field % 8); }

}  // namespace

void check_shadowing() {
  begin_group("vmcs shadowing");
  constexpr const char* names[] = {"vmread",
                                   "vmwrite",
                                   "vmread whose bit is set",
                                   "vmwrite whose bit is set",
                                   "encoding beyond the bitmap",
                                   "no shadow vmcs",
                                   "of a field that does not exist",
                                   "level 3",
                                   "entry with a shadow vmcs",
                                   "link pointer to no shadow vmcs"};
  if (!has_secondary(secondary_control::shadowing)) {
    for (const char* name : names) absent(name);
    return;
  }
  with_shadow(vmread_code);
  enter();
  check(names[0], Field{"reason", exit_reason(), reason::vmcall}, Field{"rbx", registers.rbx, 0x1234});
  with_shadow("\x0f\x79\xc3\x0f\x78\xc1"_code);
  registers.rbx = vmcs::guest_rip;
  registers.rax = vmcs::guest_rip;
  // VMWRITE of RBX to the field in RAX is 0F 79 /r with the field in the register: 0F 79 C3 writes RBX to field RAX.
  registers.rbx = 0x5678;
  enter();
  check(names[1], Field{"reason", exit_reason(), reason::vmcall}, Field{"rcx", registers.rcx, 0x5678});
  with_shadow(vmread_code);
  set_bit(read_map, vmcs::guest_rip);
  check_exit(names[2], {reason::vmread, 3});
  with_shadow(vmwrite_code);
  set_bit(write_map, vmcs::guest_rip);
  check_exit(names[3], {reason::vmwrite, 3});
  with_shadow(vmread_code);
  registers.rax = 0x8000 | vmcs::guest_rip;
  check_exit(names[4], {reason::vmread, 3});
  with_shadow("\x0f\x78\xc3\x9c\x59"_code);
  put(vmcs::link_pointer, ~u64{0});
  enter();
  check(names[5], Field{"reason", exit_reason(), reason::vmcall},
        Field{"flags", registers.rcx & 0x8d5, failed_invalid});
  with_shadow("\x0f\x78\xc3\x9c\x59"_code);
  registers.rax = 0x682a;
  enter();
  check(names[6], Field{"reason", exit_reason(), reason::vmcall}, Field{"flags", registers.rcx & 0x8d5, failed_valid});
  with_shadow(vmread_code);
  at_level_3();
  put(vmcs::exceptions, 1u << 13);
  check_exit(names[7], {reason::exception});
  make_shadow();
  vmptrld(address_of(other_region));
  u64 flags;
  asm volatile("vmlaunch; pushfq; pop %0" : "=r"(flags) : : "memory", "cc");
  check(names[8], Field{"flags", flags & 0x8d5, failed_invalid});
  vmclear(address_of(other_region));
  with_shadow(""_code);
  other_region.revision &= ~shadow_indicator;
  check_entry_failure(names[9], reason::invalid_state, 4);
  vmclear(address_of(other_region));
}

}  // namespace guest
