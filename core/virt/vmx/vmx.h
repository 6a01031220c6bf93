#pragma once

// VT-x (SDM vol. 3, ch. 23 to 30): one processor's VMX operation.
//
//   instructions.cpp        VMXON … VMWRITE, what they fail with
//   entry.cpp, loading.cpp  VMLAUNCH and VMRESUME: checks, guest state (ch. 26)
//   exit.cpp, saving.cpp    VM exits: guest state, host state (ch. 27)
//   intercepts.cpp          which instructions and exceptions cause exits (25.1 to 25.3)
//   events.cpp              what happens between two instructions
//   virtual_apic.cpp …      APIC virtualization (ch. 29)

#include <optional>

#include "core/cpu.h"
#include "core/virt/guest_tags.h"
#include "core/virt/virtualization.h"
#include "core/virt/vmx/capabilities.h"
#include "core/virt/vmx/exit_information.h"
#include "core/virt/vmx/guest_state.h"
#include "mmu/second_stage.h"

namespace bunshin::vmx {

struct EntryRule;

/// VM-instruction error numbers (30.4).
enum class InstructionError : u32 {
  VmcallInRoot = 1,
  VmclearAddress = 2,
  VmclearVmxonPointer = 3,
  LaunchNotClear = 4,
  ResumeNotLaunched = 5,
  InvalidControls = 7,
  InvalidHostState = 8,
  VmptrldAddress = 9,
  VmptrldVmxonPointer = 10,
  VmptrldRevision = 11,
  UnsupportedField = 12,
  ReadOnlyField = 13,
  VmxonInRoot = 15,
  BlockedByMovSs = 26,
  InvalidInvalidation = 28,
};

class Vmx final : public Virtualization, private DirtyLog {
 public:
  explicit Vmx(Cpu& cpu);
  ~Vmx() override;

  // Virtualization
  void reset() override;
  InitAction init_arrived() override;
  bool startup_arrived(u8 vector) override;
  void hash(StateHash& hash) const override;
  void register_stats(StatRegistry& registry, const std::string& prefix) const override {
    stage_.register_stats(registry, prefix);
  }
  bool cr0_allowed(u64 value) const override;
  bool cr4_allowed(u64 value) const override;
  bool intercepts(const Record& r, Intercept what, u64 detail) override;
  bool intercepts_task_switch(const TaskSwitchDetail& detail) override;
  bool intercepts_exception(const Event& event) override;
  bool intercepts_shutdown() override;
  u64 visible_cr0() const override;
  u64 visible_cr4() const override;
  u64 merged_cr0(u64 value) const override;
  u64 merged_cr4(u64 value) const override;
  bool virtualizes_tpr() const override { return c_.has(primary::tpr_shadow); }
  u8 read_virtual_tpr() override;
  void write_virtual_tpr(u8 priority_class) override;
  std::optional<bool> read_virtual_msr(u32 index, u64& value) override;
  std::optional<bool> write_virtual_msr(u32 index, u64 value) override;
  u64 guest_tsc(u64 host) const override;
  bool has(Intercept what) const override;
  bool read_apic_page(u64 linear, u64 offset, unsigned size, bool fetch, void* data) override;
  bool write_apic_page(u64 linear, u64 offset, unsigned size, const void* data) override;
  void unblock_nmi() override;
  void block_nmi() override;
  ExitTable exit_table() const override;
  DueEvent due() const override;
  bool steps() const override { return monitor_trap_ == MonitorTrap::Armed; }
  void stepped() override;
  void take_silently() override;
  Event injected_event() override;
  u8 acknowledge_virtual() override;
  u64 next_cycle() const override;
  void leave_guest(const Fault& why, const Event* delivering) override;

  // The instructions (rows_vmx.cpp). False: a fault is raised.
  bool vmxon(const Record& r);
  bool vmxoff(const Record& r);
  bool vmclear(const Record& r);
  bool vmptrld(const Record& r);
  bool vmptrst(const Record& r);
  bool vmread(const Record& r);
  bool vmwrite(const Record& r);
  bool vmlaunch(const Record& r);
  bool vmresume(const Record& r);
  bool vmcall(const Record& r);
  bool vmfunc(const Record& r);
  bool invept(const Record& r);
  bool invvpid(const Record& r);

  const Capabilities& capabilities() const { return capabilities_; }
  bool in_operation() const { return in_operation_; }
  /// Of the last entry that was refused: the rule that did not hold. Null: none was.
  const EntryRule* broken_rule() const { return broken_rule_; }

 private:
  enum class MonitorTrap : u8 { Off, Armed, Pending };

  bool in_guest() const { return cpu_.guest != nullptr; }
  Vmcs current() const { return Vmcs(cpu_, current_vmcs_); }

  // --- instructions.cpp ---
  /// #UD and, in the guest, the exit; then #GP(0): what all VMX instructions but VMXON, VMCALL and VMFUNC begin with.
  bool may_execute(const Record& r, Reason reason);
  bool exits_as_instruction(const Record& r, Reason reason);
  bool load_pointer(const Record& r, u64& value);
  bool is_region(u64 address) const { return (address & 0xfff) == 0 && address >> capabilities_.physical_bits == 0; }
  bool succeed();
  bool fail_invalid();
  bool fail(InstructionError error);
  /// VMREAD and VMWRITE: whose VMCS they reach. False: an exit or fault is raised, or the flags tell of the failure.
  bool select_vmcs(const Record& r, Reason reason, u64 encoding, u64 bitmap, u64& address, bool& done);
  bool read_field(const Record& r, Vmcs vmcs, u64 encoding);
  bool write_field(const Record& r, Vmcs vmcs, u64 encoding);
  bool enter(const Record& r, bool launch);

