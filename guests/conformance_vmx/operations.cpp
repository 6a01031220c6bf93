// VMX operation and its instructions outside a guest: who may, VMsucceed and VMfail, each error number (Intel SDM vol. 3, 23.7, 30).

#include "guests/conformance_vmx/ept.h"
#include "guests/runtime/interrupts.h"

extern "C" guest::u64 vmx_enter_behind_mov_ss();

namespace guest {

namespace {

constexpr unsigned invalid_opcode = 6, general_protection = 13;
constexpr u64 none = any + 1, cr4_vmxe = 1u << 13, cr0_ne = 0x20;
constexpr u64 locked = 1, outside_smx = 4;

u64 address_of(const Region& r) { return reinterpret_cast<u64>(&r); }
u64 physical_limit() { return u64{1} << (cpuid(0x8000'0008).eax & 0xff); }

u64 raised(void (*function)(u64), u64 argument) {
  const Exception e = attempt(function, argument);
  return e.raised ? e.vector : none;
}
void check_raises(const char* name, u64 vector, void (*function)(u64), u64 argument = 0) {
  check(name, Field{"exception", raised(function, argument), vector});
}

u64 vmptrst() {
  u64 value = 0;
  asm volatile("vmptrst %0" : "=m"(value) : : "cc");
  return value;
}

struct Operation {
  const char* name;
  void (*run)(u64);
};
constexpr Operation operations[] = {
    {"vmclear", [](u64) { vmclear(address_of(region)); }},
    {"vmptrld", [](u64) { vmptrld(address_of(region)); }},
    {"vmptrst", [](u64) { vmptrst(); }},
    {"vmread", [](u64) { vmread(vmcs::guest_rip); }},
    {"vmwrite", [](u64) { vmwrite(vmcs::guest_rip, 0); }},
    {"vmlaunch", [](u64) { asm volatile("vmlaunch"
                                        :
                                        :
                                        : "memory"); }},
    {"vmresume", [](u64) { asm volatile("vmresume"
                                        :
                                        :
                                        : "memory"); }},
    {"vmxoff", [](u64) { asm volatile("vmxoff"
                                      :
                                      :
                                      : "memory"); }},
    {"vmcall", [](u64) { asm volatile("vmcall"
                                      :
                                      :
                                      : "memory"); }},
    {"invept", [](u64) { invept(2, 0); }},
    {"invvpid", [](u64) { invvpid(2, 0, 0); }},
    {"vmfunc", [](u64) { asm volatile("vmfunc"
                                      :
                                      : "a"(0), "c"(0)
                                      : "memory"); }},
};

void run_vmxon(u64 address) { vmxon(address); }

void outside() {
  begin_group("cr4.vmxe clear");
  check_raises("vmxon", invalid_opcode, run_vmxon, address_of(vmxon_region));
  for (const Operation& each : operations) check_raises(each.name, invalid_opcode, each.run);
  write_cr4(read_cr4() | cr4_vmxe);
  begin_group("outside vmx operation");
  for (const Operation& each : operations) check_raises(each.name, invalid_opcode, each.run);
}

void feature_control() {
  begin_group("feature control");
  const u64 found = read_msr(msr_feature_control);
  if ((found & locked) != 0) {
    absent("vmxon while not locked");
  } else {
    check_raises("vmxon while not locked", general_protection, run_vmxon, address_of(vmxon_region));
    write_msr(msr_feature_control, outside_smx | locked);
  }
  check("locked", Field{"value", read_msr(msr_feature_control) & (locked | outside_smx), locked | outside_smx});
  check_raises(
      "write while locked", general_protection, [](u64 value) { write_msr(msr_feature_control, value); }, 0);
}

void entering() {
  begin_group("vmxon");
  vmxon_region.revision = static_cast<u32>(read_msr(msr_vmx_basic)) & 0x7fff'ffff;
  check("not aligned", Field{"flags", vmxon(address_of(vmxon_region) + 8), failed_invalid});
  check("beyond physical memory", Field{"flags", vmxon(physical_limit()), failed_invalid});
  ++vmxon_region.revision;
  check("another revision", Field{"flags", vmxon(address_of(vmxon_region)), failed_invalid});
  --vmxon_region.revision;
  vmxon_region.revision |= 1u << 31;
  check("revision with bit 31", Field{"flags", vmxon(address_of(vmxon_region)), failed_invalid});
  vmxon_region.revision &= ~(1u << 31);
  write_cr0(read_cr0() & ~cr0_ne);
  check_raises("cr0.ne clear", general_protection, run_vmxon, address_of(vmxon_region));
  write_cr0(read_cr0() | cr0_ne);
  check("done", Field{"flags", vmxon(address_of(vmxon_region)), succeeded});
  check_raises("cr0.ne may not be cleared then", general_protection, write_cr0, read_cr0() & ~cr0_ne);
  check_raises("nor cr4.vmxe", general_protection, write_cr4, read_cr4() & ~cr4_vmxe);
  check_raises("nor paging", general_protection, write_cr0, read_cr0() & ~(u64{1} << 31));
}

void without_current() {
  begin_group("no current vmcs");
  check("vmptrst", Field{"pointer", vmptrst(), ~u64{0}});
  check("vmread", Field{"flags", vmread(vmcs::guest_rip).flags, failed_invalid});
  check("vmwrite", Field{"flags", vmwrite(vmcs::guest_rip, 0), failed_invalid});
  check("vmclear of a bad address", Field{"flags", vmclear(8), failed_invalid});
  check("vmptrld of a bad address", Field{"flags", vmptrld(8), failed_invalid});
  check("vmxon", Field{"flags", vmxon(address_of(vmxon_region)), failed_invalid});
  u64 flags;
  asm volatile("vmlaunch; pushfq; pop %0" : "=r"(flags) : : "memory", "cc");
  check("vmlaunch", Field{"flags", flags & 0x8d5, failed_invalid});
  asm volatile("vmresume; pushfq; pop %0" : "=r"(flags) : : "memory", "cc");
  check("vmresume", Field{"flags", flags & 0x8d5, failed_invalid});
  asm volatile("vmcall; pushfq; pop %0" : "=r"(flags) : : "memory", "cc");
  check("vmcall", Field{"flags", flags & 0x8d5, failed_invalid});
}

void pointers() {
  begin_group("vmclear and vmptrld");
  region.revision = other_region.revision = vmxon_region.revision;
  check("vmclear", Field{"flags", vmclear(address_of(region)), succeeded});
  check("vmptrld", Field{"flags", vmptrld(address_of(region)), succeeded});
  check("vmptrst", Field{"pointer", vmptrst(), address_of(region)});
  check_error("vmclear, not aligned", vmclear(address_of(region) + 8), 2);
  check_error("vmclear, beyond physical memory", vmclear(physical_limit()), 2);
  check_error("vmclear, the vmxon region", vmclear(address_of(vmxon_region)), 3);
  check_error("vmptrld, not aligned", vmptrld(address_of(region) + 8), 9);
  check_error("vmptrld, beyond physical memory", vmptrld(physical_limit()), 9);
  check_error("vmptrld, the vmxon region", vmptrld(address_of(vmxon_region)), 10);
  ++other_region.revision;
  check_error("vmptrld, another revision", vmptrld(address_of(other_region)), 11);
  --other_region.revision;
  if (!has_secondary(secondary_control::shadowing)) {
    other_region.revision |= 1u << 31;
    check_error("vmptrld, a shadow vmcs that does not exist", vmptrld(address_of(other_region)), 11);
    other_region.revision &= ~(1u << 31);
  } else {
    absent("vmptrld, a shadow vmcs that does not exist");
  }
  check("a failure leaves the current vmcs", Field{"pointer", vmptrst(), address_of(region)});
  vmwrite(vmcs::guest_rip, 0x1234'5678'9abc);
  check("vmptrld of another", Field{"flags", vmptrld(address_of(other_region)), succeeded});
  const u64 back = vmptrld(address_of(region));
  check("back again", Field{"flags", back, succeeded}, Field{"rip", vmread(vmcs::guest_rip).value, 0x1234'5678'9abc});
  vmclear(address_of(region));
  check("vmclear of the current vmcs", Field{"pointer", vmptrst(), ~u64{0}});
  vmptrld(address_of(region));
  check("fields outlive vmclear", Field{"rip", vmread(vmcs::guest_rip).value, 0x1234'5678'9abc});
  vmclear(address_of(other_region));
  check("vmclear of another vmcs", Field{"pointer", vmptrst(), address_of(region)});
}

void launching() {
  begin_group("entries");
  u64 flags;
  prepare(""_code);
  asm volatile("vmresume; pushfq; pop %0" : "=r"(flags) : : "memory", "cc");
  check_error("vmresume of a vmcs that is clear", flags & 0x8d5, 5);
  check_finished("vmlaunch");
  asm volatile("vmlaunch; pushfq; pop %0" : "=r"(flags) : : "memory", "cc");
  check_error("vmlaunch of a launched vmcs", flags & 0x8d5, 4);
  put(vmcs::guest_rip, code_page);
  check_finished("vmresume");
  prepare(""_code);
  check_error("vmlaunch behind mov ss", vmx_enter_behind_mov_ss() & 0x8d5, 26);
}

void others() {
  begin_group("in root operation");
  check_error("vmxon", vmxon(address_of(vmxon_region)), 15);
  if (is_bochs()) {
    leave_out("vmcall", "which Bochs does not implement");
  } else {
    u64 flags;
    asm volatile("vmcall; pushfq; pop %0" : "=r"(flags) : : "memory", "cc");
    check_error("vmcall", flags & 0x8d5, 1);
  }
  check_raises("vmfunc", invalid_opcode, operations[11].run);
  check_error("vmread of no field", vmread(0x682a).flags, 12);
  check_error("vmread with upper bits", vmread(u64{1} << 32 | vmcs::guest_rip).flags, 12);
  check_error("vmwrite of no field", vmwrite(0x682a, 0), 12);
  const bool may_write = (read_msr(msr_vmx_misc) >> 29 & 1) != 0;
  if (may_write) {
    check("vmwrite of an exit field", Field{"flags", vmwrite(vmcs::exit_reason, 0), succeeded});
  } else {
    check_error("vmwrite of an exit field", vmwrite(vmcs::exit_reason, 0), 13);
  }
  vmwrite(vmcs::guest_rip, 0x1000);
  check("success clears the flags", Field{"flags", vmread(vmcs::guest_rip).flags, succeeded});
}

void invalidations() {
  begin_group("invept and invvpid");
  const u64 pointer = ept_pointer(ept_tables);
  if (ept_can(ept_capability::invept)) {
    check_error("invept, type 0", invept(0, pointer), 28);
    check_error("invept, type 3", invept(3, pointer), 28);
    check("invept, single",
          Field{"flags", invept(1, pointer), ept_can(ept_capability::invept_single) ? succeeded : failed_valid});
    check("invept, all", Field{"flags", invept(2, 0), ept_can(ept_capability::invept_all) ? succeeded : failed_valid});
    check_error("invept, a bad pointer", invept(1, pointer | 7), 28);
  } else {
    check_raises("invept", invalid_opcode, operations[9].run);
    for (const char* name :
         {"invept, type 0", "invept, type 3", "invept, single", "invept, all", "invept, a bad pointer"}) {
      absent(name);
    }
  }
  constexpr const char* names[] = {"invvpid, address",
                                   "invvpid, single",
                                   "invvpid, all",
                                   "invvpid, single but global",
                                   "invvpid, type 4",
                                   "invvpid, vpid 0",
                                   "invvpid, reserved bits",
                                   "invvpid, an address that is not canonical",
                                   "invvpid, all, with vpid 0"};
  if (!ept_can(ept_capability::invvpid)) {
    check_raises("invvpid", invalid_opcode, operations[10].run);
    for (const char* name : names) absent(name);
    return;
  }
  for (unsigned type = 0; type < 4; ++type) {
    const bool can = ept_can(ept_capability::invvpid_address + type);
    check(names[type], Field{"flags", invvpid(type, type == 2 ? 0 : 1, 0), can ? succeeded : failed_valid});
  }
  check_error(names[4], invvpid(4, 1, 0), 28);
  check_error(names[5], invvpid(1, 0, 0), 28);
  check_error(names[6], invvpid(1, 0x1'0001, 0), 28);
  check_error(names[7], invvpid(0, 1, u64{1} << 60), 28);
  check(names[8], Field{"flags", invvpid(2, 0, 0), succeeded});
}

}  // namespace

void check_operations() {
  outside();
  feature_control();
  entering();
  without_current();
  start_vmx();
  pointers();
  launching();
  others();
  invalidations();
}

void check_end() {
  begin_group("vmxoff");
  u64 flags;
  asm volatile("vmxoff; pushfq; pop %0" : "=r"(flags) : : "memory", "cc");
  check("done", Field{"flags", flags & 0x8d5, succeeded});
  check_raises("vmxoff again", invalid_opcode, operations[7].run);
  check_raises("cr4.vmxe may be cleared", none, write_cr4, read_cr4() & ~cr4_vmxe);
}

}  // namespace guest
