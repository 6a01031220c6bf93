#pragma once

// VT-x: a guest's processor is a VMCS, and the few registers that a VMCS does not hold.

#include "vmm-model/arch/vmx/guest_vmcs.h"

namespace bunshin::vmm::vmx {

/// Zeroed pages; the VMCS has its revision, and is clear.
struct VmxPages {
  HostPhysical vmcs, virtual_apic;
  /// Without unrestricted guest a guest always pages, under EPT too: three tables and the page directory they lead to.
  std::array<HostPhysical, 4> identity;
};

class VmxExecution final : public GuestExecution {
 public:
  VmxExecution(Hardware& hardware, VmxProcessor& processor, const VmxPages& pages, u16 vpid);

  u64 get(StateField field) override;
  void set(StateField field, u64 value) override;
  SegmentState segment(SegmentName name) override;
  u64 segment_base(SegmentName name) override;
  u16 segment_attributes(SegmentName name) override;
  void set_segment(SegmentName name, const SegmentState& state) override;
  void use_second_stage(HostPhysical root) override;
  SecondStageFormat second_stage_format() const override { return SecondStageFormat::Ept; }
  u64 largest_second_stage_page() const override;
  void load_page_directory_pointers(const std::array<u64, 4>& entries) override;
  void use_shadow(HostPhysical root) override;
  bool pass_missing_pages() override { return passes_missing_ = true; }
  void intercept_invlpg(bool wanted) override { vmcs_.change_bits(Field::PrimaryControls, primary::invlpg, wanted); }
  void flush_translations() override { flush_ = true; }
  bool keeps_translations() const override { return vpid_ != 0; }
  void flush_page(Linear address) override { processor_.forget_page(vpid_, address); }
  void inject(const Event& event) override;
  Event debug_trap(u64 causes) override;
  bool event_pending() override { return (vmcs_.read(Field::EntryInterruption) & interruption::valid) != 0; }
  void request_interrupt_window(bool wanted) override {
    vmcs_.change_bits(Field::PrimaryControls, primary::interrupt_window, wanted);
  }
  void request_priority_window(u8 priority_class) override {
    if (processor_.capabilities().tpr_shadow) vmcs_.write(Field::TprThreshold, priority_class);
  }
  Exit enter() override;

 private:
  /// MSRs that VMX does not switch and the hypervisor does not use: they stay until another guest comes.
  static constexpr unsigned resident_msrs = 5;

  void write_initial_controls();
  void build_identity_map();

  // What the guest believes of CR0, CR3 and CR4 (vmx_control_registers.cpp).
  void adopt_control_registers();
  void load_control_registers();
  void load_shadowed();
  void choose_page_faults();
  void load_unpaged();
  void load_nested();
  bool guest_pages() const { return (cr0_ & cr0::PG) != 0; }
  bool long_mode() const { return (efer_ & efer::LMA) != 0; }

  u64* resident(StateField field);
  void move_in();
  void move_out();
  std::string_view cannot_run() const;
  Exit refused(std::string_view why);
  // From what the VMCS tells to an Exit (vmx_exit.cpp).
  Exit read_exit();
  void read_exception(Exit& exit, u32 information);
  void read_control_exit(Exit& exit, u64 qualification);
  void read_second_stage_fault(Exit& exit, u64 qualification);

  Hardware& hardware_;
  VmxProcessor& processor_;
  GuestVmcs vmcs_;
  const VmxPages pages_;
  const u16 vpid_;
  u64 eptp_ = 0;
  bool launched_ = false, flush_ = false;
  bool shadowed_ = false, passes_missing_ = false;
  HostPhysical shadow_root_;
  // The guest's view where it is not the processor's.
  u64 cr0_ = 0, cr3_ = 0, cr4_ = 0, efer_ = 0;
  /// Bits that the guest cannot change without an exit.
  u64 cr0_mask_ = ~u64{0}, cr4_mask_ = ~u64{0};
  bool cr3_is_guests_ = false;
  u64 cr2_ = 0, dr6_ = 0xffff'0ff0, pat_ = 0x0007'0406'0007'0406, task_priority_ = 0;
  u64 processor_efer_ = 0;
  std::array<u64, resident_msrs> resident_{};
  u8 software_event_length_ = 0;  ///< of the instruction whose event an exit has interrupted
};

}  // namespace bunshin::vmm::vmx
