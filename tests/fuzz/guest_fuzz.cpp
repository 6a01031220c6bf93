// Whole guests: any memory image in any of the processor's modes runs without breaking the simulator, and ends in the
// same state when it is run again one instruction at a time, by an engine that then uses neither blocks nor links
// between them.

#include <fmt/format.h>

#include "base/check.h"
#include "sim/debug/disassembler.h"
#include "sim/debug/guest_memory.h"
#include "sim/machine.h"
#include "tests/fuzz/guest_image.h"
#include "tests/fuzz/simulation.h"
#include "tests/fuzz/target.h"

namespace {

using namespace bunshin;

constexpr u64 longest_run = 1'500;

struct Console final : SerialPort {
  void transmit(u8 byte) override { hash.add(byte); }
  StateHash hash;
};

struct Stepper final : ExecutionObserver {
  bool before_instruction(const Cpu&) override { return true; }
};

class Supervisor final : public RunSupervisor {
 public:
  explicit Supervisor(const Machine& machine) : machine_(machine) {}
  std::optional<RunEnd> look(u64) override { return machine_.guest_request(); }
  void idle(SimTime) override {}
  bool wait_for_input() override { return false; }

 private:
  const Machine& machine_;
};

MachineConfig make_config(const fuzz::GuestShape& shape) {
  MachineConfig config;
  config.machine.cores = shape.cores;
  config.machine.memory = u64{16} << 20;
  config.machine.quantum = 200;
  // Slow enough for timers to matter within the cycles a guest has.
  config.cpu.frequency = 10'000'000;
  config.cpu.resolve();
  // Large enough for nothing to be replaced: what is replaced depends on which accesses reach the TLB, and that on
  // blocks.
  config.tlb.small = {4096, 16};
  config.tlb.large = {512, 16};
  return config;
}

struct Outcome {
  std::string reason;
  u64 cycles = 0;
  u64 instructions = 0;
  u64 state = 0;
  u64 console = 0;
  std::string registers;  ///< of the first processor, for the report
  bool operator==(const Outcome&) const = default;
};

std::string describe(const Cpu& cpu) {
  const CpuState& s = cpu.state;
  std::array<u8, 15> bytes{};
  const std::size_t count = read_linear(cpu, linear_rip(cpu), bytes);
  std::string text = "before " + Disassembler(cpu.mode.bits).at({bytes.data(), count}, s.rip).text;
  text += fmt::format(": cs {:x} rip {:x} flags {:x} cr0 {:x} cr2 {:x} cr3 {:x} cr4 {:x}", s.segment(Seg::CS).selector,
                      s.rip, s.flags.value(), s.cr0, s.cr2, s.cr3, s.cr4);
  for (unsigned i = 0; i < 16; ++i) text += fmt::format(" {:x}", s.gpr[i]);
  return text;
}

Outcome run_guest(fuzz::Input input, bool stepping, u64 max_cycles) {
  const fuzz::Simulation simulation;
  const fuzz::GuestShape shape = read_shape(input);
  const MachineConfig config = make_config(shape);
  Console console;
  Machine machine(config, console, max_cycles);
  const std::vector<Processor*> processors = machine.processors();
  build_guest(input, shape, processors.front()->cpu().memory, processors);
  Stepper stepper;
  if (stepping) machine.loop().set_observer(&stepper);
  Supervisor supervisor(machine);
  const RunEnd end = machine.run(supervisor);
  return {end.reason,           machine.loop().cycle(), machine.instructions(),
          machine.state_hash(), console.hash.value(),   describe(processors.front()->cpu())};
}

/// The last cycle up to which both ways agree, and where they stand then and one later.
void explain(const fuzz::Input& input) {
  u64 same = 0, different = longest_run;
  while (different - same > 1) {
    const u64 middle = same + (different - same) / 2;
    (run_guest(input, false, middle) == run_guest(input, true, middle) ? same : different) = middle;
  }
  for (const u64 cycle : {same, different}) {
    for (const bool stepping : {false, true}) {
      const Outcome o = run_guest(input, stepping, cycle);
      fmt::print(stderr, "{} to {}: {}, cycle {}, {} instructions, state {:016x}, {}\n", stepping ? "steps" : "blocks",
                 cycle, o.reason, o.cycles, o.instructions, o.state, o.registers);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  const fuzz::Input input(data, size);
  const bool same = run_guest(input, false, longest_run) == run_guest(input, true, longest_run);
  if (!same) explain(input);
  SIM_CHECK(same);
  return 0;
}
