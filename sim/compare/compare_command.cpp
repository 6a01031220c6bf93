#include "sim/compare/compare_command.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <ranges>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "sim/compare/child_runs.h"
#include "sim/compare/compare_options.h"
#include "sim/compare/comparison.h"
#include "sim/console.h"
#include "sim/vmm/hypervisor_boot.h"

namespace bunshin {

namespace {

namespace fs = std::filesystem;

/// Where the runs' files go: where the user wants them, or a folder that goes away.
class Folder {
 public:
  explicit Folder(const std::string& wanted) : path_(wanted), temporary_(wanted.empty()) {
    if (temporary_) {
      std::string name = (fs::temp_directory_path() / "bunshin-compare-XXXXXX").string();
      if (mkdtemp(name.data()) == nullptr) throw std::runtime_error(name + ": the directory cannot be created");
      path_ = name;
    }
    std::error_code error;
    fs::create_directories(path_, error);
    if (error) throw ConfigError(fmt::format("--out {}: cannot create the directory: {}", wanted, error.message()));
  }
  ~Folder() {
    std::error_code ignored;
    if (temporary_) fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string of(const std::string& name) const { return (path_ / name).string(); }
  bool temporary() const { return temporary_; }

 private:
  fs::path path_;
  bool temporary_;
};

void write_file(const std::string& path, const std::string& content) {
  std::ofstream out(path, std::ios::binary);
  out << content;
  out.close();
  if (!out) throw ConfigError(path + ": cannot be written");
}

std::vector<std::string> last_lines(const std::string& path) {
  constexpr std::size_t shown = 12;
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return {lines.end() - static_cast<std::ptrdiff_t>(std::min(lines.size(), shown)), lines.end()};
}

/// The last line, without the program's name in front.
std::string reason_of(const std::vector<std::string>& messages, int status) {
  constexpr std::string_view own_name = "bunshin: ";
  if (messages.empty()) return fmt::format("the simulator ended with status {}", status);
  const std::string& last = messages.back();
  return last.starts_with(own_name) ? last.substr(own_name.size()) : last;
}

ChildRun child_of(const CompareMode& mode, const CompareOptions& options, const Folder& folder) {
  const std::string out = folder.of(mode.name);
  // What an earlier comparison left must not pass for this one's.
  std::error_code error;
  fs::remove(out + "/stats.json", error);
  fs::create_directories(out, error);
  ChildRun run{mode.name, {"run", options.config, "--out", out, "--quiet"}, out + "/messages.log"};
  for (const std::vector<std::string>* overrides : {&options.overrides, &mode.overrides}) {
    for (const std::string& text : *overrides) run.arguments.insert(run.arguments.end(), {"--set", text});
  }
  if (options.max_cycles) {
    run.arguments.insert(run.arguments.end(), {"--max-cycles", std::to_string(*options.max_cycles)});
  }
  return run;
}

/// What is wrong with any mode's configuration, or the files of those under the hypervisor, is said before one of them runs.
/// The native mode comes last, because its configuration has been made of theirs.
void check_modes(const CompareOptions& options, const ComparePlan& plan) {
  bool files_checked = false;
  for (const CompareMode& mode : plan.modes | std::views::reverse) {
    std::vector<std::string> overrides = options.overrides;
    overrides.insert(overrides.end(), mode.overrides.begin(), mode.overrides.end());
    try {
      const MachineConfig config = read_config(options.config, overrides);
      if (config.vmm.wanted() && !files_checked) HypervisorBoot{config};
      files_checked = files_checked || config.vmm.wanted();
    } catch (const ConfigError& e) {
      throw ConfigError(fmt::format("the mode {}: {}", mode.name, e.what()));
    }
  }
}

/// False: it failed, and that has been said.
bool collect(const ChildRun& run, const Folder& folder, Comparison& comparison) {
  const bool finished = fs::exists(folder.of(run.name) + "/stats.json");
  const std::vector<std::string> messages = run.status == 0 ? std::vector<std::string>() : last_lines(run.messages);
  comparison.results.push_back(finished
                                   ? mode_result(run.name, read_report_data(folder.of(run.name)), run.name == "native")
                                   : unmeasured_mode(run.name, run.status, reason_of(messages, run.status)));
  if (run.status == 0) return true;
  std::cerr << fmt::format("bunshin: the mode {} failed, status {}\n", run.name, run.status);
  for (const std::string& line : messages) std::cerr << "  " << line << "\n";
  return false;
}

/// If no mode could begin, for one and the same reason: that reason. It is the configuration's, not a guest's.
std::optional<std::string> common_reason(const std::vector<ChildRun>& runs) {
  std::optional<std::string> reason;
  for (const ChildRun& run : runs) {
    if (run.status != static_cast<int>(ExitStatus::Usage)) return std::nullopt;
    const std::string own = reason_of(last_lines(run.messages), run.status);
    if (reason && *reason != own) return std::nullopt;
    reason = own;
  }
  return reason;
}

unsigned jobs_of(const CompareOptions& options) {
  return options.jobs != 0 ? options.jobs : std::clamp(std::thread::hardware_concurrency(), 1u, 2u);
}

void write_results(const CompareOptions& options, const Folder& folder, const Comparison& comparison) {
  if (!folder.temporary()) write_file(folder.of("report.html"), comparison_html(comparison));
  const bool to_standard_output = options.json == "-";
  if (to_standard_output) {
    std::cout << comparison_json(comparison);
  } else {
    if (!options.json.empty()) write_file(options.json, comparison_json(comparison));
    std::cout << comparison_text(comparison);
  }
  if (!options.quiet && !folder.temporary()) {
    std::cerr << fmt::format("bunshin: pictures: {}\n", folder.of("report.html"));
  }
}

}  // namespace

ExitStatus compare_command(const std::vector<std::string>& arguments) {
  const std::optional<CompareOptions> options = parse_compare_options(arguments);
  if (!options) return ExitStatus::Success;
  // Each mode chooses its own way of paging; what the experiment says must not be what the processor lacks.
  std::vector<std::string> overrides = options->overrides;
  overrides.emplace_back("vmm.paging=shadow");
  const MachineConfig config = read_config(options->config, overrides);
  const ComparePlan plan = plan_modes(*options, config);
  check_modes(*options, plan);
  const Folder folder(options->out);
  std::vector<ChildRun> runs;
  for (const CompareMode& mode : plan.modes) runs.push_back(child_of(mode, *options, folder));
  install_signal_handlers();
  if (!run_children(runs, jobs_of(*options), options->quiet)) {
    std::cerr << "bunshin: interrupted\n";
    return ExitStatus::Limit;
  }
  Comparison comparison{
      options->config, fs::path(config.guest.kernel).filename().string(), config.cpu.brand, config.machine.timing, {},
      plan.left_out};
  if (const std::optional<std::string> reason = common_reason(runs)) throw ConfigError(*reason);
  bool good = true;
  for (const ChildRun& run : runs) good = collect(run, folder, comparison) && good;
  // A configuration that no mode can use is the user's mistake, not a guest's.
  const bool unusable = std::ranges::all_of(runs, [](const ChildRun& r) { return r.status == 2; });
  if (unusable) return ExitStatus::Usage;
  write_results(*options, folder, comparison);
  return good ? ExitStatus::Success : ExitStatus::GuestFailure;
}

}  // namespace bunshin
