#include "sim/report/statistics_text.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bunshin {

namespace {

template <class Text>
std::string visit_value(const StatValue& stat, Text count) {
  if (const u64* v = std::get_if<u64>(&stat.value)) return count(*v);
  if (const double* v = std::get_if<double>(&stat.value)) return fmt::format("{:.6g}", *v);
  return std::get<std::string>(stat.value);
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

bool is_zero(const StatValue& stat) {
  if (const u64* v = std::get_if<u64>(&stat.value)) return *v == 0;
  const double* v = std::get_if<double>(&stat.value);
  return v != nullptr && *v == 0;
}

/// The unit of the machine that a name belongs to: its parts but the last one or two.
std::string unit_of(const std::string& name) {
  static constexpr std::array prefixes{".timing.user.", ".timing.supervisor.", ".timing."};
  for (const std::string_view part : prefixes) {
    const std::size_t at = name.find(part);
    if (at != std::string::npos) return name.substr(0, at + part.size() - 1);
  }
  if (name.starts_with("timing.")) return "timing";
  const std::size_t cache = name.find("cache.");
  if (cache == 0 || (cache != std::string::npos && name[cache - 1] == '.')) {
    const std::size_t unit = name.find('.', cache + 6);
    const std::size_t level = unit == std::string::npos ? unit : name.find('.', unit + 1);
    return name.substr(0, level != std::string::npos ? level : unit);
  }
  return name.substr(0, name.rfind('.'));
}

}  // namespace

std::string grouped(u64 value, const char* separator) {
  std::string digits = std::to_string(value);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) out += separator;
    out += digits[i];
  }
  return out;
}

std::string show_value(const StatValue& stat) {
  return visit_value(stat, [](u64 v) { return grouped(v); });
}

std::string stats_json(const StatMap& stats) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [name, stat] : stats) {
    nlohmann::json& entry = json[name];
    std::visit([&](const auto& v) { entry["value"] = v; }, stat.value);
    entry["unit"] = stat.unit;
    entry["description"] = stat.description;
  }
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string stats_csv(const StatMap& stats) {
  std::string csv = "name,value,unit,description\r\n";
  for (const auto& [name, stat] : stats) {
    const std::string value = std::holds_alternative<double>(stat.value)
                                  ? fmt::format("{}", std::get<double>(stat.value))
                                  : visit_value(stat, [](u64 v) { return std::to_string(v); });
    csv += csv_field(name) + ',' + csv_field(value) + ',' + csv_field(stat.unit) + ',' + csv_field(stat.description) +
           "\r\n";
  }
  return csv;
}

std::string stats_text(const StatMap& stats) {
  std::map<std::string, std::vector<std::pair<std::string, const StatValue*>>> units;
  std::size_t zeros = 0;
  for (const auto& [name, stat] : stats) {
    if (is_zero(stat)) {
      ++zeros;
      continue;
    }
    const std::string unit = unit_of(name);
    units[unit].emplace_back(name.size() > unit.size() ? name.substr(unit.size() + 1) : name, &stat);
  }
  std::string text;
  for (const auto& [unit, rows] : units) {
    std::size_t name_width = 0;
    std::size_t value_width = 0;
    std::size_t unit_width = 0;
    for (const auto& [name, stat] : rows) {
      name_width = std::max(name_width, name.size());
      if (!std::holds_alternative<std::string>(stat->value))
        value_width = std::max(value_width, show_value(*stat).size());
      unit_width = std::max(unit_width, stat->unit.size());
    }
    text += unit + "\n";
    for (const auto& [name, stat] : rows) {
      std::string line = fmt::format("  {:<{}}  {:>{}} {:<{}}  {}", name, name_width, show_value(*stat), value_width,
                                     stat->unit, unit_width, stat->description);
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
    text += "\n";
  }
  return text + fmt::format("{} statistics that are zero are left out; stats.json has them.\n", zeros);
}

}  // namespace bunshin
