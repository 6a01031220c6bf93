#include "sim/core_loop.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "sim/debug/disassembler.h"
#include "sim/debug/guest_memory.h"

namespace bunshin {

namespace {

/// With one core a slice may go to the next event, but not longer than this without a look at the host.
constexpr u64 longest_slice = 2'000'000;

std::string describe_instruction(const Processor& processor, const Cpu& cpu) {
  std::array<u8, 15> bytes{};
  const std::size_t count = read_linear(cpu, linear_rip(cpu), bytes);
  const Disassembled d = Disassembler(cpu.mode.bits).at({bytes.data(), count}, processor.state().rip);
  return fmt::format("{} ({})", d.text, hex_bytes({bytes.data(), d.length}));
}

}  // namespace

CoreLoop::CoreLoop(const sc_core::sc_module_name& name, const Settings& settings)
    : sc_module(name), settings_(settings), clock_{settings.hertz} {
  SC_HAS_PROCESS(CoreLoop);
  SC_THREAD(run_cores);
}

SimTime CoreLoop::platform_time() const { return SimTime{sc_core::sc_time_stamp().value()}; }

SimTime CoreLoop::next_event() const {
  const sc_core::sc_time wait = sc_core::sc_time_to_pending_activity(sc_core::sc_get_curr_simcontext());
  const sc_core::sc_time left = sc_core::sc_max_time() - sc_core::sc_time_stamp();
  return wait >= left ? SimTime::never() : platform_time() + SimTime{wait.value()};
}

CoreEnvironment& CoreLoop::environment(unsigned number) {
  while (environments_.size() <= number) {
    environments_.push_back(std::make_unique<Environment>(*this, static_cast<unsigned>(environments_.size())));
  }
  return *environments_[number];
}

RunEnd CoreLoop::result() const {
  if (failure_) std::rethrow_exception(failure_);
  return end_;
}

bool CoreLoop::Watchers::before_instruction(const Cpu& cpu) {
  if (debugger != nullptr && !debugger->before_instruction(cpu)) return false;
  if (trace != nullptr && !trace->before_instruction(cpu)) return false;
  return observer == nullptr || observer->before_instruction(cpu);
}

void CoreLoop::run_cores() {
  // The kernel would turn an exception in a process into a report that says less.
  try {
    end_ = loop();
    if (control_ != nullptr) control_->settle(cycle_, instructions());
  } catch (...) {
    failure_ = std::current_exception();
  }
  sc_core::sc_stop();
}

RunEnd CoreLoop::loop() {
  if (debugger_ != nullptr && debugger_->start() == GdbServer::Resume::Kill) {
    return {ExitStatus::Limit, "ended by the debugger", {}};
  }
  if (program_ != nullptr) return run_program();
  while (true) {
    if (const auto end = turn()) return *end;
  }
}

RunEnd CoreLoop::run_program() {
  try {
    program_->run();
  } catch (const Ended& ended) {
    return ended.end;
  }
  return {ExitStatus::SimulatorBug, "the program on the first core came to its end", {}};
}

void CoreLoop::run_to_mark() {
  mark_reached_ = false;
  while (!mark_reached_) {
    if (const auto end = turn()) throw Ended{*end};
  }
}

std::optional<RunEnd> CoreLoop::turn() {
  if (control_ != nullptr) control_->settle(cycle_, instructions());
  if (auto end = supervisor_->look(cycle_)) return end;
  if (cycle_ >= settings_.max_cycles) {
    return RunEnd{ExitStatus::Limit, fmt::format("the limit of {} cycles was reached", settings_.max_cycles), {}};
  }
  if (debugger_ != nullptr && debugger_->interrupt_waiting()) {
    if (auto end = serve_debugger(0, true)) return end;
  }
  attach_watchers();
  if (all_idle_) {
    if (auto end = pass_idle_time()) return end;
  }
  return run_slice(slice_end());
}

void CoreLoop::pass_until(u64 end) {
  Processor& processor = *processors_.front();
  if (processor.cycles() >= end) return;
  const u64 step = std::min(passing_, end - processor.cycles());
  processor.pass(step);
  passing_ -= step;
}

u64 CoreLoop::next_event_cycle() const {
  u64 event = clock_.tick_from(next_event());
  for (const Processor* processor : processors_) event = std::min(event, processor->next_cycle());
  return control_ == nullptr ? event : std::min(event, control_->next_cycle());
}

u64 CoreLoop::instructions() const {
  u64 total = 0;
  for (const Processor* processor : processors_) total += processor->instructions();
  return total;
}

void CoreLoop::limit(Processor& processor) {
  if (control_ == nullptr) return;
  const std::optional<u64> wanted = control_->next_instructions();
  const u64 now = wanted ? instructions() : 0;
  // The core that comes there first stops exactly there; the others finish the slice.
  const bool ahead = wanted && now < *wanted;
  processor.set_instruction_limit(ahead ? std::optional(processor.instructions() + (*wanted - now)) : std::nullopt);
}

u64 CoreLoop::slice_end() {
  const u64 slice = processors_.size() > 1 ? settings_.quantum : longest_slice;
  u64 end = std::min({cycle_ + slice, next_event_cycle(), settings_.max_cycles});
  if (trace_ != nullptr && !watching_) end = std::min(end, std::max(trace_->wanted_from(), cycle_ + 1));
  return std::max(end, cycle_);
}

std::optional<RunEnd> CoreLoop::run_slice(u64 end) {
  all_idle_ = true;
  if (passing_ != 0) pass_until(end);
  for (Processor* processor : processors_) {
    if (passing_ != 0 && processor == processors_.front()) {
      all_idle_ = false;
      continue;
    }
    limit(*processor);
    const Stop stop = processor->run(end);
    if (stop == Stop::Halted) {
      if (processor->cycles() < end) processor->skip_to(end);
      continue;
    }
    all_idle_ = false;
    // A device access may have moved the next event closer: nobody runs past it.
    if (processor->cycles() < end) end = std::max(processor->cycles(), cycle_);
    if (stop == Stop::Deadline || stop == Stop::Noted) continue;
    // The guest asked for power-off or the like: nothing runs after that.
    if (stop == Stop::Requested) break;
    if (auto result = on_stop(*processor, stop)) {
      advance_to(end);
      return result;
    }
  }
  advance_to(end);
  return std::nullopt;
}

void CoreLoop::advance_to(u64 cycle) {
  const SimTime target = clock_.at(cycle);
  const SimTime now = platform_time();
  cycle_ = cycle;
  // Zero time too: it lets notifications of the present happen.
  sc_core::wait(sc_core::sc_time::from_value(target > now ? (target - now).ps : 0));
}

std::optional<RunEnd> CoreLoop::pass_idle_time() {
  // An interrupt that came with the last event wakes its core without any time passing.
  for (Processor* processor : processors_) {
    if (processor->run(processor->cycles()) != Stop::Halted) {
      all_idle_ = false;
      return std::nullopt;
    }
  }
  if (std::ranges::all_of(processors_, [](const Processor* p) { return p->dead(); })) {
    return RunEnd{ExitStatus::GuestFailure, "the guest is dead: all cores are halted with interrupts disabled", {}};
  }
  const u64 event = next_event_cycle();
  if (event == ~u64{0}) {
    if (supervisor_->wait_for_input()) return std::nullopt;
    return RunEnd{ExitStatus::GuestFailure, "the guest is dead: all cores wait and no device will ever wake them", {}};
  }
  const u64 end = std::min(event, settings_.max_cycles);
  if (end <= cycle_) return std::nullopt;
  supervisor_->idle(clock_.at(end) - clock_.at(cycle_));
  for (Processor* processor : processors_) processor->skip_to(std::max(end, processor->cycles()));
  advance_to(end);
  return std::nullopt;
}

std::optional<RunEnd> CoreLoop::on_stop(Processor& processor, Stop stop) {
  const Cpu& cpu = processor.cpu();
  switch (stop) {
    case Stop::Shutdown:
      return RunEnd{ExitStatus::GuestFailure,
                    fmt::format("triple fault on core {} at RIP {:#x}", cpu.number, processor.state().rip),
                    {}};
    case Stop::Unimplemented:
      return RunEnd{ExitStatus::SimulatorBug,
                    fmt::format("core {} met an instruction that the simulator lacks: {} at RIP {:#x}", cpu.number,
                                describe_instruction(processor, cpu), processor.state().rip),
                    {}};
    case Stop::Observer: return serve_debugger(cpu.number, false);
    default: return std::nullopt;
  }
}

std::optional<RunEnd> CoreLoop::serve_debugger(unsigned core, bool interrupted) {
  switch (debugger_->stopped(core, interrupted)) {
    case GdbServer::Resume::Run: break;
    case GdbServer::Resume::Detach: debugger_ = nullptr; break;
    case GdbServer::Resume::Kill: return RunEnd{ExitStatus::Limit, "ended by the debugger", {}};
  }
  attach_watchers();
  return std::nullopt;
}

void CoreLoop::attach_watchers() {
  watchers_.debugger = debugger_ != nullptr && debugger_->watching() ? debugger_ : nullptr;
  watchers_.trace = trace_ != nullptr && trace_->wanted_from() <= cycle_ ? trace_ : nullptr;
  watching_ = watchers_.debugger != nullptr || watchers_.trace != nullptr || watchers_.observer != nullptr;
  for (Processor* processor : processors_) processor->set_observer(watching_ ? &watchers_ : nullptr);
}

}  // namespace bunshin
