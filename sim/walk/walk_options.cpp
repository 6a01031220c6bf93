#include "sim/walk/walk_options.h"

#include <array>
#include <charconv>

#include <fmt/format.h>

#include "sim/command_arguments.h"
#include "sim/walk/walk_tables.h"

namespace bunshin {

namespace po = boost::program_options;

namespace {

using Strings = std::vector<std::string>;

constexpr const char* usage = "usage: bunshin walk [CONFIG] [OPTIONS]   (bunshin walk --help)";
constexpr const char* introduction =
    "Shows one translation, reference by reference, on tables built for it. CONFIG (any part of one: "
    "configs/cache/haswell.yaml)\n"
    "gives sizes and latencies of the caches, the paging-structure caches and the nested TLB; without it they are the\n"
    "defaults. With --caches off every reference goes to DRAM. With --caches on the data caches, paging-structure "
    "caches\n"
    "and the nested TLB are used, and the walk shown is the one after --warm N neighbouring pages have been translated "
    "and\n"
    "read: what a TLB miss costs in a program that comes along there. The TLBs themselves never hold the page.";

po::options_description description() {
  po::options_description d("Options");
  const auto given = [](const char* value, const char* name) {
    return po::value<std::string>()->default_value(value)->value_name(name);
  };
  const auto string = [](const char* name) { return po::value<std::string>()->value_name(name); };
  d.add_options()("guest", given("4level", "SCHEME"), "the guest's tables: 4level, 5level, pae, 32bit, none")(
      "second-stage", given("4level", "SCHEME"), "the hypervisor's tables below them; none: native")(
      "guest-page", given("4K", "SIZE"), "page that the guest's tables map: 4K, 2M, 4M, 1G")(
      "host-page", given("4K", "SIZE"), "page of the second stage")(
      "second-stage-format", string("ept|npt"),
      "Intel's or AMD's; default: the vendor's of the configured processor, npt for pae and 32bit")(
      "pdptes", string("registers|memory"),
      "where a PAE guest's walk finds its page-directory-pointer entry; default: memory under npt, else registers")(
      "caches", given("off", "off|on"), "see above")("warm", po::value<std::string>()->value_name("N"),
                                                     "neighbours translated before, 0 to 64; default 1")(
      "json", string("FILE"), "write the walk (or the table) as JSON; - is standard output")(
      "svg", string("FILE"), "draw the walk")("table", "the references of every combination beside published figures")(
      "set", po::value<Strings>()->composing()->value_name("KEY=VALUE"),
      "override one value of the configuration; may be repeated")("help,h", "this help");
  return d;
}

/// Which of two words an option says; `fallback` if it is not given.
bool is_first(const po::variables_map& values, const char* name, std::array<std::string_view, 2> words, bool fallback) {
  if (values.count(name) == 0) return fallback;
  const std::string given = option_text(values, name);
  if (given == words[0]) return true;
  if (given == words[1]) return false;
  throw ConfigError(fmt::format("--{} {}: expected {} or {}", name, given, words[0], words[1]));
}

MachineConfig configuration(const po::variables_map& values) {
  const Strings overrides = values.count("set") == 0 ? Strings() : values["set"].as<Strings>();
  const std::string file = option_text(values, "CONFIG");
  if (!file.empty()) return read_config(file, overrides);
  ConfigNode root;
  root.kind = ConfigNode::Kind::Map;
  root.position.file = "--set";
  for (const std::string& assignment : overrides) apply_override(root, assignment);
  return read_config(root);
}

SecondStageFormat format_of(const po::variables_map& values, const WalkSetup& setup, const MachineConfig& config) {
  const bool ept_has_it = setup.host.levels() >= 4;
  const bool intel = config.cpu.vendor != "AuthenticAMD";
  const bool ept = is_first(values, "second-stage-format", {"ept", "npt"}, ept_has_it && intel);
  if (ept && setup.host.present() && !ept_has_it) {
    throw ConfigError(fmt::format("--second-stage-format ept: EPT has 4 or 5 levels; a {} second stage is npt",
                                  paging_format(setup.host.mode).name));
  }
  return ept ? SecondStageFormat::Ept : SecondStageFormat::Npt;
}

unsigned warm_of(const po::variables_map& values, bool caches) {
  const std::string given = option_text(values, "warm");
  if (given.empty()) return caches ? 1 : 0;
  if (!caches) throw ConfigError("--warm needs --caches on");
  unsigned warm = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), warm);
  if (error != std::errc() || end != given.data() + given.size() || warm > WalkTables::most_neighbours) {
    throw ConfigError(
        fmt::format("--warm {}: expected a whole number, 0 to {}", given, unsigned{WalkTables::most_neighbours}));
  }
  return warm;
}

WalkSetup setup_of(const po::variables_map& values, const MachineConfig& config) {
  WalkSetup setup;
  setup.guest.mode = parse_scheme("guest", option_text(values, "guest"));
  setup.host.mode = parse_scheme("second-stage", option_text(values, "second-stage"));
  if (!setup.guest.present() && !setup.host.present()) {
    throw ConfigError("--guest none --second-stage none: there is nothing to walk; one of them must be a scheme");
  }
  setup.guest.shift = parse_page("guest-page", setup.guest.mode, option_text(values, "guest-page"));
  setup.host.shift = parse_page("host-page", setup.host.mode, option_text(values, "host-page"));
  setup.format = format_of(values, setup, config);
  const bool nested = setup.host.present() && setup.format == SecondStageFormat::Npt;
  setup.pdpte_registers = is_first(values, "pdptes", {"registers", "memory"}, !nested);
  if (values.count("pdptes") != 0 && setup.guest.mode != PagingMode::Pae) {
    throw ConfigError("--pdptes: only a pae guest has page-directory-pointer registers (--guest pae)");
  }
  setup.caches = is_first(values, "caches", {"on", "off"}, false);
  setup.warm = warm_of(values, setup.caches);
  return setup;
}

void check_table(const po::variables_map& values) {
  for (const char* name :
       {"guest", "second-stage", "guest-page", "host-page", "caches", "second-stage-format", "pdptes", "warm", "svg"}) {
    if (values.count(name) != 0 && !values[name].defaulted()) {
      throw ConfigError(fmt::format("--table shows all combinations, with caches off: it does not go with --{}", name));
    }
  }
}

}  // namespace

std::optional<WalkOptions> parse_walk_options(const Strings& arguments) {
  const auto values =
      parse_arguments(arguments, description(),
                      {.usage = usage, .introduction = introduction, .word = "CONFIG", .word_required = false});
  if (!values) return std::nullopt;
  WalkOptions options;
  options.config = configuration(*values);
  options.table = values->count("table") != 0;
  options.json = option_text(*values, "json");
  options.svg = option_text(*values, "svg");
  if (options.table) {
    check_table(*values);
  } else {
    options.setup = setup_of(*values, options.config);
  }
  return options;
}

}  // namespace bunshin
