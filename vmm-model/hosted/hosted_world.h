#pragma once

// The host mode of a core whose hypervisor runs in the simulator: 64-bit mode with all memory mapped at its own address, an
// interrupt table, a stack, and routines to be executed.

#include "vmm-model/hosted/hosted_machine.h"
#include "vmm-model/hosted/routines.h"
#include "vmm-model/registers.h"

namespace bunshin::vmm {

class HostedWorld {
 public:
  /// RAM that it needs, and where. The first megabyte is the board's.
  static constexpr u64 base = 0x10'0000, bytes = 0x1'0000;

  explicit HostedWorld(HostedMachine& machine) : machine_(machine) {}

  /// Fills the memory and puts the core, between instructions, into host mode with interrupts off.
  void enter();

  /// Has the core execute the routine. Its general registers, but RSP, are what the caller left in gpr().
  void call(Routine routine);
  u64& gpr(Gpr name) { return machine_.processor().state().gpr[name]; }
  /// Room in the machine's memory for what a routine takes by address.
  static constexpr HostPhysical scratch() { return HostPhysical(base + scratch_at); }

  static constexpr HostPhysical page_tables() { return HostPhysical(base + tables_at); }

  void put(u64 offset, u64 value) { store(scratch_at + offset, value); }
  /// Where VT-x's exits are to go on.
  static u64 vmx_exit_address() { return base + code_at + vmx_exit_offset(); }
  CpuState& state() { return machine_.processor().state(); }

  /// The core has executed a mark (CoreEnvironment::marked). True if it is one of the routines': the core must stop behind it.
  bool marked(u16 code);

 private:
  static constexpr u64 tables_at = 0, interrupt_table_at = 0x6000, segments_at = 0x7000, scratch_at = 0x8000,
                       stack_top_at = 0xb000, code_at = 0xb000;

  void store(u64 offset, u64 value);
  void write_page_tables();
  void write_interrupt_table();
  void load_state();
  [[noreturn]] void fail(Routine routine);
  u64 address_of(Routine routine) const { return base + code_at + static_cast<u64>(routine) * routine_stride; }

  HostedMachine& machine_;
  bool failed_ = false;
};

}  // namespace bunshin::vmm
