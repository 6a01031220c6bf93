#include "core/virt/vmx/vmx.h"

#include "core/virt/vmx/exit_reasons.h"

namespace bunshin::vmx {

Vmx::Vmx(Cpu& cpu) : Virtualization(cpu), capabilities_(cpu.profile), stage_(cpu.memory), tags_(cpu.mmu) {}

Vmx::~Vmx() = default;

ExitTable Vmx::exit_table() const { return vmx::exit_table(); }

void Vmx::reset() {
  in_operation_ = init_held_ = false;
  vmxon_pointer_ = 0;
  current_vmcs_ = no_vmcs;
  c_ = {};
  link_pointer_ = no_vmcs;
  injected_.reset();
  pending_.reset();
  trap_exit_.reset();
  monitor_trap_ = MonitorTrap::Off;
  virtual_nmi_blocked_ = virtual_interrupt_pending_ = false;
  timer_expiry_ = unblocking_iret_ = ~u64{0};
  interrupt_status_ = 0;
  tags_.reset();
  cpu_.guest = nullptr;
  cpu_.event_gate = nullptr;
  translate_for_host();
}

/// The running guest's controls are those in its VMCS, in memory; what is left is what this object alone knows.
void Vmx::hash(StateHash& hash) const {
  if (!in_operation_) return;
  for (const u64 v : {vmxon_pointer_, current_vmcs_, link_pointer_, u64{init_held_}}) hash.add(v);
  if (!in_guest()) return;
  hash.add(timer_expiry_);
  hash.add(u64{interrupt_status_} | u64{virtual_nmi_blocked_} << 16 | u64{virtual_interrupt_pending_} << 17 |
           static_cast<u64>(monitor_trap_) << 18 | u64{injected_.has_value()} << 20 |
           u64{trap_exit_.has_value()} << 21);
}

}  // namespace bunshin::vmx
