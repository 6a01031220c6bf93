#pragma once

// AMD-V, Secure Virtual Machine (AMD APM vol. 2, ch. 15). One object a core. Its parts, by file:
//
//   instructions   VMRUN … SKINIT as instructions       consistency    what VMRUN refuses (15.5.1)
//   world_switch   VMRUN and #VMEXIT, step by step      vmcb_access    the VMCB in memory, clean bits (15.15)
//   state          registers to and from a VMCB         events         GIF, interrupts, injection (15.17, 15.20 to 15.22)
//   intercepts     what leaves the guest (15.9 to 15.14) registers     SVM's model-specific registers (15.30)

#include <optional>

#include "base/address.h"
#include "core/cpu.h"
#include "core/virt/svm/exit_code.h"
#include "core/virt/svm/vmcb.h"
#include "core/virt/virtualization.h"
#include "mmu/second_stage.h"

namespace bunshin::svm {

/// VM_CR (MSR C001_0114; 15.30.1).
namespace vm_cr {
inline constexpr u64 debug_port_disable = 1 << 0, redirect_init = 1 << 1, disable_a20 = 1 << 2, lock = 1 << 3,
                     svm_disable = 1 << 4;
inline constexpr u64 defined = 0x1f;
}  // namespace vm_cr

/// TSC_RATIO (MSR C000_0104; 15.30.5): a fixed-point number with 32 bits of fraction.
inline constexpr u64 ratio_one = u64{1} << 32, ratio_defined = (u64{1} << 40) - 1;

/// Entries of the VMCB's address-space numbers, CPUID Fn8000_000A_EBX: 64 on family 10h (BKDG 31116), 32768 on families 17h and
/// 19h (PPR 55803, 55898).
u32 address_space_count(const CpuProfile& profile);

class Svm final : public Virtualization {
 public:
  explicit Svm(Cpu& cpu);

  /// --- Model-specific registers, and what the instructions do once they may (instructions.cpp). False: a fault or an exit
  /// has been raised. ---
  struct Registers {
    u64 vm_cr = 0, hsave = 0, tsc_ratio = ratio_one, ignne = 0, key = 0;
  };
  const Registers& registers() const { return registers_; }
  bool write_vm_cr(u64 value);
  bool write_hsave(u64 value);
  bool write_tsc_ratio(u64 value);
  bool write_ignne(u64 value);
  bool write_key(u64 value);

  void vmrun(u64 address);
  [[nodiscard]] bool vmload(u64 address);
  [[nodiscard]] bool vmsave(u64 address);
  void set_global_interrupts(bool enabled);  ///< STGI, CLGI
  void skinit(u32 loader);
  /// An instruction of SVM's own in the guest. True: an exit is raised.
  [[nodiscard]] bool intercepts_own(const Record& r, ExitCode code);
  bool global_interrupts() const { return gif_; }
  bool discards_breakpoints() const override { return !gif_; }  // 15.17, table 15-10

  // Virtualization
  void reset() override;
  InitAction init_arrived() override;
  bool startup_arrived(u8 /*vector*/) override { return false; }
  void hash(StateHash& hash) const override;
  void register_stats(StatRegistry& registry, const std::string& prefix) const override {
    stage_.register_stats(registry, prefix);
  }
  bool cr0_allowed(u64 /*value*/) const override { return true; }
  bool cr4_allowed(u64 /*value*/) const override { return true; }
  [[nodiscard]] bool intercepts(const Record& r, Intercept what, u64 detail) override;
  [[nodiscard]] bool intercepts_task_switch(const TaskSwitchDetail& detail) override;
  [[nodiscard]] bool intercepts_exception(const Event& event) override;
  [[nodiscard]] bool intercepts_freeze() override;
  [[nodiscard]] bool intercepts_shutdown() override;
  u64 visible_cr0() const override { return cpu_.state.cr0; }
  u64 visible_cr4() const override { return cpu_.state.cr4; }
  u64 merged_cr0(u64 value) const override { return value; }
  u64 merged_cr4(u64 value) const override { return value; }
  bool virtualizes_tpr() const override { return (interrupts() & virtual_interrupt::masking) != 0; }
  u8 read_virtual_tpr() override { return interrupts() & 0xf; }
  void write_virtual_tpr(u8 priority_class) override;
  std::optional<bool> read_virtual_msr(u32 /*index*/, u64& /*value*/) override { return std::nullopt; }
  std::optional<bool> write_virtual_msr(u32 /*index*/, u64 /*value*/) override { return std::nullopt; }
  u64 guest_tsc(u64 host) const override;
  bool has(Intercept /*what*/) const override { return true; }
  // No page is trapped: there is no AVIC.
  [[nodiscard]] bool read_apic_page(u64, u64, unsigned, bool, void*) override { return true; }
  [[nodiscard]] bool write_apic_page(u64, u64, unsigned, const void*) override { return true; }
  void unblock_nmi() override { cpu_.state.nmi_blocked = false; }
  void block_nmi() override { cpu_.state.nmi_blocked = true; }
  ExitTable exit_table() const override;
  u64 efer_extension() const override;
  void efer_written(u64 before) override;
  DueEvent due() const override;
  void take_silently() override;
  Event injected_event() override;
  u8 acknowledge_virtual() override;
  void leave_guest(const Fault& why, const Event* delivering) override;

