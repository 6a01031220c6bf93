#include "sim/report/report_command.h"

#include <iostream>

#include "sim/config/config_tree.h"
#include "sim/report/report_files.h"

namespace bunshin {

ExitStatus report_command(const std::vector<std::string>& arguments) {
  constexpr const char* usage =
      "usage: bunshin report DIR\n\nMakes report.html, stats.txt and stats.csv again from what `bunshin run --out DIR` "
      "wrote.\n";
  if (arguments == std::vector<std::string>{"--help"} || arguments == std::vector<std::string>{"-h"}) {
    std::cout << usage;
    return ExitStatus::Success;
  }
  if (arguments.size() != 1 || arguments.front().starts_with('-')) throw ConfigError(usage);
  render_report(arguments.front());
  return ExitStatus::Success;
}

}  // namespace bunshin
