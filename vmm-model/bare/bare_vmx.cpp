#include "vmm-model/bare/bare_vmx.h"

#include "vmm-model/bare/instructions.h"

extern "C" {
/// 0: there has been a guest; 1: VMfailInvalid; 2: VMfailValid.
bunshin::u32 vmx_switch(bunshin::u32 launched, bunshin::u64* registers);
void vmx_exit();
}

namespace bunshin::vmm::bare {

namespace {

using vmx::Field;
using vmx::Status;

Status status_of(bool carry, bool zero) {
  return carry ? Status::FailInvalid : zero ? Status::FailValid : Status::Succeed;
}

struct [[gnu::packed]] TablePointer {
  u16 limit;
  u64 base;
};

struct Descriptor {
  u64 first = 0, second = 0;
};

}  // namespace

Status BareVmx::turn_on(HostPhysical region) {
  using namespace vmx::vmx_msr;
  const u64 cr0 = (read_control_register<0>() | read_msr(cr0_fixed0)) & read_msr(cr0_fixed1);
  const u64 cr4 = (read_control_register<4>() | read_msr(cr4_fixed0)) & read_msr(cr4_fixed1);
  asm volatile("mov %0, %%cr0" : : "r"(cr0));
  asm volatile("mov %0, %%cr4" : : "r"(cr4));
  bool carry, zero;
  asm volatile("vmxon %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(region.value) : "memory");
  return status_of(carry, zero);
}

Status BareVmx::clear(HostPhysical vmcs) {
  bool carry, zero;
  asm volatile("vmclear %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(vmcs.value) : "memory");
  return status_of(carry, zero);
}

Status BareVmx::load(HostPhysical vmcs) {
  bool carry, zero;
  asm volatile("vmptrld %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(vmcs.value) : "memory");
  return status_of(carry, zero);
}

u64 BareVmx::read(Field field) {
  u64 value = 0;
  asm volatile("vmread %1, %0" : "+r"(value) : "r"(static_cast<u64>(field)) : "cc");
  return value;
}

void BareVmx::write(Field field, u64 value) {
  asm volatile("vmwrite %1, %0" : : "r"(static_cast<u64>(field)), "r"(value) : "cc", "memory");
}

void BareVmx::invalidate_ept(vmx::Scope scope, u64 eptp) {
  const Descriptor descriptor{eptp, 0};
  asm volatile("invept %0, %1" : : "m"(descriptor), "r"(static_cast<u64>(scope)) : "cc", "memory");
}

void BareVmx::invalidate_vpid(vmx::Scope scope, u16 vpid, Linear address) {
  const Descriptor descriptor{vpid, address.value};
  asm volatile("invvpid %0, %1" : : "m"(descriptor), "r"(static_cast<u64>(scope)) : "cc", "memory");
}

// The selectors are entry.S's: code, data, task state.
void BareVmx::write_host_state() {
  TablePointer gdt, idt;
  asm volatile("sgdt %0" : "=m"(gdt));
  asm volatile("sidt %0" : "=m"(idt));
  write(Field::HostCs, 0x08);
  for (const Field data : {Field::HostEs, Field::HostSs, Field::HostDs}) write(data, 0x10);
  for (const Field null : {Field::HostFs, Field::HostGs}) write(null, 0);
  write(Field::HostTr, 0x18);
  for (const Field base : {Field::HostFsBase, Field::HostGsBase, Field::HostTrBase, Field::HostSysenterCs,
                           Field::HostSysenterEsp, Field::HostSysenterEip}) {
    write(base, 0);
  }
  write(Field::HostGdtrBase, gdt.base);
  write(Field::HostIdtrBase, idt.base);
  write(Field::HostCr0, read_control_register<0>());
  write(Field::HostCr3, read_control_register<3>());
  write(Field::HostCr4, read_control_register<4>());
  write(Field::HostRip, reinterpret_cast<u64>(&vmx_exit));
}

// CR2 is in no VMCS. Reading it is cheap and writing it is not.
Status BareVmx::enter(bool launched, GeneralRegisters& registers, u64& cr2) {
  if (cr2 != read_control_register<2>()) asm volatile("mov %0, %%cr2" : : "r"(cr2));
  const u32 result = vmx_switch(launched ? 1 : 0, registers.gpr.data());
  cr2 = read_control_register<2>();
  return static_cast<Status>(result);
}

}  // namespace bunshin::vmm::bare
