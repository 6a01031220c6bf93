#include "sim/run_command.h"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "sim/config/machine_config.h"
#include "sim/console.h"
#include "sim/debug/linux_symbols.h"
#include "sim/machine.h"
#include "sim/progress.h"
#include "sim/report/profile.h"
#include "sim/report/report_files.h"
#include "sim/vmm/hypervisor_boot.h"
#include "sim/vmm/hypervisor_console.h"
#include "sim/vmm/hypervisor_statistics.h"

namespace bunshin {

namespace {

using HostClock = std::chrono::steady_clock;

/// Cycles between two looks at what costs something to look at: the host's clock, the text screen.
constexpr u64 look_interval = 1'000'000;

/// Of a file that is written while the machine runs; "" without --out.
std::string out_path(const RunOptions& options, const char* name) {
  if (options.out.empty()) return "";
  std::error_code error;
  std::filesystem::create_directories(options.out, error);
  if (error) throw ConfigError(fmt::format("--out {}: cannot create the directory: {}", options.out, error.message()));
  return options.out + "/" + name;
}

Symbols load_symbols(const RunOptions& options, const MachineConfig& config) {
  const bool named = !config.guest.symbols.empty() || !options.trace.empty() || !options.out.empty();
  const std::string file = config.guest.symbols_file();
  return named && !file.empty() ? Symbols::from_file(file) : Symbols();
}

class Run final : public RunSupervisor {
 public:
  Run(const RunOptions& options, const MachineConfig& config)
      : options_(options),
        config_(config),
        console_(out_path(options, "console.log"), !options.screen),
        progress_(!options.quiet, options.screen),
        machine_(config, console_, options.max_cycles.value_or(~u64{0})),
        symbols_(load_symbols(options, config)) {
    console_.watch_for(options.until_console);
    if (config.devices.com2 && !config.vmm.wanted() && !options.out.empty()) {
      second_console_.emplace(options.out + "/com2.log", false);
      machine_.connect_second_serial(*second_console_);
    }
    if (!config.vmm.wanted()) return;
    hypervisor_console_.emplace(out_path(options, "vmm.log"));
    machine_.connect_second_serial(*hypervisor_console_);
  }

  ExitStatus execute() {
    const LoadedGuest guest = machine_.load_guest();
    note(fmt::format("{}: {}, entered at {:#x}",
                     config_.vmm.binding == "bare" ? hypervisor_image(config_) : config_.guest.kernel, guest.protocol,
                     guest.entry));
    attach_tools();
    console_.start_input();
    if (console_.interactive()) note("Ctrl-C ends the run, Ctrl-A h shows the other keys");
    const HostClock::time_point start = HostClock::now();
    RunEnd end = machine_.run(*this);
    const double seconds = std::chrono::duration<double>(HostClock::now() - start).count();
    console_.set_status_line("");
    console_.flush();
    if (second_console_) second_console_->flush();
    if (walk_trace_) {
      if (const std::string error = walk_trace_->close(); !error.empty()) end = {ExitStatus::Usage, error, {}};
    }
    if (exit_trace_) {
      if (const std::string error = exit_trace_->close(); !error.empty()) end = {ExitStatus::Usage, error, {}};
    }
    if (hypervisor_console_ && end.status != ExitStatus::Success) {
      if (end.exit_value) end = of_the_hypervisor(end);
      if (end.status != ExitStatus::Usage)
        std::fputs(fmt::format("bunshin: the hypervisor said:\n{}", hypervisor_console_->brief()).c_str(), stderr);
    }
    if (debugger_) debugger_->exited(static_cast<int>(end.status));
    report(end, seconds);
    return end.status;
  }

  std::optional<RunEnd> look(u64 cycle) override {
    feed_input();
    if (!options_.out.empty() && time_line_.due(cycle)) time_line_.add(sample());
    if (interrupted_by_signal()) return RunEnd{ExitStatus::Limit, "interrupted", {}};
    if (console_.end_requested()) return RunEnd{ExitStatus::Limit, "ended with the escape key", {}};
    if (const auto& end = machine_.guest_request()) return end;
    if (walk_trace_ && !walk_trace_->error().empty()) return RunEnd{ExitStatus::Usage, walk_trace_->error(), {}};
    if (exit_trace_ && !exit_trace_->error().empty()) return RunEnd{ExitStatus::Usage, exit_trace_->error(), {}};
    if (console_.seen()) {
      return RunEnd{ExitStatus::Success, fmt::format("the console printed \"{}\"", options_.until_console), {}};
    }
    if (cycle < next_look_) return std::nullopt;
    next_look_ = cycle + look_interval;
    if (!options_.until_screen.empty() && machine_.screen_text().find(options_.until_screen) != std::string::npos) {
      return RunEnd{ExitStatus::Success, fmt::format("the screen shows \"{}\"", options_.until_screen), {}};
    }
    if (progress_.due()) {
      console_.flush();
      progress_.show(console_, machine_.seconds(), machine_.instructions(),
                     options_.screen ? machine_.screen_text() : "");
    }
    return std::nullopt;
  }

  void idle(SimTime span) override {
    // With a person at the keyboard an idle guest's clock runs no faster than the wall's.
    constexpr u64 ps_per_ms = 1'000'000'000;
    if (!console_.interactive()) return;
    idle_ps_ += span.ps;
    if (idle_ps_ < ps_per_ms) return;
    console_.wait_for_input(static_cast<unsigned>(std::min<u64>(idle_ps_ / ps_per_ms, 100)));
    idle_ps_ = 0;
  }

