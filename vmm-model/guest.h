#pragma once

// One virtual machine: memory, board, one processor, and the way its memory is translated.

#include "vmm-model/config.h"
#include "vmm-model/emulate/emulator.h"
#include "vmm-model/exit_table.h"
#include "vmm-model/msr.h"
#include "vmm-model/output_line.h"
#include "vmm-model/paging/guest_paging.h"
#include "vmm-model/platform/virtual_pc.h"

namespace bunshin::vmm {

enum class GuestState : u8 {
  Ready,
  Halted,  ///< HLT, until an interrupt comes
  Off,     ///< it powered itself off, or wrote 0 to the debug-exit port
  Failed
};

/// What exits of one reason have cost.
struct ExitCounter {
  u64 count = 0;
  u64 tsc = 0;  ///< ticks in the hypervisor
};

class Guest final : private VirtualPcEvents, private GuestAccess {
 public:
  /// `name` and what the references name must outlive the guest. `state_area`: a page for extended processor state. It is stopped at `limit`.
  Guest(std::string_view name, Hardware& hardware, GuestMemory& memory, GuestExecution& execution, GuestPaging& paging,
        const VirtualPcSetup& setup, HostPhysical state_area, SimTime limit, bool prefix_output);
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  /// The board as firmware leaves it. False: no memory for tables.
  bool power_on();
  /// Runs until `slice_end`, or until the guest waits or ends.
  void run(SimTime slice_end);
  /// A halted guest whose interrupt has come is ready again. The next moment at which that may happen.
  SimTime wake(SimTime now);

  void enter_processor();  ///< this guest's extended state into the machine
  void leave_processor();
  /// Somebody else has set the machine's timer, or it has gone off.
  void forget_timer() { timer_spent_ = true; }

  GuestState state() const { return state_; }
  std::string_view name() const { return name_; }
  std::string_view reason() const { return reason_; }
  bool type(u8 byte) { return pc_.serial_input(byte); }

  // --- For exit handlers ---
  GuestExecution& execution() { return execution_; }
  GuestPaging& paging() { return paging_; }
  GuestMemory& memory() { return memory_; }
  Hardware& hardware() { return hardware_; }
  VirtualPc& pc() { return pc_; }
  MsrFile& msrs() { return msrs_; }
  u64& xcr0() { return xcr0_; }
  /// Goes to the instruction behind the one that exited.
  void skip_instruction(const Exit& exit);
  void advance(u64 length);
  /// The instruction at RIP. False: it cannot be fetched, and the fault is on its way to the guest; or it is not known.
  bool fetch(Instruction& instruction, bool& fault);
  /// Performs the instruction at RIP, whose operand is a device or a page table.
  void emulate_instruction(GuestPhysical address);
  void inject(const Event& event);
  /// #PF, with CR2.
  void inject_page_fault(u64 linear, u32 error_code);
  /// The event whose delivery the exit interrupted has been delivered by its handler.
  void forget_interrupted_event() { kept_ = {}; }
  void halt();
  void fail(std::string_view why, const Exit& exit);
  void end(GuestState state, std::string_view why);
  /// As `instruction` sees it: with the bases of the segments that it may use.
  EmulatedProcessor processor(u64& rip, u64& flags, const Instruction& instruction);
  /// Linear memory as the instruction at RIP may access it.
  GuestAccess& access() { return *this; }
  /// Linear memory as the processor itself uses it, for descriptors and TSS: a supervisor's whatever CPL is.
  bool access_system(u64 linear, unsigned size, bool write, u64& value);
  unsigned code_bits();

  const std::array<ExitCounter, exit_reasons>& counters() const { return counters_; }
  u64 guest_tsc() const { return guest_tsc_; }
  const PagingCounters& paging_counters() const { return paging_.counters(); }

 private:
  bool keep_time(SimTime slice_end, u64& again_at);
  void complete_instruction(u64 rip);
  void adopt_task_priority();
  void prepare_interrupts();
  void prepare_event();
  void set_interrupt_window(bool wanted);
  /// An exit that came while an event was being delivered: it must be delivered again.
  void keep_interrupted_event(const Exit& exit);
  bool translate(u64 linear, Intent intent, GuestPhysical& address);
  void adapt(Instruction& instruction);
  /// Of a page whose writes are watched: lets the guest's own instruction write it. False: it is none.
  bool make_accessible(GuestPhysical address);
  void not_emulated(GuestPhysical address);

  // GuestAccess.
  bool read(u64 linear, unsigned size, u64& value, Intent intent) override;
  bool write(u64 linear, unsigned size, u64 value) override;
  bool permits(u64 linear, unsigned size, Intent intent) override;
  bool in_segment(SegmentName name, u64 offset, unsigned size, bool write) override;
  u16 selector(SegmentName name) override { return execution_.segment(name).selector; }
  u64 extended_state(unsigned offset) override;
  void set_extended_state(unsigned offset, u64 value) override;
  void raise(u8 number) override;
  void store_part(GuestPhysical address, unsigned size, u64 value);
  u64 load_part(GuestPhysical address, unsigned size);
  void put_extended_state(bool done);
  /// Guest memory as the guest has written it.
  bool read_code(GuestPhysical address, std::span<u8> bytes);

  // VirtualPcEvents.
  void power_off() override { end(GuestState::Off, "powered off"); }
  void reset() override { end(GuestState::Failed, "asked for a reset"); }
  void debug_exit(u32 value) override;
  void nmi() override { nmi_pending_ = true; }
  void serial_output(u8 byte) override { output_.put(byte); }
  void memory_written(GuestPhysical address, u64 bytes) override;

  const std::string_view name_;
  Hardware& hardware_;
  GuestMemory& memory_;
  GuestExecution& execution_;
  GuestPaging& paging_;
  VirtualPc pc_;
  MsrFile msrs_;
  OutputLine output_;
  const HostPhysical state_area_;
  const SimTime limit_;
  u64 xcr0_ = 1;
  GuestState state_ = GuestState::Ready;
  std::string_view reason_;
  bool nmi_pending_ = false;
  bool window_open_ = false;
  Event kept_;  ///< an event to deliver at the next entry, before anything else
  std::array<ExitCounter, exit_reasons> counters_{};
  u64 guest_tsc_ = 0;
  SimTime timer_ = SimTime::never();
  bool timer_spent_ = true;  ///< the machine's timer is not set to it, or not any more
  /// At RIP, as fetched last.
  std::array<u8, longest_instruction> code_{};
  unsigned code_size_ = 0;
  /// Of the instruction being emulated: the extended state in its area is the processor's, or is to become it.
  bool state_saved_ = false, state_changed_ = false;
};

}  // namespace bunshin::vmm
