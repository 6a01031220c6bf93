#include "vmm-model/hosted/hosted_vmx.h"

namespace bunshin::vmm {

using vmx::Field;
using vmx::Status;

Status HostedVmx::turn_on(HostPhysical region) {
  using namespace vmx::vmx_msr;
  const CpuState& s = hardware_.world().state();
  const u64 cr0 = (s.cr0 | hardware_.read_msr(cr0_fixed0)) & hardware_.read_msr(cr0_fixed1);
  const u64 cr4 = (s.cr4 | hardware_.read_msr(cr4_fixed0)) & hardware_.read_msr(cr4_fixed1);
  gpr(rax) = cr0;
  gpr(rdx) = cr4;
  hardware_.execute(Routine::SetControlRegisters);
  return on_region(Routine::VmxOn, region);
}

Status HostedVmx::on_region(Routine routine, HostPhysical region) {
  hardware_.world().put(0, region.value);
  gpr(rdi) = HostedWorld::scratch().value;
  hardware_.execute(routine);
  const u64 flags = hardware_.world().state().flags.value();
  return (flags & rflags::CF) != 0   ? Status::FailInvalid
         : (flags & rflags::ZF) != 0 ? Status::FailValid
                                     : Status::Succeed;
}

u64 HostedVmx::read(Field field) {
  hardware_.count_field();
  gpr(rcx) = static_cast<u64>(field);
  gpr(rax) = 0;
  hardware_.execute(Routine::VmRead);
  return gpr(rax);
}

void HostedVmx::write(Field field, u64 value) {
  hardware_.count_field();
  gpr(rcx) = static_cast<u64>(field);
  gpr(rax) = value;
  hardware_.execute(Routine::VmWrite);
}

void HostedVmx::invalidate(Routine routine, vmx::Scope scope, u64 first, u64 second) {
  hardware_.world().put(0, first);
  hardware_.world().put(8, second);
  gpr(rdi) = HostedWorld::scratch().value;
  gpr(rax) = static_cast<u64>(scope);
  hardware_.execute(routine);
}

void HostedVmx::write_host_state() {
  const CpuState& s = hardware_.world().state();
  write(Field::HostCs, s.segment(Seg::CS).selector);
  for (const Field data : {Field::HostEs, Field::HostSs, Field::HostDs}) write(data, s.segment(Seg::DS).selector);
  for (const Field null : {Field::HostFs, Field::HostGs}) write(null, 0);
  write(Field::HostTr, s.tr.selector);
  for (const Field base : {Field::HostFsBase, Field::HostGsBase, Field::HostTrBase, Field::HostSysenterCs,
                           Field::HostSysenterEsp, Field::HostSysenterEip}) {
    write(base, 0);
  }
  write(Field::HostGdtrBase, s.gdtr.base);
  write(Field::HostIdtrBase, s.idtr.base);
  write(Field::HostCr0, s.cr0);
  write(Field::HostCr3, s.cr3);
  write(Field::HostCr4, s.cr4);
  write(Field::HostRip, HostedWorld::vmx_exit_address());
}

// CR2 is in no VMCS. Reading it is cheap and writing it is not.
Status HostedVmx::enter(bool launched, GeneralRegisters& registers, u64& cr2) {
  hardware_.execute(Routine::ReadCr2);
  if (cr2 != gpr(rax)) {
    gpr(rax) = cr2;
    hardware_.execute(Routine::WriteCr2);
  }
  const HostPhysical area = hardware_.begin_switch(registers);
  gpr(rdi) = launched ? 1 : 0;
  gpr(rsi) = area.value;
  hardware_.execute(Routine::VmxSwitch);
  const auto status = static_cast<Status>(gpr(rax));
  hardware_.end_switch(registers);
  hardware_.execute(Routine::ReadCr2);
  cr2 = gpr(rax);
  return status;
}

}  // namespace bunshin::vmm
