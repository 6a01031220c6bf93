#include "sim/report/report_data.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

namespace bunshin {

namespace {

using nlohmann::json;

constexpr std::size_t console_tail = 64u << 10;

bool read_file(const std::string& path, std::string& text) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return false;
  text.assign(std::istreambuf_iterator<char>(in), {});
  return true;
}

json read_json(const std::string& path, bool required) {
  std::string text;
  if (!read_file(path, text)) {
    if (required) throw std::runtime_error(path + ": cannot be read: it is what a run with --out writes");
    return json::object();
  }
  json parsed = json::parse(text, nullptr, false);
  if (!parsed.is_object()) throw std::runtime_error(path + ": is not a JSON object");
  return parsed;
}

std::string text_of(const json& entry, const char* key) {
  const auto found = entry.find(key);
  return found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
}

StatMap stats_of(const json& parsed, const std::string& path) {
  StatMap stats;
  for (const auto& [name, entry] : parsed.items()) {
    if (!entry.is_object() || !entry.contains("value")) throw std::runtime_error(path + ": " + name + " has no value");
    StatValue stat{u64{0}, text_of(entry, "unit"), text_of(entry, "description")};
    const json& value = entry["value"];
    if (value.is_number_unsigned()) {
      stat.value = value.get<u64>();
    } else if (value.is_number()) {
      stat.value = value.get<double>();
    } else {
      stat.value = value.is_string() ? value.get<std::string>() : value.dump();
    }
    stats[name] = std::move(stat);
  }
  return stats;
}

}  // namespace

double ReportData::number(const std::string& name) const {
  const auto found = stats.find(name);
  if (found == stats.end()) return 0;
  if (const u64* v = std::get_if<u64>(&found->second.value)) return static_cast<double>(*v);
  const double* v = std::get_if<double>(&found->second.value);
  return v == nullptr ? 0 : *v;
}

std::string ReportData::text(const std::string& name) const {
  const auto found = stats.find(name);
  if (found == stats.end()) return "";
  const std::string* v = std::get_if<std::string>(&found->second.value);
  return v == nullptr ? "" : *v;
}

unsigned ReportData::cores() const {
  // A region names what moved only; the whole run knows how many cores there are.
  unsigned n = 0;
  while (has(fmt::format("core{}.timing.instructions", n))) ++n;
  return n;
}

CycleAccount ReportData::account(const std::string& scope, unsigned core, const std::string& privilege) const {
  CycleAccount a;
  for (unsigned i = 0; i < cycle_causes; ++i)
    a.cycles[i] = count(fmt::format("{}core{}.timing.{}cycles.{}", scope, core, privilege, cycle_cause_names[i]));
  return a;
}

CycleAccount ReportData::all_accounts(const std::string& scope, const std::string& privilege) const {
  CycleAccount all;
  for (unsigned core = 0; core < cores(); ++core) {
    const CycleAccount a = account(scope, core, privilege);
    for (unsigned i = 0; i < cycle_causes; ++i) all.cycles[i] += a.cycles[i];
  }
  return all;
}

std::vector<std::string> ReportData::privileges_of(const std::string& scope, unsigned core) const {
  std::vector<std::string> all{""};
  for (const std::string_view name : privilege_names) {
    const std::string privilege = std::string(name) + ".";
    if (account(scope, core, privilege).total() != 0) all.push_back(privilege);
  }
  return all.size() > 2 ? all : std::vector<std::string>{""};
}

std::string ReportData::privilege_title(unsigned core, const std::string& privilege) {
  if (privilege.empty()) return fmt::format("core {}", core);
  std::string title = "… " + privilege.substr(0, privilege.size() - 1);
  std::ranges::replace(title, '_', ' ');
  return title;
}

u64 ReportData::sum(const std::string& scope, const std::string& name) const {
  u64 total = 0;
  for (unsigned core = 0; core < cores(); ++core) total += count(fmt::format("{}core{}.{}", scope, core, name));
  return total;
}

std::string ReportData::scope_title(const std::string& scope) {
  if (scope.empty()) return "whole run";
  const std::string name = scope.substr(0, scope.size() - 1);
  return name.starts_with("region.") ? "region " + name.substr(7) : "region " + name;
}

ReportData read_report_data(const std::string& directory) {
  ReportData data;
  const std::string stats = directory + "/stats.json";
  data.stats = stats_of(read_json(stats, true), stats);
  data.profile = read_json(directory + "/profile.json", false);
  read_file(directory + "/run.yaml", data.config);
  read_file(directory + "/screen.txt", data.screen);
  read_file(directory + "/console.log", data.console);
  if (data.console.size() > console_tail) data.console.erase(0, data.console.size() - console_tail);
  return data;
}

}  // namespace bunshin
