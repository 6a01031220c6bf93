#pragma once

// One logical processor as the machine sees it: something that runs for a while, has interrupt pins, and can be asked
// about its state.

#include <optional>
#include <string>

#include "base/stats.h"
#include "core/engine/engine.h"

namespace bunshin {

class Processor final : public ProcessorPins, public CodeListener {
 public:
  /// `bootstrap` processors start at the reset vector, others wait for a SIPI.
  Processor(const CpuProfile& profile, const TlbParameters& tlb, unsigned number, bool bootstrap,
            PhysicalMemory& memory, BusPort& bus, LocalApic& apic, CoreEnvironment& environment, BlockCache& blocks,
            const OpcodeTable& table);

  /// Power-on state (SDM vol. 3, table 9-1).
  void reset();
  /// For loaders that hand over in another state: change state(), then call this.
  void state_changed();
  CpuState& state() { return cpu_.state; }
  const CpuState& state() const { return cpu_.state; }
  Cpu& cpu() { return cpu_; }
  const OpcodeTable& opcodes() const { return table_; }

  /// Runs until cycle `deadline`, or until something stops it (core/engine/engine.h).
  Stop run(u64 deadline);
  u64 cycles() const { return engine_.cycles(); }
  /// Lets time pass while nothing executes.
  void skip_to(u64 cycle) {
    cpu_.waited_cycles += cycle - engine_.cycles();
    cpu_.observation.waited(cycle - engine_.cycles());
    engine_.set_cycles(cycle);
  }
  /// Between runs, of a hypervisor that is part of the simulator: how many cycles its references to memory since the last
  /// call (core/virt/physical_access.h) and so many of computing take. They are to be passed over, at once or in parts.
  u64 hosted_work(u64 computed) { return cpu_.observation.hosted(engine_.cycles(), computed); }
  void pass(u64 cycles) { engine_.set_cycles(engine_.cycles() + cycles); }
  const EngineCounters& counters() const { return engine_.counters(); }
  u64 instructions() const { return engine_.counters().instructions; }
  bool idle() const;
  /// The cycle at which the core itself will have something to do, however idle (the VMX-preemption timer); ~0: never.
  u64 next_cycle() const { return cpu_.event_gate == nullptr ? ~u64{0} : cpu_.event_gate->next_cycle(); }
  /// Idle, and nothing but INIT, NMI or SIPI could end that.
  bool dead() const;
  void set_observer(ExecutionObserver* observer) { engine_.set_observer(observer); }
  /// Sees every block that runs, with its references to memory; null: nobody. Between runs.
  void set_block_observer(BlockObserver* observer);
  void request_stop(Stop why = Stop::Requested) { engine_.request_stop(why); }
  void set_instruction_limit(std::optional<u64> limit) { engine_.set_instruction_limit(limit); }

  void register_stats(StatRegistry& registry, const std::string& prefix) const;
  void hash(StateHash& hash) const;

  // ProcessorPins
  void interrupt_request_changed() override {}
  void nmi() override { cpu_.state.nmi_pending = true; }
  void smi() override {}
  void init() override;
  void startup(u8 vector) override { sipi_vector_ = vector; }
  // CodeListener
  void page_gained_code(HostPhysical page) override { cpu_.mmu.code_page_changed(page); }
  void marked_memory_written(HostPhysical address, u64 size) override { cpu_.note_store(address, size); }
  void blocks_cleared() override;

 private:
  Cpu cpu_;
  Engine engine_;
  const OpcodeTable& table_;
  bool bootstrap_;
  bool init_pending_ = false;
  std::optional<u8> sipi_vector_;  ///< of the last SIPI that came while one could be pending

  /// INIT and SIPI arrive in the middle of whatever instruction sent them; they act between instructions.
  void take_init_and_sipi();
};

}  // namespace bunshin
