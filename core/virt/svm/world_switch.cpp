// VMRUN and #VMEXIT (AMD APM vol. 2, 15.5 and 15.6), in the manual's steps.

#include <cstring>

#include "core/events/debug.h"
#include "core/system/control_registers.h"
#include "core/system/msr.h"
#include "core/virt/physical_access.h"
#include "core/virt/svm/consistency.h"
#include "core/virt/svm/event_field.h"
#include "core/virt/svm/state.h"
#include "core/virt/svm/svm.h"

namespace bunshin::svm {

namespace {

/// The area's format is the processor's own business (15.30.4): a state-save area where a VMCB's would lie, so that a VMSAVE into
/// the same page, as hypervisors do it, finds its place.
template <class Transfer>
void for_host_fields(VmcbSave& save, Transfer transfer) {
  const auto piece = [&](u64 offset, u64 bytes) {
    transfer(offset, std::span<u8>(reinterpret_cast<u8*>(&save) + (offset - save_area), bytes));
  };
  piece(0x400, 0x40);  // ES, CS, SS, DS
  piece(0x460, 0x10);  // GDTR
  piece(0x480, 0x10);  // IDTR
  piece(0x4d0, 8);     // EFER
  piece(0x548, 0x38);  // CR4, CR3, CR0, DR7, DR6, RFLAGS, RIP
  piece(0x5d8, 8);     // RSP
  piece(0x5f8, 8);     // RAX
}

ConsistencyContext context_of(const Cpu& cpu) {
  return {cpu.profile, cr4_writable(cpu.profile), efer_writable(cpu) | efer::SVME, cpu.state.paging()};
}

PagingMode nested_mode(const CpuState& host) {
  if (host.long_mode_active()) return (host.cr4 & cr4::LA57) != 0 ? PagingMode::FiveLevel : PagingMode::FourLevel;
  return (host.cr4 & cr4::PAE) != 0 ? PagingMode::Pae : PagingMode::TwoLevel;
}

bool legacy_pae(const CpuState& s) { return s.paging() && (s.cr4 & cr4::PAE) != 0 && !s.long_mode_active(); }

}  // namespace

/// 15.5.1. The host's state is saved before the guest's is looked at.
void Svm::vmrun(u64 address) {
  VmcbSave host{};
  save_host_state(cpu_.state, host);
  for_host_fields(host, [this](u64 offset, std::span<u8> bytes) {
    write_physical(cpu_, HostPhysical(registers_.hsave + offset), std::span<const u8>(bytes));
  });
  read_vmcb(HostPhysical(address));
  if (!has_feature(Feature::Npt)) vmcb_.control.nested_control = 0;
  if (!has_feature(Feature::Lbrv)) vmcb_.control.virtual_control = 0;
  const std::string_view broken_rule = inconsistency(vmcb_, context_of(cpu_));
  if (broken_rule.empty())
    enter_guest();
  else
    refuse_entry(broken_rule);
}

void Svm::enter_guest() {
  CpuState& s = cpu_.state;
  const bool nested = nested_paging();
  host_.interrupts = (s.flags.system & rflags::IF) != 0;
  host_.pat = s.msr.pat;
  host_.branches = {s.msr.debugctl, s.msr.branch_from[0], s.msr.branch_to[0], s.msr.exception_from, s.msr.exception_to};
  if (nested) set_up_nested_paging();
  load_guest_state(s, vmcb_.save, cpu_.profile.linear_bits());
  if (nested) s.msr.pat = vmcb_.save.pat;
  if ((vmcb_.control.virtual_control & virtual_branch_records) != 0) load_branch_state(s, vmcb_.save);
  cpu_.guest_tag = vmcb_.control.asid;
  cpu_.pdptes_in_memory = nested;
  cpu_.mmu.set_second_stage(nested ? &stage_ : nullptr);
  s.interrupt_shadow = (vmcb_.control.interrupt_shadow & 1) != 0;
  s.debug_shadow = false;
  s.pending_debug = 0;
  injected_ = decode_injection(vmcb_.control.event_injection);
  pauses_left_ = has_feature(Feature::Pausefilter) ? vmcb_.control.pause_filter_count : 0;
  gif_ = true;
  pending_exit_.reset();
  static_cast<void>(take_interrupted());
  cpu_.update_mode();
  apply_tlb_control();
  // Shadow tables of PAE paging have their pointers in registers, like any.
  if (!nested && legacy_pae(s)) {
    if (!cpu_.mmu.load_pdptes(s.cr3, s.pdpte)) {
      load_host();
      refuse_entry(pdptes_rule);
      return;
    }
    cpu_.update_mode();
  }
  entered_guest();
}

/// The guest's state in the VMCB stays as it is.
void Svm::refuse_entry(std::string_view broken_rule) {
  gif_ = false;
  record_exit({ExitCode::Invalid}, nullptr);
  vmcb_.control.event_injection = 0;
  write_physical(cpu_, *vmcb_address_ + offsetof(Vmcb, control.exit_code), vmcb_.control.exit_code);
  write_physical(cpu_, *vmcb_address_ + offsetof(Vmcb, control.event_injection), vmcb_.control.event_injection);
  const u64 rip = vmcb_.save.rip;
  vmcb_address_.reset();
  constexpr auto invalid = static_cast<u32>(ExitCode::Invalid);
  left_guest({invalid, 0, 0, rip, invalid, broken_rule});
  watch_events();
}

/// The host's own paging is the nested tables' format (15.25.3).
void Svm::set_up_nested_paging() {
  const CpuState& host = cpu_.state;
  SecondStageContext context;
  context.mode = nested_mode(host);
  context.root = vmcb_.control.nested_cr3;
  context.gigabyte_pages = cpu_.profile.has(Feature::Pdpe1gb);
  context.no_execute = (host.msr.efer & efer::NXE) != 0;
  context.pse = (host.cr4 & cr4::PSE) != 0;
  context.pse36 = cpu_.profile.has(Feature::Pse36);
  context.physical_bits = static_cast<unsigned>(cpu_.profile.physical_bits);
  context.tag = vmcb_.control.asid;
  stage_.set_context(context);
}

/// 15.16, TLB_CONTROL. Codes that are reserved flush all there is.
void Svm::apply_tlb_control() {
  const auto control = static_cast<TlbControl>(vmcb_.control.tlb_control & 0xff);
  if (control == TlbControl::Nothing) return;
  const bool by_asid = has_feature(Feature::Flushbyasid);
  if (by_asid && control == TlbControl::FlushGuest)
    cpu_.mmu.flush_guest(vmcb_.control.asid);
  else if (by_asid && control == TlbControl::FlushGuestNonGlobal)
    cpu_.mmu.flush_guest_non_global(vmcb_.control.asid);
  else
    cpu_.mmu.flush_all_guests();
}

ExitReason Svm::reason_of(const Fault& why) const {
  if (why.exit == GuestExit::SecondStage) {
    const SecondStageFault& fault = stage_.fault();
    const bool fetch = (fault.qualification & page_fault::ID) != 0;
    return {ExitCode::NestedPageFault, fault.qualification, fault.address.value, 0, !fetch};
  }
  if (pending_exit_) return *pending_exit_;
  return {due_exit().value_or(ExitCode::Intr)};
}

void Svm::leave_guest(const Fault& why, const Event* delivering) {
  const ExitReason reason = reason_of(why);
  exit_guest(reason, delivering);
}

/// 15.6. Step by step: reason, guest's state, host's state.
void Svm::exit_guest(const ExitReason& reason, const Event* delivering) {
  CpuState& s = cpu_.state;
  pending_exit_.reset();
  if (reason.trap_rip) s.rip = *reason.trap_rip;
  record_exit(reason, delivering);
  record_instruction(reason);
  save_guest_state(s, vmcb_.save);
  vmcb_.control.interrupt_shadow = s.interrupt_shadow ? 1 : 0;
  vmcb_.control.event_injection = 0;
  if (nested_paging()) vmcb_.save.pat = s.msr.pat;
  if ((vmcb_.control.virtual_control & virtual_branch_records) != 0) save_branch_state(s, vmcb_.save);
  write_vmcb();
  gif_ = false;
  const u64 rip = s.rip;
  load_host();
  left_guest({static_cast<u32>(reason.code), reason.info_1, reason.info_2, rip});
  watch_events();
}

void Svm::record_exit(const ExitReason& reason, const Event* delivering) {
  VmcbControl& c = vmcb_.control;
  c.exit_code = static_cast<u64>(reason.code);
  c.exit_info_1 = reason.info_1;
  c.exit_info_2 = reason.info_2;
  c.exit_interrupt_info = delivering == nullptr ? 0 : encode_event(*delivering);
  // The injection had not begun.
  if (injected_ && delivering == nullptr) c.exit_interrupt_info = encode_event(*injected_);
  injected_.reset();
  c.next_rip = reason.next_rip;
}

/// Decode assists: the bytes that were fetched, as far as they can be.
void Svm::record_instruction(const ExitReason& reason) {
  VmcbControl& c = vmcb_.control;
  c.fetched_bytes = 0;
  c.instruction_bytes = {};
  if (!reason.shows_instruction || !has_feature(Feature::DecodeAssists)) return;
  const CpuState& s = cpu_.state;
  for (u8& byte : c.instruction_bytes) {
    const u64 rip = s.rip + c.fetched_bytes;
    const u64 linear = s.code64() ? rip : static_cast<u32>(s.segment(Seg::CS).base + rip);
    const auto physical = cpu_.mmu.peek(Linear(linear));
    if (!physical || !cpu_.memory.read(*physical, {&byte, 1})) return;
    ++c.fetched_bytes;
  }
}

/// What may be loaded is checked as at VMRUN: a host that has spoilt its own save area shuts down.
void Svm::load_host() {
  CpuState& s = cpu_.state;
  VmcbSave host{};
  for_host_fields(host, [this](u64 offset, std::span<u8> bytes) {
    read_physical(cpu_, HostPhysical(registers_.hsave + offset), bytes);
  });
  const bool legal = state_inconsistency(host, context_of(cpu_)).empty();
  if (nested_paging()) s.msr.pat = host_.pat;
  if ((vmcb_.control.virtual_control & virtual_branch_records) != 0) {
    s.msr.debugctl = host_.branches[0];
    s.msr.branch_from[0] = host_.branches[1];
    s.msr.branch_to[0] = host_.branches[2];
    s.msr.exception_from = host_.branches[3];
    s.msr.exception_to = host_.branches[4];
  }
  load_host_state(s, host, cpu_.profile.linear_bits());
  s.interrupt_shadow = s.debug_shadow = false;
  s.pending_debug = 0;
  // Whether a line stays watched the manual does not say; one of the guest's is nothing to the host.
  cpu_.disarm_monitor();
  cpu_.end_wait();
  cpu_.leave = Leave::None;
  translate_for_host();
  const bool pointers = !legacy_pae(s) || cpu_.mmu.load_pdptes(s.cr3, s.pdpte);
  if (!legal || !pointers) s.activity = Activity::Shutdown;
  cpu_.update_mode();
}

/// INIT takes the processor from the guest without a #VMEXIT.
void Svm::abandon_guest() {
  injected_.reset();
  pending_exit_.reset();
  vmcb_address_.reset();
  cpu_.guest = nullptr;
  translate_for_host();
  watch_events();
}

}  // namespace bunshin::svm
