// What every report ends with: events, the guest's console and screen, the configuration, all statistics.

#include <fmt/format.h>

#include "sim/report/html.h"
#include "sim/report/page_sections.h"
#include "sim/report/statistics_text.h"

namespace bunshin {

std::string events_section(const ReportData& d) {
  html::Table table(
      {"Core", "Instructions", "Interrupts", "Faults", "Device accesses", "Page walks", "Table references"}, 1);
  for (unsigned core = 0; d.has(fmt::format("core{}.instructions", core)); ++core) {
    const std::string base = fmt::format("core{}.", core);
    std::vector<std::string> cells{fmt::format("core {}", core)};
    for (const char* name :
         {"instructions", "interrupts", "faults", "device_accesses", "walker.walks", "walker.references"})
      cells.push_back(html::count(d.count(base + name)));
    table.row(cells);
  }
  return html::section("events", "Events", table.str());
}

std::string console_section(const ReportData& d) {
  std::string body = html::folded("Text screen at the end", "<pre>" + html::escape(d.screen) + "</pre>");
  body += html::folded("Serial console, last part", "<pre>" + html::escape(d.console) + "</pre>");
  return html::section("console", "Console", body);
}

std::string configuration_section(const ReportData& d) {
  return html::section(
      "configuration", "Configuration",
      html::folded("run.yaml, the whole resolved configuration", "<pre>" + html::escape(d.config) + "</pre>"));
}

std::string statistics_section(const ReportData& d) {
  html::Table table({"Name", "Unit", "Meaning", "Value"}, 3);
  for (const auto& [name, stat] : d.stats) {
    const u64* zero = std::get_if<u64>(&stat.value);
    if (zero != nullptr && *zero == 0) continue;
    table.row(
        {html::escape(name), html::escape(stat.unit), html::escape(stat.description), html::escape(show_value(stat))});
  }
  return html::section(
      "statistics", "All statistics",
      html::folded("Everything that was counted and is not zero; stats.json, stats.csv and stats.txt have it too",
                   table.str()));
}

}  // namespace bunshin
