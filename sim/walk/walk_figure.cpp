#include "sim/walk/walk_figure.h"

#include <fmt/format.h>

namespace bunshin {

namespace {

/// Guest levels of the figure, root first, a PAE root in registers included; the data (0) last.
std::vector<unsigned> figure_rows(const WalkSetup& setup) {
  std::vector<unsigned> rows;
  if (setup.guest.present()) {
    for (unsigned level = setup.guest.levels(); level >= setup.guest.leaf_level(); --level) rows.push_back(level);
  }
  rows.push_back(0);
  return rows;
}

std::string row_title(const WalkSetup& setup, unsigned level, u64 address) {
  const std::string what = level == 0 ? "data" : level_name(setup, 1, level) + " entry";
  return fmt::format("{}\n{:#x}", what, address);
}

}  // namespace

WalkFigure::WalkFigure(const WalkReport& report) {
  const WalkSetup& setup = report.setup;
  const std::vector<unsigned> guest = figure_rows(setup);
  const std::vector<unsigned> host = setup.host_levels();
  const bool plane = setup.guest.present() && setup.host.present();
  for (const unsigned level : guest) {
    const unsigned row = plane ? rows : 0;
    unsigned column = plane ? 0 : columns;
    for (const unsigned host_level : host) add_box(report, level, {row, column++, 2, host_level, nullptr, "", 0});
    add_box(report, level, {row, column++, level == 0 ? 0u : 1u, level, nullptr, "", 0});
    columns = column;
    if (plane) row_titles.push_back(row_title(setup, level, report.entry_address(level)));
    rows = row + 1;
  }
  if (!plane) {
    row_titles.push_back(fmt::format("{}\n{:#x}", setup.guest.present() ? "linear" : "guest-physical", report.linear));
    return;
  }
  for (const unsigned level : host) column_titles.push_back(level_name(setup, 2, level));
  column_titles.emplace_back("guest");
}

void WalkFigure::add_box(const WalkReport& report, unsigned row_level, FigureBox box) {
  for (const WalkStep& step : report.steps) {
    if (step.row != row_level || step.dimension != box.dimension || step.level != box.level) continue;
    if (step.update) {
      ++box.updates;
    } else {
      box.step = &step;
    }
  }
  for (const SkippedStep& skipped : report.skipped) {
    if (skipped.row == row_level && skipped.dimension == box.dimension && skipped.level == box.level) {
      box.skipped = skipped.reason;
    }
  }
  boxes.push_back(std::move(box));
}

}  // namespace bunshin
