#include "sim/walk/walk_command.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>

#include "sim/walk/walk_experiment.h"
#include "sim/walk/walk_options.h"
#include "sim/walk/walk_table.h"

namespace bunshin {

namespace {

bool to_terminal(const std::string& path) { return path == "-"; }

void write(const std::string& path, const std::string& text) {
  if (path.empty()) return;
  if (to_terminal(path)) {
    std::cout << text;
    return;
  }
  errno = 0;
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw ConfigError(path + ": cannot be written: " + std::strerror(errno));
}

}  // namespace

ExitStatus walk_command(const std::vector<std::string>& arguments) {
  const std::optional<WalkOptions> options = parse_walk_options(arguments);
  if (!options) return ExitStatus::Success;
  const bool quiet = to_terminal(options->json) || to_terminal(options->svg);
  if (options->table) {
    const std::vector<WalkTableRow> rows = walk_table(options->config);
    write(options->json, walk_table_json(rows));
    if (!quiet) std::cout << walk_table_text(rows);
    return any_miss(rows) ? ExitStatus::GuestFailure : ExitStatus::Success;
  }
  const WalkReport report = WalkExperiment(options->setup, options->config).run();
  write(options->json, walk_json(report));
  write(options->svg, walk_svg(report));
  if (!quiet) std::cout << walk_text(report);
  return ExitStatus::Success;
}

}  // namespace bunshin
