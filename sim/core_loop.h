#pragma once

// The thread that lets the cores run. They run ahead of SystemC's time up to the next event, never past it (temporal
// decoupling), in turns of a quantum if there are several, always in the same order.

#include <exception>
#include <functional>
#include <optional>
#include <systemc>
#include <vector>

#include "core/processor.h"
#include "sim/debug/gdb_server.h"
#include "sim/debug/trace.h"
#include "sim/run_end.h"

namespace bunshin {

/// What the loop asks of whoever started the run.
class RunSupervisor {
 public:
  /// Between slices: a look at the host (input, signals, limits, what the guest asked for). A value ends the run.
  virtual std::optional<RunEnd> look(u64 cycle) = 0;
  /// Nothing will happen in the machine for `span`. May sleep to keep pace with the user.
  virtual void idle(SimTime span) = 0;
  /// Nothing will ever happen in the machine unless the user types: waits for that. False: no input can come.
  virtual bool wait_for_input() = 0;

 protected:
  ~RunSupervisor() = default;
};

class CoreLoop final : public sc_core::sc_module, public CoreEnvironment {
 public:
  struct Settings {
    u64 hertz = 0;
    u64 quantum = 0;  ///< cycles
    u64 max_cycles = ~u64{0};
  };
  CoreLoop(const sc_core::sc_module_name& name, const Settings& settings);

  /// Before the run. The processors need the loop as their environment, so they come after it.
  void set_processors(std::vector<Processor*> processors) { processors_ = std::move(processors); }
  void set_supervisor(RunSupervisor* supervisor) { supervisor_ = supervisor; }
  /// Called with the accessing core's time before devices that are reached without the bus are accessed.
  void set_local_time_listener(std::function<void(SimTime)> listener) { local_time_listener_ = std::move(listener); }
  void set_trace(TraceWriter* trace) { trace_ = trace; }
  void set_debugger(GdbServer* debugger) { debugger_ = debugger; }

  u64 cycle() const { return cycle_; }
  /// How the run ended, or the exception that ended it. After sc_start() returned.
  RunEnd result() const;

  // CoreEnvironment
  SimTime platform_time() const override;
  SimTime next_event() const override;
  void set_local_time(SimTime now) override;

 private:
  /// Shows each instruction to all who want to see it.
  class Watchers final : public ExecutionObserver {
   public:
    bool before_instruction(const Cpu& cpu) override;
    TraceWriter* trace = nullptr;
    GdbServer* debugger = nullptr;
  };

  void run_cores();
  RunEnd loop();
  u64 next_event_cycle() const;
  u64 slice_end();
  std::optional<RunEnd> run_slice(u64 end);
  std::optional<RunEnd> on_stop(Processor& processor, Stop stop);
  std::optional<RunEnd> pass_idle_time();
  std::optional<RunEnd> serve_debugger(unsigned core, bool interrupted);
  void attach_watchers();
  void advance_to(u64 cycle);

  Settings settings_;
  Clock clock_;
  std::vector<Processor*> processors_;
  RunSupervisor* supervisor_ = nullptr;
  std::function<void(SimTime)> local_time_listener_;
  TraceWriter* trace_ = nullptr;
  GdbServer* debugger_ = nullptr;
  Watchers watchers_;
  bool watching_ = false;
  u64 cycle_ = 0;  ///< all cores have run up to here
  bool all_idle_ = false;
  RunEnd end_;
  std::exception_ptr failure_;
};

}  // namespace bunshin
