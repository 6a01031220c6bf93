#pragma once

// The execution engine: finds blocks, runs them, and takes events between them.

#include <optional>

#include "core/cpu.h"
#include "core/engine/block_cache.h"

namespace bunshin {

/// Sees every instruction before it executes; while one is attached the engine steps (traces, debuggers).
class ExecutionObserver {
 public:
  /// False stops the core before the instruction.
  virtual bool before_instruction(const Cpu& cpu) = 0;

 protected:
  ~ExecutionObserver() = default;
};

/// Why Engine::run() came back.
enum class Stop : u8 {
  Deadline,       ///< the cycle asked for has come
  Halted,         ///< HLT, MWAIT, or waiting for SIPI: nothing to do until an event
  Shutdown,       ///< triple fault
  Unimplemented,  ///< the instruction at RIP is in the profile but not in the simulator
  Observer,       ///< the observer stopped the core
  Requested,      ///< Engine::request_stop()
  Noted,          ///< the same, where only this core's turn is over
};

struct EngineCounters {
  u64 instructions = 0;
  u64 dispatches = 0;  ///< blocks entered by the engine rather than by another block
  u64 interrupts = 0;
  u64 faults = 0;
  u64 device_accesses = 0;
  u64 blocks_decoded = 0;
  u64 instructions_decoded = 0;
  u64 decode_nanoseconds = 0;  ///< the host's; counted while the core is observed
};

class Engine {
 public:
  Engine(Cpu& cpu, BlockCache& blocks, const OpcodeTable& table);

  /// Runs until cycle `deadline`. The cycle counter is exact on return, and may pass `deadline` by the time a device took.
  Stop run(u64 deadline);
  u64 cycles() const { return cycles_; }
  void set_cycles(u64 cycles) { cycles_ = cycles; }
  void set_observer(ExecutionObserver* observer) { observer_ = observer; }
  /// Soon, and before the next instruction if a running one asks. `why` is what run() then returns: Requested or Noted.
  void request_stop(Stop why) {
    if (requested_ != Stop::Requested) requested_ = why;
  }
  /// run() completes no instruction beyond that number of them, all runs together; none: no limit.
  void set_instruction_limit(std::optional<u64> limit) { instruction_limit_ = limit; }
  /// An interrupt or NMI waits that the processor would take.
  bool interrupt_due() const;
  /// MWAIT waits, and an interrupt that will not be taken ends that (SDM vol. 2, MWAIT: ECX bit 0).
  bool masked_interrupt_wakes() const {
    const CpuState& s = cpu_.state;
    return s.activity == Activity::Monitoring && s.masked_interrupts_wake && cpu_.apic.interrupt_pending();
  }
  const EngineCounters& counters() const { return counters_; }

 private:
  /// Delivers what is due before the next instruction (SDM vol. 3, table 6-2).
  void take_events();
  bool must_step() const;
  /// Makes the instruction limit hold in this run; returns the deadline.
  u64 limit_instructions(u64 deadline);
  /// Runs what the limit leaves of the block at CpuState::rip.
  void run_to_limit();
  /// One instruction, with everything that watches single instructions. False: the observer stopped the core.
  bool step();
  /// The block at CpuState::rip, decoded if need be; nullptr if fetching faulted (Cpu::fault is set).
  const Record* find_block();
  const Record* cached_block(u64 linear, HostPhysical physical);
  /// decode_block(), with the time it takes if that is asked for.
  const Record* decode_new_block(u64 linear, HostPhysical physical);
  const Record* decode_block(u64 linear, HostPhysical physical);
  /// What stands behind a block whose successor begins `page_offset` bytes into its page.
  Handler terminator_handler(const Block& block, unsigned page_offset) const;
  /// Decodes the one instruction that begins in this page and ends in the next.
  bool decode_crossing(u64 linear, HostPhysical physical, Block& block);
  /// Lets jumps find the block at CpuState::rip without the engine.
  void remember(const Record* entry);
  bool within_code_limit(const Record* entry) const;
  /// Runs at most `count` instructions of the block from a truncated copy that nothing is chained to.
  void run_truncated(const Record* entry, u64 count, bool alone);
  /// Runs a block to its end and no further.
  void run_isolated(const Record* entry, bool alone);
  void run_entered(const Record* entry);
  /// Tells the observer of the block that was just left, whether to its end or not.
  void report_block();
  /// Deals with Cpu::leave.
  void after_block();
  /// What Cpu::event_gate says is due.
  void take_gated_event(DueEvent::Kind kind);
  void deliver_gated_event(Virtualization& gate, DueEvent::Kind kind);
  /// No later than the next event.
  void settle_deadline();
  /// Device accesses may have taken time, and moved the next event closer.
  void settle_device_time();

  Cpu& cpu_;
  BlockCache& blocks_;
  const OpcodeTable& table_;
  ExecutionObserver* observer_ = nullptr;
  Stop requested_ = Stop::Deadline;  ///< that is: no stop is
  std::optional<u64> instruction_limit_;
  u64 cycles_ = 0;
  EngineCounters counters_;
  std::vector<Record> scratch_;    ///< records of the block being decoded
  std::vector<Record> truncated_;  ///< the copy run_truncated() runs
};

}  // namespace bunshin
