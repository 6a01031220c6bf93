#include "sim/command_line.h"

#include <fmt/format.h>

#include "sim/command_arguments.h"
#include "sim/config/config_tree.h"
#include "sim/config/units.h"

namespace bunshin {

namespace po = boost::program_options;

namespace {

using Strings = std::vector<std::string>;

std::optional<u64> number(const po::variables_map& values, const char* name, u64 largest = ~u64{0}) {
  if (values.count(name) == 0) return std::nullopt;
  const std::string given = values[name].as<std::string>();
  const std::optional<u64> value = parse_quantity(given, "");
  if (!value || *value > largest)
    throw ConfigError(fmt::format("--{} {}: expected a whole number up to {}", name, given, largest));
  return value;
}

po::options_description run_description() {
  po::options_description d("Options");
  const auto string = [] { return po::value<std::string>(); };
  d.add_options()("set", po::value<Strings>()->composing()->value_name("KEY=VALUE"),
                  "override one value of the configuration; may be repeated (keys: docs/configuration.md)")(
      "out", string()->value_name("DIR"),
      "write report.html, stats.json, stats.txt, stats.csv, profile.json, run.yaml, console.log, com2.log or vmm.log, "
      "screen.txt here")("timing", string()->value_name("none|inorder|ooo"), "the same as --set machine.timing=…")(
      "vmm", string()->value_name("none|bare|hosted"), "the same as --set vmm.binding=…")(
      "switch", po::value<Strings>()->composing()->value_name("WHEN=MODE"),
      "change the timing there: WHEN is cycle:N, instructions:N, address:0xN, symbol:NAME, mark:N, begin:N or end:N; "
      "may be "
      "repeated (docs/regions.md)")("region", po::value<Strings>()->composing()->value_name("NAME=N|NAME=WHEN..WHEN"),
                                    "statistics for a region of interest: what the guest's marks N begin and end, or "
                                    "between two points; may be repeated")(
      "max-cycles", string()->value_name("N"), "end the run, with status 3, after N cycles")(
      "until-console", string()->value_name("TEXT"),
      "end the run, with status 0, when the serial console printed TEXT")(
      "until-screen", string()->value_name("TEXT"), "end the run, with status 0, when TEXT stands on the text screen")(
      "screen", "show the guest's text screen on the terminal")(
      "trace", string()->value_name("FILE"),
      "write every instruction (cycle core rip bytes text); - is standard output")(
      "trace-from", string()->value_name("WHERE"), "begin the trace at a cycle or symbol")(
      "trace-to", string()->value_name("WHERE"), "end the trace at a cycle or symbol")(
      "walk-trace", string()->value_name("FILE"),
      "write every page walk, reference by reference, as lines of JSON (docs/walk.md); - is standard output")(
      "exit-trace", string()->value_name("FILE"),
      "write every exit of every virtual machine as lines of JSON (docs/virtualization.md); - is standard output")(
      "symbols", string()->value_name("FILE"), "ELF file or System.map with the guest's symbols")(
      "gdb", string()->value_name("PORT"), "wait for GDB (target remote :PORT) before the first instruction")(
      "quiet,q", "print nothing but the guest's console and errors")("help,h", "this help");
  return d;
}

}  // namespace

std::optional<RunOptions> parse_run_options(const std::vector<std::string>& arguments) {
  const auto given = parse_arguments(arguments, run_description(),
                                     {.usage = "usage: bunshin run CONFIG [OPTIONS]   (bunshin run --help)",
                                      .introduction = nullptr,
                                      .word = "CONFIG"});
  if (!given) return std::nullopt;
  const po::variables_map& values = *given;
  RunOptions o;
  o.config = option_text(values, "CONFIG");
  if (values.count("set") != 0) o.overrides = values["set"].as<Strings>();
  if (values.count("timing") != 0) o.overrides.push_back("machine.timing=" + option_text(values, "timing"));
  if (values.count("vmm") != 0) o.overrides.push_back("vmm.binding=" + option_text(values, "vmm"));
  const auto append = [&](const char* option, const char* key) {
    if (values.count(option) == 0) return;
    for (const std::string& item : values[option].as<Strings>())
      o.overrides.push_back(fmt::format("{}+={}", key, item));
  };
  append("switch", "machine.switch");
  append("region", "machine.regions");
  o.out = option_text(values, "out");
  o.max_cycles = number(values, "max-cycles");
  o.trace = option_text(values, "trace");
  o.trace_from = option_text(values, "trace-from");
  o.trace_to = option_text(values, "trace-to");
  if (o.trace.empty() && !(o.trace_from + o.trace_to).empty())
    throw ConfigError("--trace-from and --trace-to need --trace FILE");
  o.walk_trace = option_text(values, "walk-trace");
  o.exit_trace = option_text(values, "exit-trace");
  if (values.count("symbols") != 0) o.overrides.push_back("guest.symbols=" + option_text(values, "symbols"));
  if (const auto port = number(values, "gdb", 65535)) o.gdb_port = static_cast<unsigned>(*port);
  o.until_screen = option_text(values, "until-screen");
  o.until_console = option_text(values, "until-console");
  o.screen = values.count("screen") != 0;
  o.quiet = values.count("quiet") != 0;
  return o;
}

std::optional<DisasmOptions> parse_disasm_options(const std::vector<std::string>& arguments) {
  po::options_description d("Options");
  const auto string = [] { return po::value<std::string>(); };
  d.add_options()("bits", string()->value_name("16|32|64"), "mode of raw code, or instead of what the file says")(
      "base", string()->value_name("ADDRESS"), "address of a raw file's first byte")(
      "offset", string()->value_name("N"), "begin at this byte of a raw file")(
      "length", string()->value_name("N"), "this many bytes of each piece of code at most")(
      "symbol", string()->value_name("NAME"), "only this function of an ELF file")("help,h", "this help");
  const auto given = parse_arguments(arguments, d,
                                     {.usage = "usage: bunshin disasm FILE [OPTIONS]   (bunshin disasm --help)",
                                      .introduction = nullptr,
                                      .word = "FILE"});
  if (!given) return std::nullopt;
  const po::variables_map& values = *given;
  DisasmOptions o;
  o.file = option_text(values, "FILE");
  o.bits = static_cast<unsigned>(number(values, "bits", 64).value_or(0));
  if (o.bits != 0 && o.bits != 16 && o.bits != 32 && o.bits != 64) throw ConfigError("--bits: expected 16, 32 or 64");
  o.base = number(values, "base").value_or(0);
  o.offset = number(values, "offset").value_or(0);
  o.length = number(values, "length");
  o.symbol = option_text(values, "symbol");
  return o;
}

std::string general_help() {
  return "bunshin, a cycle-approximate full-system x86 simulator\n\n"
         "  bunshin run CONFIG [OPTIONS]   run a machine          (bunshin run --help)\n"
         "  bunshin disasm FILE            show a file's code     (bunshin disasm --help)\n"
         "  bunshin walk [CONFIG] [OPTIONS]   one translation, reference by reference   (bunshin walk --help)\n"
         "  bunshin compare EXPERIMENT [OPTIONS]   one guest natively and in every mode of the hypervisor   (bunshin "
         "compare "
         "--help)\n"
         "  bunshin report DIR                make report.html again from the files of a run\n"
         "  bunshin config --reference     every configuration key, as Markdown\n"
         "  bunshin --version | --help\n\n"
         "Exit status: 0 the guest ended well; 1 the guest failed (debug-exit value, reset, triple fault, dead);\n"
         "2 bad usage or configuration; 3 a limit, Ctrl-C or the debugger ended the run; 4 a bug of the simulator.\n";
}

}  // namespace bunshin
