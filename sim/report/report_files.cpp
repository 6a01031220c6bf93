#include "sim/report/report_files.h"

#include <fstream>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/report/report_page.h"
#include "sim/report/statistics_text.h"

namespace bunshin {

namespace {

void write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw std::runtime_error(path + ": cannot be written");
}

}  // namespace

void write_report(const std::string& directory, RunReport report) {
  add_derived_statistics(report.stats);
  write_file(directory + "/stats.json", stats_json(report.stats));
  write_file(directory + "/profile.json",
             report.profile.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  write_file(directory + "/run.yaml", write_config(report.config));
  write_file(directory + "/screen.txt", report.screen);
  render_report(directory);
}

void render_report(const std::string& directory) {
  const ReportData data = read_report_data(directory);
  write_file(directory + "/stats.txt", stats_text(data.stats));
  write_file(directory + "/stats.csv", stats_csv(data.stats));
  try {
    write_file(directory + "/report.html", report_html(data));
  } catch (const nlohmann::json::exception& e) {
    throw std::runtime_error(fmt::format("{}/profile.json: is not what a run writes: {}", directory, e.what()));
  }
}

}  // namespace bunshin
