#include "sim/compare/compare_options.h"

#include <algorithm>
#include <array>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/command_arguments.h"
#include "sim/config/units.h"
#include "sim/vmm/hypervisor_boot.h"

namespace bunshin {

namespace po = boost::program_options;

namespace {

using Strings = std::vector<std::string>;

constexpr std::array<std::string_view, 6> all_modes{"native", "shadow", "vtlb", "nested", "software", "deprivileged"};
constexpr const char* usage = "usage: bunshin compare EXPERIMENT [OPTIONS]   (bunshin compare --help)";
constexpr const char* introduction =
    "Runs the experiment's guest natively and under the hypervisor's ways of paging, and says where the cycles went.\n"
    "Exit status 1: a mode failed.";

po::options_description description() {
  po::options_description d("Options");
  const auto string = [] { return po::value<std::string>(); };
  d.add_options()("set", po::value<Strings>()->composing()->value_name("KEY=VALUE"),
                  "override one value of the configuration in every mode; may be repeated")(
      "timing", string()->value_name("none|inorder|ooo"), "the same as --set machine.timing=…")(
      "modes", string()->value_name("LIST"),
      "of native, shadow, vtlb, nested, software, deprivileged, separated by commas; default: those that the machine "
      "can")("out", string()->value_name("DIR"),
             "write report.html here, and each mode's files into a folder of its name")(
      "json", string()->value_name("FILE"), "write the results as JSON; - is standard output")(
      "max-cycles", string()->value_name("N"), "end each run, as failed, after N cycles")(
      "jobs", string()->value_name("N"), "runs at once; default: 2, on a host with one core 1")(
      "quiet,q", "print nothing but the comparison and errors")("help,h", "this help");
  return d;
}

std::optional<u64> number(const po::variables_map& values, const char* name, u64 largest) {
  if (values.count(name) == 0) return std::nullopt;
  const std::optional<u64> value = parse_quantity(option_text(values, name), "");
  if (!value || *value > largest || *value == 0) {
    throw ConfigError(
        fmt::format("--{} {}: expected a whole number from 1 to {}", name, option_text(values, name), largest));
  }
  return value;
}

Strings parse_modes(const std::string& list) {
  Strings modes;
  std::istringstream items(list);
  for (std::string mode; std::getline(items, mode, ',');) {
    if (std::ranges::find(all_modes, mode) == all_modes.end()) {
      throw ConfigError(fmt::format("--modes {}: '{}' is not one of {}", list, mode, fmt::join(all_modes, ", ")));
    }
    if (std::ranges::find(modes, mode) == modes.end()) modes.push_back(mode);
  }
  return modes;
}

/// Why the machine cannot, or "".
std::string reason_against(const std::string& mode, const MachineConfig& config, bool asked) {
  if (mode == "native") return "";
  CpuProfile cpu = config.cpu;
  cpu.resolve();
  const bool extension = cpu.has(Feature::Vmx) || cpu.has(Feature::Svm);
  if (mode == "deprivileged") {
    if (config.vmm.binding == "hosted") return "vmm.binding: `hosted` has no guests in user state.";
    return asked || !extension ? "" : "the processor has a virtualization extension (--modes can ask for it).";
  }
  if (!extension) return "the processor has neither VT-x nor AMD-V.";
  if (!cpu.has(Feature::Lm)) return "the hypervisor uses VT-x and AMD-V in 64-bit mode, and the processor has none.";
  const std::string lacking = lacking_for_paging(mode, cpu, config.translation.scheme);
  return lacking.empty() ? "" : lacking + ".";
}

/// The guest finds the same memory in every mode, and one processor, which is what the hypervisor has for it.
CompareMode mode_of(const std::string& name, const MachineConfig& config) {
  const u64 memory = config.vmm.guest_memory_of(config.machine.memory);
  if (name == "native") {
    return {name, {"machine.cores=1", "vmm.binding=none", fmt::format("machine.memory={}", memory)}};
  }
  const std::string binding = config.vmm.wanted() ? config.vmm.binding : "bare";
  CompareMode mode{name, {"machine.cores=1", "vmm.binding=" + binding, fmt::format("vmm.guest_memory={}", memory)}};
  if (name == "deprivileged") {
    mode.overrides.insert(mode.overrides.end(), {"vmm.execution=deprivileged", "vmm.paging=shadow"});
  } else {
    mode.overrides.insert(mode.overrides.end(), {"vmm.execution=auto", "vmm.paging=" + name});
  }
  return mode;
}

}  // namespace

std::optional<CompareOptions> parse_compare_options(const Strings& arguments) {
  const auto given =
      parse_arguments(arguments, description(), {.usage = usage, .introduction = introduction, .word = "EXPERIMENT"});
  if (!given) return std::nullopt;
  const po::variables_map& values = *given;
  CompareOptions o;
  o.config = option_text(values, "EXPERIMENT");
  if (values.count("set") != 0) o.overrides = values["set"].as<Strings>();
  if (values.count("timing") != 0) o.overrides.push_back("machine.timing=" + option_text(values, "timing"));
  o.out = option_text(values, "out");
  o.json = option_text(values, "json");
  o.modes = parse_modes(option_text(values, "modes"));
  o.max_cycles = number(values, "max-cycles", ~u64{0});
  o.jobs = static_cast<unsigned>(number(values, "jobs", 16).value_or(0));
  o.quiet = values.count("quiet") != 0;
  return o;
}

ComparePlan plan_modes(const CompareOptions& options, const MachineConfig& config) {
  if (!config.vmm.guests.empty()) {
    throw ConfigError(options.config + ": vmm.guests: `bunshin compare` takes one guest, which `guest` describes");
  }
  if (config.guest.kernel.empty()) {
    throw ConfigError(options.config +
                      ": guest.kernel: is not set: name an image, for example --set guest.kernel=FILE");
  }
  ComparePlan plan;
  const bool asked = !options.modes.empty();
  const Strings modes = asked ? options.modes : Strings(all_modes.begin(), all_modes.end());
  for (const std::string& mode : modes) {
    std::string why = reason_against(mode, config, asked);
    if (why.empty()) {
      plan.modes.push_back(mode_of(mode, config));
    } else {
      plan.left_out.emplace_back(mode, why);
    }
  }
  if (plan.modes.empty()) {
    throw ConfigError(
        fmt::format("--modes: no mode is left: {}: {}", plan.left_out.front().first, plan.left_out.front().second));
  }
  return plan;
}

}  // namespace bunshin