  // --- entry.cpp, loading.cpp ---
  bool check_and_enter(Vmcs vmcs, bool launch);
  /// Exit 33 or 34: the host state is loaded, and RIP is the host's.
  void fail_entry(Vmcs vmcs, Reason reason, u64 qualification, std::string_view rule);
  /// VMfailValid for `broken_rule_`.
  bool refuse(InstructionError error);
  bool load_pdptes(const GuestState& g, std::array<u64, 4>& pdptes);
  void load_guest(const GuestState& g, const std::array<u64, 4>& pdptes);
  void load_guest_registers(const GuestState& g);
  void load_guest_efer(const GuestState& g);
  void load_translation();
  void begin_guest(const GuestState& g);
  void load_non_register_state(const GuestState& g);
  void inject(const GuestState& g);
  void set_second_stage(u64 eptp);
  /// Page-modification logging.
  bool dirtied(GuestPhysical address) override;

  // --- exit.cpp, saving.cpp ---
  bool exit_with(ExitInformation exit);
  ExitInformation second_stage_exit(const Fault& why, const Event* delivering) const;
  bool deliver_virtualization_exception(const Fault& why, const ExitInformation& exit);
  void world_switch(ExitInformation exit, const std::optional<Event>& vectoring);
  void write_exit_information(Vmcs vmcs, const ExitInformation& exit, const std::optional<Event>& vectoring);
  void save_guest(Vmcs vmcs, const ExitInformation& exit);
  void save_segments(Vmcs vmcs);
  void save_non_register_state(Vmcs vmcs, const ExitInformation& exit);
  void load_host(Vmcs vmcs);
  void load_host_segments(Vmcs vmcs);
  void load_host_translation();
  void abort(Vmcs vmcs, u32 indicator);

  // --- msr_areas.cpp ---
  /// The number of the entry that cannot be loaded, counted from 1; 0: all were.
  u32 load_msrs(u64 address, u32 count);
  bool store_msrs(u64 address, u32 count);

  // --- intercepts.cpp, register_intercepts.cpp ---
  bool exits(const Record& r, Reason reason, u64 qualification = 0);
  bool intercepts_control_register_write(const Record& r, u64 value);
  bool intercepts_control_register_read(const Record& r);
  bool intercepts_lmsw(const Record& r, u64 value);
  bool intercepts_io(const Record& r, const IoDetail& access);
  bool intercepts_msr(const Record& r, u32 index, bool write);
  bool intercepts_pause(const Record& r);
  bool io_bitmap_set(u16 port, unsigned bytes);
  u64 string_operand_linear(const Record& r, bool input) const;

  // --- events.cpp ---
  bool timer_expired() const;
  bool external_interrupt_due(DueEvent& event) const;
  ExitInformation due_exit();
  ExitInformation acknowledged_interrupt();
  bool nmis_blocked_for_window() const { return virtual_nmi_blocked_; }

  // --- virtual_apic.cpp, apic_accesses.cpp ---
  u32 virtual_register(u32 offset);
  void set_virtual_register(u32 offset, u32 value);
  void apic_write_emulation(u32 offset);
  void virtualize_tpr();
  void virtualize_ppr();
  void virtualize_eoi();
  void virtualize_self_ipi(u8 vector);
  void evaluate_pending();
  int highest_vector(u32 base);
  void change_vector(u32 base, u8 vector, bool on);
  bool process_posted_interrupts();
  bool reads_virtualized(u64 offset, unsigned size) const;
  bool writes_virtualized(u64 offset, unsigned size) const;
  bool exit_for_apic_access(u64 linear, u64 offset, u64 type);

  const Capabilities capabilities_;
  SecondStageWalker stage_;
  GuestTags tags_;

  bool in_operation_ = false;
  u64 vmxon_pointer_ = 0;
  u64 current_vmcs_ = no_vmcs;
  bool init_held_ = false;  ///< INIT came while nothing was to take it: in root operation, or waiting for a SIPI

  // --- Of the running guest ---
  Controls c_;
  u64 link_pointer_ = no_vmcs;
  std::optional<Event> injected_;
  std::optional<ExitInformation> pending_;    ///< raised by the instruction
  std::optional<ExitInformation> trap_exit_;  ///< to be made behind the instruction: TPR threshold, EOI, APIC write
  MonitorTrap monitor_trap_ = MonitorTrap::Off;
  bool virtual_nmi_blocked_ = false;
  u64 timer_expiry_ = ~u64{0};  ///< in the host's TSC
  u16 interrupt_status_ = 0;    ///< SVI, RVI
  bool virtual_interrupt_pending_ = false;
  bool saved_enabled_breakpoint_ = false;
  u64 first_pause_ = 0, last_pause_ = 0;  ///< PAUSE-loop exiting, in the host's TSC
  /// IRET has unblocked NMIs, and this is Cpu::completed() should it fault.
  u64 unblocking_iret_ = ~u64{0};
  const EntryRule* broken_rule_ = nullptr;
};

}  // namespace bunshin::vmx
