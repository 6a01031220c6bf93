#include "sim/machine.h"

#include <array>

#include <fmt/format.h>

#include "sim/loader/entry_state.h"

namespace bunshin {

namespace {

CpuProfile profile_of(const MachineConfig& config) {
  CpuProfile profile = config.cpu;
  profile.cores = config.machine.cores;
  return profile;
}

}  // namespace

Machine::Machine(const MachineConfig& config, SerialPort& console, u64 max_cycles)
    : config_(config),
      profile_(profile_of(config)),
      clock_{profile_.frequency},
      memory_(config.machine.memory),
      loop_("cores", {profile_.frequency, config.machine.quantum, max_cycles}),
      pc_("pc", memory_, config.devices),
      blocks_(memory_) {
  (void)console;
}

std::vector<Processor*> Machine::processors() const {
  std::vector<Processor*> all;
  for (const auto& p : processors_) all.push_back(p.get());
  return all;
}

RunEnd Machine::run(RunSupervisor& supervisor) {
  loop_.set_supervisor(&supervisor);
  sc_core::sc_start();
  return loop_.result();
}

u64 Machine::instructions() const {
  u64 total = 0;
  for (const auto& p : processors_) total += p->instructions();
  return total;
}

}  // namespace bunshin
