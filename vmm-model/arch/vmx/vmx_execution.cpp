#include "vmm-model/arch/vmx/vmx_execution.h"

#include "vmm-model/message.h"

namespace bunshin::vmm::vmx {

namespace {

constexpr u32 task_priority_offset = 0x80;  // of the virtual-APIC page (29.1.1)
constexpr std::array<u32, 5> resident_numbers{msr::star, msr::lstar, msr::cstar, msr::sfmask, msr::kernel_gs_base};

/// The field that holds a StateField as it is; 0, which has no such state: there is none.
constexpr Field direct_field(StateField field) {
  switch (field) {
    case StateField::rip: return Field::GuestRip;
    case StateField::rflags: return Field::GuestRflags;
    case StateField::dr7: return Field::GuestDr7;
    case StateField::sysenter_cs: return Field::GuestSysenterCs;
    case StateField::sysenter_esp: return Field::GuestSysenterEsp;
    case StateField::sysenter_eip: return Field::GuestSysenterEip;
    default: return Field{};
  }
}

/// VMCB's form of attributes (registers.h) to access rights and back: bits 11:8 are bits 15:12.
constexpr u32 rights_of(const SegmentState& s) {
  const u32 unusable = (s.attributes & segment::P) == 0 ? rights::unusable : 0;
  return (s.attributes & 0xffu) | (s.attributes >> 8 & 0xfu) << 12 | unusable;
}
constexpr u16 attributes_of(u32 access_rights) {
  const u32 present = (access_rights & rights::unusable) != 0 ? u32{rights::P} : 0;
  return static_cast<u16>(((access_rights & 0xff) & ~present) | (access_rights >> 12 & 0xf) << 8);
}

unsigned number_of(SegmentName name) { return static_cast<unsigned>(name); }

/// Selector fields go ES, CS, SS, DS, FS, GS, LDTR, TR, as SegmentName does; GDTR and IDTR follow in limits and bases.
bool has_selector(SegmentName name) { return name <= SegmentName::tr; }

}  // namespace

VmxExecution::VmxExecution(Hardware& hardware, VmxProcessor& processor, const VmxPages& pages, u16 vpid)
    : hardware_(hardware), processor_(processor), vmcs_(processor, pages.vmcs), pages_(pages), vpid_(vpid) {
  write_initial_controls();
  vmcs_.write(Field::GuestRflags, rflags::fixed);
  vmcs_.write(Field::GuestDr7, 0x400);
}

void VmxExecution::write_initial_controls() {
  const Capabilities& c = processor_.capabilities();
  vmcs_.make_current();
  processor_.instructions().write_host_state();
  vmcs_.write(Field::PinControls, c.start.pin);
  vmcs_.write(Field::PrimaryControls, c.start.primary);
  vmcs_.write(Field::ExitControls, c.start.exit);
  vmcs_.write(Field::EntryControls, c.start.entry);
  if ((c.start.primary & primary::secondary) != 0) {
    vmcs_.write(Field::SecondaryControls, c.start.secondary | (vpid_ != 0 ? secondary::vpid : 0));
  }
  if (vpid_ != 0) vmcs_.write(Field::VirtualProcessorId, vpid_);
  if (c.msr_bitmaps) vmcs_.write(Field::MsrBitmaps, processor_.msr_bitmap().value);
  if (c.tpr_shadow) {
    vmcs_.write(Field::VirtualApic, pages_.virtual_apic.value);
    vmcs_.write(Field::TprThreshold, 0);
  }
  for (const Field zero :
       {Field::PageFaultMask, Field::PageFaultMatch, Field::Cr3TargetCount, Field::ExitMsrStoreCount,
        Field::ExitMsrLoadCount, Field::EntryMsrLoadCount, Field::EntryInterruption, Field::GuestDebugControl,
        Field::GuestInterruptibility, Field::GuestActivity, Field::GuestPendingDebug}) {
    vmcs_.write(zero, 0);
  }
  // An alignment check on the way into its own handler repeats for ever, and no interrupt comes between.
  vmcs_.write(Field::ExceptionBitmap, 1 << vector::AC);
  vmcs_.write(Field::LinkPointer, ~u64{0});
}

u64* VmxExecution::resident(StateField field) {
  if (field < StateField::star || field > StateField::kernel_gs_base) return nullptr;
  return &resident_[static_cast<unsigned>(field) - static_cast<unsigned>(StateField::star)];
}

void VmxExecution::move_in() {
  if (processor_.occupant() == this) return;
  if (processor_.occupant() != nullptr) processor_.occupant()->move_out();
  for (unsigned i = 0; i < resident_msrs; ++i) hardware_.write_msr(resident_numbers[i], resident_[i]);
  processor_.occupant() = this;
}

void VmxExecution::move_out() {
  for (unsigned i = 0; i < resident_msrs; ++i) resident_[i] = hardware_.read_msr(resident_numbers[i]);
  processor_.occupant() = nullptr;
}

u64 VmxExecution::get(StateField field) {
  if (const Field direct = direct_field(field); direct != Field{}) return vmcs_.read(direct);
  if (u64* value = resident(field)) {
    if (processor_.occupant() == this) move_out();
    return *value;
  }
  switch (field) {
    case StateField::cr0: return (cr0_ & cr0_mask_) | (vmcs_.read(Field::GuestCr0) & ~cr0_mask_);
    case StateField::cr2: return cr2_;
    case StateField::cr3: return cr3_is_guests_ ? vmcs_.read(Field::GuestCr3) : cr3_;
    case StateField::cr4: return (cr4_ & cr4_mask_) | (vmcs_.read(Field::GuestCr4) & ~cr4_mask_);
    case StateField::efer: return efer_;
    case StateField::cpl: return vmcs_.read(Field::GuestSsRights) >> rights::dpl_shift & 3;
    case StateField::dr6: return dr6_;
    case StateField::pat: return pat_;
    case StateField::interrupt_shadow:
      return (vmcs_.read(Field::GuestInterruptibility) & (interruptibility::sti | interruptibility::mov_ss)) != 0;
    case StateField::task_priority:
      return processor_.capabilities().tpr_shadow ? hardware_.load(pages_.virtual_apic + task_priority_offset, 1) >> 4
                                                  : task_priority_;
    default: return 0;
  }
}

void VmxExecution::set(StateField field, u64 value) {
  if (const Field direct = direct_field(field); direct != Field{}) return vmcs_.write(direct, value);
  if (u64* kept = resident(field)) {
    if (processor_.occupant() == this) move_out();
    *kept = value;
    return;
  }
  switch (field) {
    case StateField::cr2: cr2_ = value; return;
    case StateField::dr6: dr6_ = value; return;
    case StateField::pat:
      pat_ = value;
      if (eptp_ != 0 && processor_.capabilities().load_pat) vmcs_.write(Field::GuestPat, value);
      return;
    // The privilege level is the stack segment's (24.4.1).
    case StateField::cpl:
      vmcs_.change_bits(Field::GuestSsRights, u64{3} << rights::dpl_shift, false);
      return vmcs_.change_bits(Field::GuestSsRights, value << rights::dpl_shift, true);
    case StateField::interrupt_shadow:
      vmcs_.change_bits(Field::GuestInterruptibility, interruptibility::sti | interruptibility::mov_ss, false);
      if (value != 0) vmcs_.change_bits(Field::GuestInterruptibility, interruptibility::sti, true);
      return;
    case StateField::task_priority:
      task_priority_ = value & 15;
      return hardware_.store(pages_.virtual_apic + task_priority_offset, 1, task_priority_ << 4);
    default: break;
  }
  adopt_control_registers();
  if (field == StateField::cr0) cr0_ = value;
  if (field == StateField::cr3) cr3_ = value;
  if (field == StateField::cr4) cr4_ = value;
  if (field == StateField::efer) efer_ = value;
  load_control_registers();
}

SegmentState VmxExecution::segment(SegmentName name) {
  const unsigned n = number_of(name);
  if (!has_selector(name)) {
    const unsigned table = n - number_of(SegmentName::gdtr);
    return {0, 0, vmcs_.read32(Field::GuestGdtrLimit + table), vmcs_.read(Field::GuestGdtrBase + table)};
  }
  return {static_cast<u16>(vmcs_.read(Field::GuestEs + n)), attributes_of(vmcs_.read32(Field::GuestEsRights + n)),
          vmcs_.read32(Field::GuestEsLimit + n), vmcs_.read(Field::GuestEsBase + n)};
}

u64 VmxExecution::segment_base(SegmentName name) {
  return has_selector(name) ? vmcs_.read(Field::GuestEsBase + number_of(name)) : segment(name).base;
}

u16 VmxExecution::segment_attributes(SegmentName name) {
  return has_selector(name) ? attributes_of(vmcs_.read32(Field::GuestEsRights + number_of(name))) : u16{0};
}

void VmxExecution::set_segment(SegmentName name, const SegmentState& state) {
  const unsigned n = number_of(name);
  if (!has_selector(name)) {
    const unsigned table = n - number_of(SegmentName::gdtr);
    vmcs_.write(Field::GuestGdtrLimit + table, state.limit);
    vmcs_.write(Field::GuestGdtrBase + table, state.base);
    return;
  }
  vmcs_.write(Field::GuestEs + n, state.selector);
  vmcs_.write(Field::GuestEsRights + n, rights_of(state));
  vmcs_.write(Field::GuestEsLimit + n, state.limit);
  vmcs_.write(Field::GuestEsBase + n, state.base);
}

// The entry delivers it, and writes DR6 (26.7.3). The field has no bit for a task's T flag.
Event VmxExecution::debug_trap(u64 causes) {
  constexpr u64 single_step = 1 << 14;
  vmcs_.write(Field::GuestPendingDebug, causes & single_step);
  return {};
}

// 24.8.3. An event of an instruction needs the instruction's length, to return behind it.
void VmxExecution::inject(const Event& e) {
  if (!e) return vmcs_.write(Field::EntryInterruption, 0);
  u32 type = interruption::external;
  if (e.kind == Event::Kind::Nmi) type = interruption::nmi;
  if (e.kind == Event::Kind::Exception) type = interruption::hardware;
  if (e.kind == Event::Kind::Software) {
    type = interruption::software;
    vmcs_.write(Field::EntryInstructionLength, software_event_length_);
  }
  u32 information = interruption::valid | type << interruption::type_shift | e.vector;
  if (e.has_error_code) {
    information |= interruption::error_code;
    vmcs_.write(Field::EntryErrorCode, e.error_code);
  }
  vmcs_.write(Field::EntryInterruption, information);
}

/// What keeps the processor from running the guest as it stands; empty: nothing.
std::string_view VmxExecution::cannot_run() const {
  const bool real_mode = (cr0_ & cr0::PE) == 0;
  const bool can = eptp_ != 0 && processor_.capabilities().unrestricted_guest;
  return real_mode && !can ? "real mode needs nested paging on a processor with unrestricted guest" : "";
}

Exit VmxExecution::refused(std::string_view why) {
  Message message;
  message << "VT-x: " << why << "\n";
  hardware_.log(message.text());
  Exit exit;
  exit.reason = ExitReason::EntryFailure;
  return exit;
}

Exit VmxExecution::enter() {
  if (const std::string_view why = cannot_run(); !why.empty()) return refused(why);
  vmcs_.write(Field::GuestRsp, registers[rsp]);
  vmcs_.make_current();
  move_in();
  processor_.load_efer(hardware_, processor_efer_);
  if (flush_) processor_.forget_translations(vpid_, eptp_);
  flush_ = false;
  const Status status = processor_.instructions().enter(launched_, registers, cr2_);
  if (status != Status::Succeed) {
    Message why;
    why << "VM entry fails";
    if (status == Status::FailValid) why << " with VM-instruction error " << vmcs_.read(Field::InstructionError);
    return refused(why.text());
  }
  launched_ = true;
  vmcs_.guest_has_run();
  registers[rsp] = vmcs_.read(Field::GuestRsp);
  return read_exit();
}

}  // namespace bunshin::vmm::vmx
