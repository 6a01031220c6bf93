#include "sim/walk/walk_report.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bunshin {

namespace {

std::string hex(u64 value) { return fmt::format("{:#x}", value); }

std::string_view dimension_name(const WalkReport& report, unsigned dimension) {
  if (dimension == 0) return "data";
  if (dimension == 2) return format_name(report.setup.format);
  return report.setup.host.present() ? "guest" : "native";
}

/// What the walk is after in this row: "gL4 entry", "data".
std::string row_name(const WalkReport& report, unsigned row) {
  return row == 0 ? "data" : level_name(report.setup, 1, row) + " entry";
}

std::string step_name(const WalkReport& report, unsigned dimension, unsigned level) {
  if (dimension == 0) return "data";
  return fmt::format("{} {}", level_name(report.setup, dimension, level), entry_name(level));
}

std::string table_line(const WalkReport& report, const WalkStep& step) {
  const bool second = step.dimension == 2;
  const std::string where = second ? row_name(report, step.row) : "";
  return fmt::format("{:>3}  {:<6}  {:<10}  {:<14}  {:>14}  {:>14}  {:>18}  {:<6}  {:>6}\n", step.number,
                     dimension_name(report, step.dimension), step_name(report, step.dimension, step.level),
                     step.update ? "sets A, D" : where, hex(step.guest_physical), hex(step.host_physical),
                     step.entry ? hex(*step.entry) : "", step.hit, step.cycles);
}

}  // namespace

unsigned WalkReport::references() const {
  return static_cast<unsigned>(
      std::ranges::count_if(steps, [](const WalkStep& s) { return s.dimension != 0 && !s.update; }));
}

std::string totals(const WalkReport& report) {
  const unsigned references = report.references();
  return fmt::format("{} table reference{} + 1 data access = {} accesses, {} cycles (walk {}, data {})", references,
                     references == 1 ? "" : "s", report.accesses(), report.cycles(), report.walk_cycles,
                     report.data_cycles);
}

std::string walk_text(const WalkReport& report) {
  std::string text = describe(report.setup) + "\n";
  if (report.setup.guest.present()) text += fmt::format("linear {}, ", hex(report.linear));
  if (report.setup.host.present()) text += fmt::format("guest-physical {}, ", hex(report.guest_physical));
  text += fmt::format("host-physical {}\n\n", hex(report.host_physical));
  text += fmt::format("{:>3}  {:<6}  {:<10}  {:<14}  {:>14}  {:>14}  {:>18}  {:<6}  {:>6}\n", "#", "tables", "level",
                      "to find", "guest-physical", "host-physical", "entry", "hit", "cycles");
  for (const WalkStep& step : report.steps) text += table_line(report, step);
  text += "\n";
  for (const SkippedStep& skipped : report.skipped) {
    const std::string to_find = skipped.dimension == 2 ? ", to find the " + row_name(report, skipped.row) : "";
    text += fmt::format("not read: {}{} ({})\n", step_name(report, skipped.dimension, skipped.level), to_find,
                        skipped.reason);
  }
  return text + totals(report) + "\n";
}

std::string walk_json(const WalkReport& report) {
  using Json = nlohmann::ordered_json;
  const WalkSetup& setup = report.setup;
  Json json;
  json["guest"] = scheme_name(setup.guest.mode);
  json["second_stage"] = scheme_name(setup.host.mode);
  json["second_stage_format"] = setup.host.present() ? Json(format_name(setup.format)) : Json();
  json["guest_page"] = setup.guest.present() ? Json(page_name(setup.guest.shift)) : Json();
  json["host_page"] = setup.host.present() ? Json(page_name(setup.host.shift)) : Json();
  json["caches"] = setup.caches ? "on" : "off";
  json["warm"] = setup.caches ? setup.warm : 0;
  json["linear"] = setup.guest.present() ? Json(hex(report.linear)) : Json();
  json["guest_physical"] = hex(report.guest_physical);
  json["host_physical"] = hex(report.host_physical);
  json["references"] = report.references();
  json["accesses"] = report.accesses();
  json["cycles"] = report.cycles();
  json["walk_cycles"] = report.walk_cycles;
  json["data_cycles"] = report.data_cycles;
  json["steps"] = Json::array();
  for (const WalkStep& s : report.steps) {
    Json step;
    step["number"] = s.number;
    step["kind"] = s.dimension == 0 ? "data" : s.update ? "update" : "table";
    step["dimension"] = s.dimension;
    step["level"] = s.level;
    step["name"] = level_name(setup, s.dimension, s.level);
    step["entry_name"] = entry_name(s.level);
    step["to_find"] = row_name(report, s.row);
    step["guest_physical"] = hex(s.guest_physical);
    step["address"] = hex(s.host_physical);
    step["entry"] = s.entry ? Json(hex(*s.entry)) : Json();
    step["hit"] = s.hit;
    step["cycles"] = s.cycles;
    json["steps"].push_back(std::move(step));
  }
  json["skipped"] = Json::array();
  for (const SkippedStep& s : report.skipped) {
    json["skipped"].push_back({{"dimension", s.dimension},
                               {"level", s.level},
                               {"name", level_name(setup, s.dimension, s.level)},
                               {"to_find", row_name(report, s.row)},
                               {"reason", s.reason}});
  }
  return json.dump(2) + "\n";
}

}  // namespace bunshin