  bool wait_for_input() override {
    return console_.wait_for_input(0) || interrupted_by_signal() || console_.end_requested();
  }

 private:
  /// A guest that it does not start is a mistake in the configuration.
  RunEnd of_the_hypervisor(RunEnd end) const {
    const std::string complaint = hypervisor_console_->complaint();
    if (!hypervisor_console_->started()) {
      return {ExitStatus::Usage, "the hypervisor refuses " + with_guests_files(config_, complaint), end.exit_value};
    }
    end.reason = "the hypervisor gave up: " + complaint;
    return end;
  }

  void note(const std::string& text) const {
    if (!options_.quiet) std::fputs(fmt::format("bunshin: {}\n", text).c_str(), stderr);
  }

  void attach_tools() {
    if (!options_.trace.empty()) {
      trace_.emplace(options_.trace, parse_trace_point(options_.trace_from, symbols_),
                     parse_trace_point(options_.trace_to, symbols_), symbols_);
      machine_.loop().set_trace(&*trace_);
    }
    if (!options_.walk_trace.empty()) {
      walk_trace_.emplace(options_.walk_trace);
      machine_.trace_walks(*walk_trace_);
    }
    if (!options_.exit_trace.empty()) {
      exit_trace_.emplace(options_.exit_trace);
      machine_.trace_exits(*exit_trace_);
    }
    if (options_.gdb_port) {
      debugger_.emplace(*options_.gdb_port, machine_.processors());
      std::fputs(fmt::format("bunshin: waiting for GDB: target remote :{}\n", debugger_->port()).c_str(), stderr);
      machine_.loop().set_debugger(&*debugger_);
    }
  }

  void feed_input() {
    while (const std::optional<u8> byte = console_.next_input()) {
      if (machine_.type(*byte)) continue;
      console_.put_back(*byte);
      return;
    }
  }

  TimeLine::Sample sample() { return {machine_.loop().cycle(), machine_.instructions(), machine_.timed_counters()}; }

  void report(const RunEnd& end, double seconds) {
    std::map<std::string, StatValue> stats = machine_.stats();
    const u64 instructions = machine_.instructions();
    const double mips = seconds > 0 ? static_cast<double>(instructions) / seconds / 1e6 : 0.0;
    stats["sim.host_seconds"] = {seconds, "s", "host time of the run"};
    stats["sim.mips"] = {mips, "million instructions/s", "instructions simulated for each second of host time"};
    stats["sim.exit_status"] = {static_cast<u64>(end.status), "", "exit status of the command"};
    stats["sim.end_reason"] = {end.reason, "", "why the run ended"};
    if (hypervisor_console_) add_hypervisor_statistics(hypervisor_console_->text(), stats);
    if (end.exit_value)
      stats["guest.exit_value"] = {*end.exit_value, "", "what the guest wrote to the debug-exit port"};
    if (!options_.out.empty()) {
      time_line_.finish(sample());
      // A distribution's kernel has no symbols but those that it carries for itself.
      CodeNames names(symbols_, machine_.timing() != nullptr
                                    ? linux_kernels(machine_.processors().front()->cpu().memory)
                                    : std::vector<LinuxKernel>{});
      if (config_.vmm.binding == "bare") names.set_hypervisor(Symbols::from_file(hypervisor_symbols_file(config_)));
      const nlohmann::json profile = make_profile({config_, options_.config, machine_.timing(), time_line_, names});
      write_report(options_.out, {config_, stats, profile, machine_.screen_text()});
    }
    const bool failed = end.status != ExitStatus::Success;
    const std::string summary = fmt::format(
        "{} after {} cycles ({:.6f} s simulated), {} instructions, {:.2f} s, {:.1f} MIPS, state {:016x}", end.reason,
        machine_.loop().cycle(), machine_.seconds(), instructions, seconds, mips, machine_.state_hash());
    if (end.status == ExitStatus::Usage)
      std::fputs(fmt::format("bunshin: {}\n", end.reason).c_str(), stderr);
    else if (failed)
      std::fputs(fmt::format("bunshin: {}\n", summary).c_str(), stderr);
    else
      note(summary);
  }

  const RunOptions& options_;
  const MachineConfig& config_;
  HostConsole console_;
  std::optional<HostConsole> second_console_;  ///< com2.log: written only
  std::optional<HypervisorConsole> hypervisor_console_;
  Progress progress_;
  Machine machine_;
  Symbols symbols_;
  TimeLine time_line_;
  std::optional<TraceWriter> trace_;
  std::optional<WalkTrace> walk_trace_;
  std::optional<ExitTrace> exit_trace_;
  std::optional<GdbServer> debugger_;
  u64 next_look_ = 0;
  u64 idle_ps_ = 0;
};

}  // namespace

ExitStatus run_command(const RunOptions& options) {
  const MachineConfig config = read_config(options.config, options.overrides);
  if (config.guest.kernel.empty() && !(config.vmm.wanted() && !config.vmm.guests.empty())) {
    throw ConfigError(options.config +
                      ": guest.kernel: is not set: name an image, for example --set guest.kernel=FILE");
  }
  install_signal_handlers();
  return Run(options, config).execute();
}

}  // namespace bunshin
