#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/compare/comparison.h"
#include "sim/report/statistics_text.h"

namespace bunshin {

namespace {

constexpr std::size_t title_width = 34, column_width = 16;

class TextTable {
 public:
  explicit TextTable(const std::vector<ModeResult>& results) : results_(results) {}

  template <class Cell>
  void row(const std::string& title, Cell cell) {
    text_ += fmt::format("{:<{}}", title, title_width);
    for (const ModeResult& r : results_) text_ += fmt::format("{:>{}}", std::string(cell(r)), column_width);
    text_ += "\n";
  }
  void heading(const std::string& title) { text_ += "\n" + title + "\n"; }
  const std::string& str() const { return text_; }

 private:
  const std::vector<ModeResult>& results_;
  std::string text_;
};

std::string number(u64 value) { return value == 0 ? "-" : grouped(value); }

std::string percent(std::optional<double> overhead) {
  return overhead ? fmt::format("{:+.1f} %", 100 * *overhead) : "-";
}

}  // namespace

std::string comparison_text(const Comparison& c) {
  TextTable table(c.results);
  table.row("", [](const ModeResult& r) { return r.mode; });
  table.row("cycles", [](const ModeResult& r) { return number(r.cycles); });
  table.row("overhead", [&](const ModeResult& r) { return percent(overhead_of(r, c.results)); });
  table.row("references per walk", [](const ModeResult& r) {
    return r.references_per_walk ? fmt::format("{:.2f}", *r.references_per_walk) : "-";
  });
  table.row("tables, KiB", [](const ModeResult& r) { return number(r.table_bytes >> 10); });
  table.row("exits", [](const ModeResult& r) {
    u64 all = 0;
    for (const auto& [name, count] : r.exits) all += count;
    return number(all);
  });
  table.row("guest's exit status", [](const ModeResult& r) { return std::to_string(r.guest_exit); });
  if (std::ranges::any_of(c.results, &ModeResult::measured)) table.heading("cycles by cause");
  for (const std::string& cause : cause_names(c.results)) {
    table.row("  " + cause_title_of(cause), [&](const ModeResult& r) { return number(r.cause(cause)); });
  }
  const std::vector<std::string> exits = exit_names(c.results);
  if (!exits.empty()) table.heading("exits by cause");
  for (const std::string& name : exits) {
    table.row("  " + cause_title_of(name), [&](const ModeResult& r) {
      const auto found = r.exits.find(name);
      return number(found == r.exits.end() ? 0 : found->second);
    });
  }
  std::string text = fmt::format("{} on {}, timing {}\n\n", c.guest, c.processor, c.timing) + table.str();
  const bool all_good = std::ranges::all_of(c.results, [](const ModeResult& r) { return r.guest_exit == 0; });
  if (!all_good || !c.left_out.empty()) text += "\n";
  for (const ModeResult& r : c.results) {
    if (r.guest_exit != 0) text += fmt::format("{} failed: {}\n", r.mode, r.reason);
  }
  for (const auto& [mode, why] : c.left_out) text += fmt::format("{} is left out: {}\n", mode, why);
  return text;
}

std::string comparison_json(const Comparison& c) {
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (const ModeResult& r : c.results) {
    nlohmann::ordered_json mode;
    mode["cycles"] = r.measured ? nlohmann::ordered_json(r.cycles) : nlohmann::ordered_json();
    const std::optional<double> overhead = overhead_of(r, c.results);
    mode["overhead"] = overhead ? nlohmann::ordered_json(*overhead) : nlohmann::ordered_json();
    mode["guest_exit"] = r.guest_exit;
    mode["exits"] = nlohmann::ordered_json::object();
    for (const auto& [name, count] : r.exits) mode["exits"][name] = count;
    mode["cycles_by_cause"] = nlohmann::ordered_json::object();
    for (const auto& [name, cycles] : r.causes) mode["cycles_by_cause"][name] = cycles;
    mode["references_per_walk"] =
        r.references_per_walk ? nlohmann::ordered_json(*r.references_per_walk) : nlohmann::ordered_json();
    mode["table_bytes"] = r.measured ? nlohmann::ordered_json(r.table_bytes) : nlohmann::ordered_json();
    all[r.mode] = mode;
  }
  return all.dump(2) + "\n";
}

}  // namespace bunshin
