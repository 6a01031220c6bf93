#pragma once

// AMD-V (APM vol. 2, ch. 15): a guest's processor is a VMCB.

#include "vmm-model/arch/svm/vmcb.h"
#include "vmm-model/execution_back_end.h"

namespace bunshin::vmm::svm {

/// The address-space identifier under which the TLB holds a guest's translations, good for one generation of them.
struct GuestTag {
  u32 asid = 0;
  u64 generation = 0;
};

/// What all guests of one processor share.
class SvmProcessor final : public ExecutionBackEnd {
 public:
  std::string_view name() const override { return "AMD-V"; }
  /// Sets EFER.SVME and the host save area; fills the MSR and I/O permission maps.
  std::string_view enable(Hardware& hardware, PagePool& pool) override;
  bool nested_paging() const override { return nested_paging_; }
  GuestExecution* create_execution(Hardware& hardware, PagePool& pool) override;
  /// In bytes.
  u64 largest_nested_page() const { return gigabyte_pages_ ? u64{1} << 30 : u64{2} << 20; }
  HostPhysical host_state() const { return host_state_; }
  HostPhysical msr_permissions() const { return msr_permissions_; }
  HostPhysical io_permissions() const { return io_permissions_; }
  /// The processor can forget one guest's translations. Elsewhere it forgets all, or the guest goes on under another tag.
  bool flushes_by_asid() const { return flushes_by_asid_; }
  bool valid(const GuestTag& tag) const { return tag.generation == generation_; }
  /// A tag under which the TLB holds nothing, but once all have been used: then true, the next entry must forget everything,
  /// and all other guests' tags are no more.
  bool renew(GuestTag& tag);

 private:
  void permit_msr(Hardware& hardware, u32 number, bool write) const;

  bool nested_paging_ = false, flushes_by_asid_ = false, gigabyte_pages_ = false;
  HostPhysical host_state_, msr_permissions_, io_permissions_;
  u32 asids_ = 0, next_asid_ = 1;
  u64 generation_ = 1;
};

class SvmExecution final : public GuestExecution {
 public:
  /// `vmcb` is a zeroed page.
  SvmExecution(Hardware& hardware, SvmProcessor& processor, HostPhysical vmcb);

  u64 get(StateField field) override;
  void set(StateField field, u64 value) override;
  SegmentState segment(SegmentName name) override;
  void set_segment(SegmentName name, const SegmentState& state) override;
  void use_second_stage(HostPhysical root) override;
  SecondStageFormat second_stage_format() const override { return SecondStageFormat::Npt; }
  u64 largest_second_stage_page() const override { return processor_.largest_nested_page(); }
  void use_shadow(HostPhysical root) override;
  void intercept_invlpg(bool wanted) override;
  void flush_translations() override { flush_ = true; }
  void flush_page(Linear address) override;
  void inject(const Event& event) override;
  bool event_pending() override;
  void request_interrupt_window(bool wanted) override;
  void request_priority_window(u8 priority_class) override;
  Exit enter() override;

 private:
  u64 load(u32 offset, unsigned size = 8) { return hardware_.load(vmcb_ + offset, size); }
  void store(u32 offset, u64 value, unsigned size = 8) { hardware_.store(vmcb_ + offset, size, value); }
  void change_bits(u32 offset, u32 bits, bool set);
  void load_control_registers();
  void request_window();
  void choose_tag();
  Exit read_exit();
  static void read_task_exit(Exit& exit, u64 selector, u64 info);
  void read_control_exit(Exit& exit, u64 code);
  void read_port_exit(Exit& exit, u64 info, u64 next_rip);

  Hardware& hardware_;
  SvmProcessor& processor_;
  const HostPhysical vmcb_;
  GuestTag tag_;
  bool flush_ = true;
  bool shadowed_ = false;
  bool interrupt_window_ = false;
  u8 priority_window_ = 0;
  HostPhysical shadow_root_;
  // What the guest believes of its control registers while its tables are shadowed.
  u64 cr0_ = 0, cr3_ = 0, cr4_ = 0, efer_ = 0;
};

}  // namespace bunshin::vmm::svm
