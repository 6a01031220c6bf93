#pragma once

// The thread that lets the cores run. They run ahead of SystemC's time up to the next event, never past it (temporal
// decoupling), in turns of a quantum if there are several, always in the same order.

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <systemc>
#include <vector>

#include "core/processor.h"
#include "sim/debug/gdb_server.h"
#include "sim/debug/trace.h"
#include "sim/run_control.h"
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

/// What runs on the first core from within the simulator: a hosted hypervisor (sim/vmm/hosted_vmm.h).
class HostProgram {
 public:
  /// The whole run. It lets the cores run by CoreLoop::run_to_mark() and CoreLoop::pass(), which throw when the run is over.
  virtual void run() = 0;
  /// The first core executes a mark. True if run_to_mark() is to return behind it.
  virtual bool marked(u16 code) = 0;

 protected:
  ~HostProgram() = default;
};

class CoreLoop final : public sc_core::sc_module {
 public:
  struct Settings {
    u64 hertz = 0;
    u64 quantum = 0;  ///< cycles
    u64 max_cycles = ~u64{0};
  };
  CoreLoop(const sc_core::sc_module_name& name, const Settings& settings);

  /// The environment that core `number` is to be constructed with; the same object for the same number.
  CoreEnvironment& environment(unsigned number);
  /// Before the run.
  void set_processors(std::vector<Processor*> processors) { processors_ = std::move(processors); }
  void set_supervisor(RunSupervisor* supervisor) { supervisor_ = supervisor; }
  /// Called with a core's number and time before it accesses devices that it reaches without the bus.
  void set_local_time_listener(std::function<void(unsigned, SimTime)> listener) { local_time_ = std::move(listener); }
  /// Acts at points of the run. Before the run.
  void set_control(RunControl* control) { control_ = control; }
  /// Between slices: how long one of several cores runs before the next one's turn.
  void set_quantum(u64 cycles) { settings_.quantum = cycles; }
  void set_trace(TraceWriter* trace) { trace_ = trace; }
  void set_debugger(GdbServer* debugger) { debugger_ = debugger; }
  /// Sees every instruction of all cores; while one is attached they step.
  void set_observer(ExecutionObserver* observer) { watchers_.observer = observer; }

  /// Before the run.
  void set_program(HostProgram* program) { program_ = program; }
  /// --- For the program ---
  void run_to_mark();
  /// The first core's next so many cycles pass without it executing anything.
  void pass(u64 cycles) { passing_ += cycles; }

  u64 cycle() const { return cycle_; }
  /// How the run ended, or the exception that ended it. After sc_start() returned.
  RunEnd result() const;

 private:
  class Environment final : public CoreEnvironment {
   public:
    Environment(CoreLoop& loop, unsigned number) : loop_(loop), number_(number) {}
    SimTime platform_time() const override { return loop_.platform_time(); }
    SimTime next_event() const override { return loop_.next_event(); }
    void set_local_time(SimTime now) override {
      if (loop_.local_time_) loop_.local_time_(number_, now);
    }
    void marked(unsigned core, u16 code) override {
      if (loop_.program_ != nullptr && core == 0 && loop_.program_->marked(code)) {
        loop_.mark_reached_ = true;
        return loop_.end_turn(core);
      }
      if (loop_.control_ != nullptr && loop_.control_->marked(code)) loop_.end_turn(core);
    }
    bool reached(unsigned core, u64 linear) override {
      const bool meant = loop_.control_ != nullptr && loop_.control_->reached(linear);
      if (meant) loop_.end_turn(core);
      return meant;
    }

   private:
    CoreLoop& loop_;
    unsigned number_;
  };
  /// Shows each instruction to all who want to see it.
  class Watchers final : public ExecutionObserver {
   public:
    bool before_instruction(const Cpu& cpu) override;
    TraceWriter* trace = nullptr;
    GdbServer* debugger = nullptr;
    ExecutionObserver* observer = nullptr;
  };

  /// Thrown through the program.
  struct Ended {
    RunEnd end;
  };

  SimTime platform_time() const;
  SimTime next_event() const;
  void run_cores();
  RunEnd loop();
  RunEnd run_program();
  /// A look at the host, then a slice or an idle time. A value ends the run.
  std::optional<RunEnd> turn();
  /// What the program's passing time leaves of the slice.
  void pass_until(u64 end);
  void end_turn(unsigned core) { processors_[core]->request_stop(Stop::Noted); }
  u64 instructions() const;
  /// Makes the control's instruction count hold for the core that is about to run.
  void limit(Processor& processor);
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
  std::vector<std::unique_ptr<Environment>> environments_;
  std::function<void(unsigned, SimTime)> local_time_;
  RunControl* control_ = nullptr;
  TraceWriter* trace_ = nullptr;
  GdbServer* debugger_ = nullptr;
  Watchers watchers_;
  bool watching_ = false;
  u64 cycle_ = 0;  ///< all cores have run up to here
  bool all_idle_ = false;
  HostProgram* program_ = nullptr;
  u64 passing_ = 0;  ///< cycles that the first core still has to pass
  bool mark_reached_ = false;
  RunEnd end_;
  std::exception_ptr failure_;
};

}  // namespace bunshin
