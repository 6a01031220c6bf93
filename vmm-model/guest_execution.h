#pragma once

// A guest's processor as the machine can run it: enter it, learn why it was left, read and change its state. Back ends: svm
// (arch/svm), vtx and deprivileged. Exit handlers and paging modes are written against this alone.

#include "base/address.h"
#include "vmm-model/exit.h"
#include "vmm-model/registers.h"
#include "vmm-model/software_processor.h"

namespace bunshin::vmm {

/// State beside general and segment registers. Control registers are what the guest believes they are.
enum class StateField : u8 {
  rip,
  rflags,
  cr0,
  cr2,
  cr3,
  cr4,
  efer,
  cpl,
  dr6,
  dr7,
  pat,
  star,
  lstar,
  cstar,
  sfmask,
  kernel_gs_base,
  sysenter_cs,
  sysenter_esp,
  sysenter_eip,
  interrupt_shadow,
  task_priority,
  count
};

/// The format of the second stage's tables.
enum class SecondStageFormat : u8 { None, Npt, Ept };

class GuestExecution {
 public:
  GeneralRegisters registers;

  virtual u64 get(StateField field) = 0;
  virtual void set(StateField field, u64 value) = 0;
  virtual SegmentState segment(SegmentName name) = 0;
  /// Parts of it, where reading all would cost more.
  virtual u64 segment_base(SegmentName name) { return segment(name).base; }
  virtual u16 segment_attributes(SegmentName name) { return segment(name).attributes; }
  virtual void set_segment(SegmentName name, const SegmentState& state) = 0;

  /// The hardware translates guest-physical addresses through these tables, and the guest owns CR0, CR3 and CR4.
  virtual void use_second_stage(HostPhysical root) = 0;
  virtual SecondStageFormat second_stage_format() const = 0;
  /// In bytes, at least 2 MiB.
  virtual u64 largest_second_stage_page() const { return u64{1} << 30; }
  /// PAE's entries that the root in guest memory holds, where the processor does not read them by itself: the guest has begun
  /// to page, or loaded CR3 with an exit, under a second stage.
  virtual void load_page_directory_pointers(const std::array<u64, 4>& /*entries*/) {}
  /// The hardware translates linear addresses through these tables: 4-level if the guest is in long mode, else PAE. Control
  /// registers, page faults and INVLPG are intercepted.
  virtual void use_shadow(HostPhysical root) = 0;
  /// From now on under use_shadow(), faults of entries that are not present go to the guest without an exit, as it would see
  /// them itself; what else must fault has to set reserved bits. False: this processor cannot.
  virtual bool pass_missing_pages() { return false; }
  /// INVLPG need not be intercepted if the shadow follows the guest's tables at once.
  virtual void intercept_invlpg(bool wanted) = 0;
  /// The TLB tells this guest's translations from others, and world switches leave them there.
  virtual bool keeps_translations() const { return true; }
  /// Forgets cached translations of this guest.
  virtual void flush_translations() = 0;
  virtual void flush_page(Linear address) = 0;

  /// Delivered at the next entry. One event at a time: the caller asks event_pending().
  virtual void inject(const Event& event) = 0;
  virtual bool event_pending() = 0;
  /// A debug trap with these bits of DR6 comes before the next instruction. What is returned must still be injected.
  virtual Event debug_trap(u64 causes) {
    constexpr u64 reads_as_zero = 1 << 16;
    set(StateField::dr6, (get(StateField::dr6) & ~reads_as_zero) | causes);
    return Event::exception(vector::DB);
  }
  /// Exit with InterruptWindow as soon as the guest can take an interrupt.
  virtual void request_interrupt_window(bool wanted) = 0;
  /// The same as soon as the guest's task priority is below this; 0: never. For a guest that can lower it without an exit.
  virtual void request_priority_window(u8 /*priority_class*/) {}

  /// Of a back end that performs parts of the processor by software; else null.
  virtual SoftwareProcessor* software() { return nullptr; }

  /// The world switch, both ways. Returns why the guest was left.
  virtual Exit enter() = 0;

 protected:
  ~GuestExecution() = default;
};

}  // namespace bunshin::vmm
