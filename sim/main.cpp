// The `bunshin` command.

#include <cstdlib>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <systemc>

#include "base/check.h"
#include "sim/command_line.h"
#include "sim/compare/compare_command.h"
#include "sim/config/machine_config.h"
#include "sim/disasm_command.h"
#include "sim/report/report_command.h"
#include "sim/run_command.h"
#include "sim/version.h"
#include "sim/walk/walk_command.h"

namespace bunshin {

namespace {

ExitStatus dispatch(const std::string& command, const std::vector<std::string>& arguments) {
  if (command == "run") {
    const auto options = parse_run_options(arguments);
    return options ? run_command(*options) : ExitStatus::Success;
  }
  if (command == "disasm") {
    if (const auto options = parse_disasm_options(arguments)) disassemble_file(*options, std::cout);
    return ExitStatus::Success;
  }
  if (command == "walk") return walk_command(arguments);
  if (command == "compare") return compare_command(arguments);
  if (command == "report") return report_command(arguments);
  if (command == "config") {
    if (arguments != std::vector<std::string>{"--reference"}) throw ConfigError("usage: bunshin config --reference");
    std::cout << configuration_reference();
    return ExitStatus::Success;
  }
  if (command == "--version") {
    std::cout << "bunshin " << version << "\n";
    return ExitStatus::Success;
  }
  if (command == "--help" || command == "-h" || command == "help") {
    std::cout << general_help();
    return ExitStatus::Success;
  }
  throw ConfigError(command.empty() ? general_help()
                                    : fmt::format("unknown command '{}'\n\n{}", command, general_help()));
}

ExitStatus guarded(const std::string& command, const std::vector<std::string>& arguments) {
  try {
    return dispatch(command, arguments);
  } catch (const SimulatorBug& e) {
    std::cerr << "bunshin: a bug of the simulator: " << e.what() << "\n";
    return ExitStatus::SimulatorBug;
  } catch (const sc_core::sc_report& e) {
    std::cerr << "bunshin: a bug of the simulator: " << e.what() << "\n";
    return ExitStatus::SimulatorBug;
  } catch (const std::bad_alloc&) {
    std::cerr << "bunshin: the host has not enough memory\n";
    return ExitStatus::Usage;
  } catch (const std::exception& e) {
    std::cerr << "bunshin: " << e.what() << "\n";
    return ExitStatus::Usage;
  }
}

}  // namespace

}  // namespace bunshin

int sc_main(int argc, char* argv[]) {
  const std::vector<std::string> all(argv + 1, argv + argc);
  const std::string command = all.empty() ? "" : all.front();
  const std::vector<std::string> arguments(all.begin() + (all.empty() ? 0 : 1), all.end());
  return static_cast<int>(bunshin::guarded(command, arguments));
}

int main(int argc, char* argv[]) {
  // Standard output belongs to the guest's console: no banner, no "stopped by user".
  setenv("SC_COPYRIGHT_MESSAGE", "DISABLE", 1);
  sc_core::sc_report_handler::set_actions(sc_core::SC_INFO, sc_core::SC_DO_NOTHING);
  // Shells share names of sockets; nobody looks them up.
  sc_core::sc_report_handler::set_actions(sc_core::SC_ID_INSTANCE_EXISTS_, sc_core::SC_DO_NOTHING);
  return sc_core::sc_elab_and_sim(argc, argv);
}
