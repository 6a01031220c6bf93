#include "vmm-model/arch/svm/svm_execution.h"

namespace bunshin::vmm::svm {

namespace {

/// Where a VMCB keeps each StateField; 0: not there as it is.
constexpr std::array<u32, static_cast<unsigned>(StateField::count)> field_offsets{save::rip,
                                                                                  save::rflags,
                                                                                  save::cr0,
                                                                                  save::cr2,
                                                                                  save::cr3,
                                                                                  save::cr4,
                                                                                  save::efer,
                                                                                  0,
                                                                                  save::dr6,
                                                                                  save::dr7,
                                                                                  save::pat,
                                                                                  save::star,
                                                                                  save::lstar,
                                                                                  save::cstar,
                                                                                  save::sfmask,
                                                                                  save::kernel_gs_base,
                                                                                  save::sysenter_cs,
                                                                                  save::sysenter_esp,
                                                                                  save::sysenter_eip,
                                                                                  0,
                                                                                  0};

constexpr std::array<u32, static_cast<unsigned>(SegmentName::count)> segment_offsets{
    save::es, save::cs, save::ss, save::ds, save::fs, save::gs, save::ldtr, save::tr, save::gdtr, save::idtr};

constexpr u32 always_1 = intercept::intr | intercept::nmi | intercept::smi | intercept::init | intercept::rdpmc |
                         intercept::cpuid | intercept::invd | intercept::hlt | intercept::invlpga | intercept::io |
                         intercept::msr | intercept::shutdown;
constexpr u32 always_2 = intercept::vmrun | intercept::vmmcall | intercept::vmload | intercept::vmsave |
                         intercept::stgi | intercept::clgi | intercept::skinit | intercept::icebp | intercept::wbinvd |
                         intercept::monitor | intercept::mwait | intercept::xsetbv;

}  // namespace

SvmExecution::SvmExecution(Hardware& hardware, SvmProcessor& processor, HostPhysical vmcb)
    : hardware_(hardware), processor_(processor), vmcb_(vmcb) {
  // A debug exception or alignment check on the way into its own handler repeats for ever, and no interrupt comes between.
  store(control::intercept_exceptions, 1 << vector::DB | 1 << vector::AC, 4);
  store(control::intercept_1, always_1, 4);
  store(control::intercept_2, always_2, 4);
  store(control::io_permissions, processor.io_permissions().value);
  store(control::msr_permissions, processor.msr_permissions().value);
  store(control::virtual_interrupt, virtual_interrupt::masking);
  store(save::pat, 0x0007'0406'0007'0406);
  store(save::dr6, 0xffff'0ff0);
  store(save::dr7, 0x400);
  store(save::rflags, rflags::fixed);
  // EFER.SVME must be set in a guest (15.5.1); it does not see it.
  store(save::efer, efer::SVME);
}

void SvmExecution::change_bits(u32 offset, u32 bits, bool set) {
  const u32 old = static_cast<u32>(load(offset, 4));
  store(offset, set ? old | bits : old & ~bits, 4);
}

u64 SvmExecution::get(StateField field) {
  switch (field) {
    case StateField::cpl: return load(save::cpl, 1);
    case StateField::interrupt_shadow: return load(control::interrupt_shadow) & 1;
    case StateField::task_priority: return load(control::virtual_interrupt) & virtual_interrupt::tpr_mask;
    case StateField::cr0:
      if (shadowed_) return cr0_;
      break;
    case StateField::cr3:
      if (shadowed_) return cr3_;
      break;
    case StateField::cr4:
      if (shadowed_) return cr4_;
      break;
    case StateField::efer: return shadowed_ ? efer_ : load(save::efer) & ~efer::SVME;
    default: break;
  }
  return load(field_offsets[static_cast<unsigned>(field)]);
}

void SvmExecution::set(StateField field, u64 value) {
  switch (field) {
    case StateField::cpl: return store(save::cpl, value, 1);
    case StateField::interrupt_shadow: return store(control::interrupt_shadow, value);
    case StateField::task_priority:
      return store(control::virtual_interrupt,
                   (load(control::virtual_interrupt) & ~virtual_interrupt::tpr_mask) | (value & 15));
    case StateField::cr0: cr0_ = value; break;
    case StateField::cr3: cr3_ = value; break;
    case StateField::cr4: cr4_ = value; break;
    case StateField::efer:
      efer_ = value;
      value |= efer::SVME;
      break;
    default: break;
  }
  const bool controls =
      field == StateField::cr0 || field == StateField::cr3 || field == StateField::cr4 || field == StateField::efer;
  if (shadowed_ && controls) return load_control_registers();
  store(field_offsets[static_cast<unsigned>(field)], value);
}

SegmentState SvmExecution::segment(SegmentName name) {
  const u32 at = segment_offsets[static_cast<unsigned>(name)];
  return {static_cast<u16>(load(at, 2)), static_cast<u16>(load(at + 2, 2)), static_cast<u32>(load(at + 4, 4)),
          load(at + 8)};
}

void SvmExecution::set_segment(SegmentName name, const SegmentState& state) {
  const u32 at = segment_offsets[static_cast<unsigned>(name)];
  store(at, state.selector, 2);
  store(at + 2, state.attributes, 2);
  store(at + 4, state.limit, 4);
  store(at + 8, state.base);
}

void SvmExecution::use_second_stage(HostPhysical root) {
  store(control::nested_control, 1);
  store(control::nested_cr3, root.value);
  flush_ = true;
}

void SvmExecution::use_shadow(HostPhysical root) {
  constexpr u32 paging_registers = 1 << 0 | 1 << 3 | 1 << 4;
  if (!shadowed_) {
    shadowed_ = true;
    cr0_ = load(save::cr0);
    cr3_ = load(save::cr3);
    cr4_ = load(save::cr4);
    efer_ = load(save::efer) & ~efer::SVME;
    store(control::intercept_cr_reads, paging_registers, 2);
    store(control::intercept_cr_writes, paging_registers, 2);
    change_bits(control::intercept_exceptions, 1 << vector::PF, true);
    // A task switch would load the guest's CR3 behind the shadow's back (15.14.1).
    change_bits(control::intercept_1, intercept::task_switch, true);
    // Memory types are the host's: the guest's PAT indexes nothing in a shadow table.
    store(control::nested_control, 0);
  }
  shadow_root_ = root;
  load_control_registers();
  flush_ = true;
}

// The processor pages through the shadow whether the guest pages or not (15.19: paged real mode), always with the
// formats that have NX, and always obeys read-only entries.
void SvmExecution::load_control_registers() {
  const bool long_mode = (efer_ & efer::LMA) != 0;
  u64 real_efer = (efer_ & ~(efer::LME | efer::LMA)) | efer::SVME | efer::NXE;
  if (long_mode) real_efer |= efer::LME | efer::LMA;
  store(save::cr0, cr0_ | cr0::PG | cr0::WP);
  store(save::cr3, shadow_root_.value);
  // A guest that does not page has no user pages to be kept from.
  const u64 paging_only = (cr0_ & cr0::PG) == 0 ? cr4::SMEP | cr4::SMAP : 0;
  store(save::cr4, (cr4_ | cr4::PAE) & ~(paging_only | cr4::PGE | cr4::PCIDE | cr4::LA57 | cr4::PKE | cr4::PSE));
  store(save::efer, real_efer);
}

void SvmExecution::intercept_invlpg(bool wanted) { change_bits(control::intercept_1, intercept::invlpg, wanted); }

void SvmExecution::flush_page(Linear address) { hardware_.invalidate_guest_page(address, tag_.asid); }

void SvmExecution::inject(const Event& e) {
  if (!e) return store(control::event_injection, 0);
  u64 type = event::external;
  if (e.kind == Event::Kind::Nmi) type = event::nmi;
  if (e.kind == Event::Kind::Exception) type = event::exception;
  if (e.kind == Event::Kind::Software) type = event::software;
  u64 value = event::valid | type << event::type_shift | e.vector;
  if (e.has_error_code) value |= event::error_valid | u64{e.error_code} << 32;
  store(control::event_injection, value);
}

bool SvmExecution::event_pending() { return (load(control::event_injection) & event::valid) != 0; }

// A virtual interrupt whose arrival is intercepted (15.21.4): of the highest priority, or of that which the task priority must
// fall below.
void SvmExecution::request_window() {
  u64 v = load(control::virtual_interrupt) & (virtual_interrupt::tpr_mask | virtual_interrupt::masking);
  if (interrupt_window_) {
    v |= virtual_interrupt::irq | u64{15} << virtual_interrupt::priority_shift | virtual_interrupt::ignore_tpr;
  } else if (priority_window_ != 0) {
    v |= virtual_interrupt::irq | u64{priority_window_} << virtual_interrupt::priority_shift;
  }
  store(control::virtual_interrupt, v);
  change_bits(control::intercept_1, intercept::vintr, interrupt_window_ || priority_window_ != 0);
}

void SvmExecution::request_interrupt_window(bool wanted) {
  interrupt_window_ = wanted;
  request_window();
}

void SvmExecution::request_priority_window(u8 priority_class) {
  if (priority_class == priority_window_) return;
  priority_window_ = priority_class;
  request_window();
}

// 15.16: the TLB keeps translations by their identifier, so that those of a guest outlive the turns of others.
void SvmExecution::choose_tag() {
  const bool same = processor_.valid(tag_) && (!flush_ || processor_.flushes_by_asid());
  const u8 flush = same ? (flush_ ? flush_guest : u8{0}) : (processor_.renew(tag_) ? flush_all : u8{0});
  store(control::asid, tag_.asid, 4);
  store(control::tlb_control, flush, 1);
  flush_ = false;
}

Exit SvmExecution::enter() {
  store(save::rax, registers[rax]);
  store(save::rsp, registers[rsp]);
  choose_tag();
  hardware_.run_vmcb(vmcb_, processor_.host_state(), registers);
  registers[rax] = load(save::rax);
  registers[rsp] = load(save::rsp);
  store(control::event_injection, 0);
  return read_exit();
}

}  // namespace bunshin::vmm::svm
