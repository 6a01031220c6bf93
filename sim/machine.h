#pragma once

// The machine that a configuration describes: memory, PC, processors, and the loop that runs them.

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/stats.h"
#include "core/decode/decoder.h"
#include "core/engine/block_cache.h"
#include "core/engine/work_counter.h"
#include "core/processor.h"
#include "devices/tlm/pc.h"
#include "sim/config/machine_config.h"
#include "sim/core_loop.h"
#include "sim/exit_trace.h"
#include "sim/loader/loader.h"
#include "sim/machine_timing.h"
#include "sim/vmm/hosted_vmm.h"
#include "sim/walk/walk_trace.h"

namespace bunshin {

/// One a process: SystemC elaborates once.
class Machine final : private PlatformEvents {
 public:
  /// `console` is the far end of the serial line. Throws std::runtime_error naming what cannot be had (RAM, a disk).
  Machine(const MachineConfig& config, SerialPort& console, u64 max_cycles);

  /// Puts the configured guest into memory and the first processor at its entry. Throws std::runtime_error.
  LoadedGuest load_guest();
  RunEnd run(RunSupervisor& supervisor);

  /// What the guest has asked for since the run began: power-off, reset, debug exit.
  const std::optional<RunEnd>& guest_request() const { return request_; }
  /// A byte typed on the serial line. False: the line is full, offer it again.
  bool type(u8 byte);
  /// The far end of the second serial line, on machines that have one (devices.com2).
  void connect_second_serial(SerialPort& far_end) { pc_.connect_serial(1, far_end); }
  /// The text screen, 25 lines.
  std::string screen_text() const;

  /// Every page walk from now on goes there. It must outlive the machine's last run.
  void trace_walks(WalkTrace& trace);
  /// … and every exit of a virtual machine.
  void trace_exits(ExitTrace& trace);

  CoreLoop& loop() { return loop_; }
  std::vector<Processor*> processors() const;
  u64 instructions() const;
  double seconds() const { return static_cast<double>(clock_.at(loop_.cycle()).ps) * 1e-12; }
  /// Hash of memory and of all processor and device state.
  u64 state_hash() const;
  std::map<std::string, StatValue> stats() const;
  /// What all cores have counted while they were timed. Between slices.
  RunCounters timed_counters() const;
  /// Null without timing.
  const MachineTiming* timing() const { return timing_.get(); }

 private:
  // PlatformEvents
  void power_off() override;
  void reset() override;
  void debug_exit(u32 value) override;
  void end_run(RunEnd end);
  void create_processors();
  void create_control();
  /// Between slices: all cores, from now on.
  void switch_timing(TimingMode mode);
  u64 passed_in(TimingMode mode, bool instructions) const;
  void register_mode_stats();
  void register_stats();
  void register_engine_stats(unsigned core);

  const MachineConfig& config_;
  CpuProfile profile_;
  Clock clock_;
  PhysicalMemory memory_;
  Pc pc_;
  CoreLoop loop_;
  OpcodeTable opcodes_;
  BlockCache blocks_;
  std::vector<std::unique_ptr<Processor>> processors_;
  std::unique_ptr<MachineTiming> timing_;
  /// One a core, if machine.engine_statistics asks for them.
  std::vector<std::unique_ptr<WorkCounter>> work_;
  /// One a core, if the profile has virtualization.
  std::vector<std::unique_ptr<ExitStatistics>> exits_;
  StatRegistry registry_;
  std::unique_ptr<RunControl> control_;
  std::unique_ptr<HostedVmm> hosted_;
  TimingMode mode_ = TimingMode::None;
  TimingMode decoded_for_ = TimingMode::None;  ///< the pipeline that blocks were decoded for last
  u64 switches_ = 0;
  /// Of earlier times in each mode, and where the machine stood when the present one began.
  struct Passed {
    u64 cycles = 0, instructions = 0;
  };
  std::array<Passed, timing_mode_names.size()> passed_{};
  Passed since_;
  std::optional<RunEnd> request_;
};

}  // namespace bunshin