 private:
  bool has_feature(Feature f) const { return cpu_.profile.has(f); }
  u64 interrupts() const { return vmcb_.control.virtual_interrupt; }
  bool nested_paging() const { return (vmcb_.control.nested_control & svm::nested_paging) != 0; }
  bool intercepted(ExitCode code) const;
  bool running() const { return cpu_.guest == this; }
  /// Cpu::event_gate follows GIF, guest mode, and whether an INIT waits for GIF.
  void watch_events() { cpu_.event_gate = running() || !gif_ || init_held_ ? this : nullptr; }

  // intercepts.cpp, control_intercepts.cpp
  bool raise_exit(const ExitReason& reason);
  bool exit_for(const Record& r, ExitCode code, u64 info_1 = 0, u64 info_2 = 0);
  bool exit_if(const Record& r, ExitCode code, u64 info_1 = 0, u64 info_2 = 0);
  bool intercepts_cr_access(const Record& r, ExitCode row);
  bool intercepts_cr0_write(const Record& r, u64 value);
  bool intercepts_io(const Record& r, const IoDetail& access);
  bool intercepts_msr(const Record& r, u32 index, bool write);
  bool intercepts_pause(const Record& r);
  bool map_denies(u64 map, u64 byte, u16 mask) const;
  u64 decode_assist(u64 value) const;

  // events.cpp
  std::optional<ExitCode> due_exit() const;
  bool physical_interrupt_open() const;
  bool virtual_interrupt_ready() const;
  bool global_interrupts_of_guest() const;

  // world_switch.cpp
  void enter_guest();
  void refuse_entry(std::string_view broken_rule);
  void exit_guest(const ExitReason& reason, const Event* delivering);
  ExitReason reason_of(const Fault& why) const;
  void record_exit(const ExitReason& reason, const Event* delivering);
  void record_instruction(const ExitReason& reason);
  void load_host();
  void abandon_guest();
  void apply_tlb_control();
  void set_up_nested_paging();
  bool host_is_legal() const;

  // vmcb_access.cpp
  void read_vmcb(HostPhysical address);
  void write_vmcb();

  // own_instructions.cpp
  bool locate_own_operand(u64 address, bool write, HostPhysical& out);

  Registers registers_;
  bool gif_ = true;
  bool init_held_ = false;

  /// The VMCB that ran last: what its clean bits may leave unread.
  std::optional<HostPhysical> vmcb_address_;
  Vmcb vmcb_;
  /// What #VMEXIT brings back and the host save area's format, which is ours, does not hold.
  struct Host {
    bool interrupts = false;  ///< RFLAGS.IF
    u64 pat = 0;
    std::array<u64, 5> branches{};  ///< DEBUGCTL and the four last-branch registers
  } host_;
  std::optional<Event> injected_;
  std::optional<ExitReason> pending_exit_;
  u32 pauses_left_ = 0;
  u64 last_pause_ = 0;
  SecondStageWalker stage_;
};

}  // namespace bunshin::svm
