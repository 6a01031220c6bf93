// The project's own hypervisor: where its cycles went by handler, and by function.

#include <algorithm>

#include <fmt/format.h>

#include "sim/report/html.h"
#include "sim/report/page_sections.h"

namespace bunshin {

namespace {

using nlohmann::json;

constexpr std::string_view guests_prefix = "vmm.guest.";
constexpr std::size_t functions_shown = 40;

double real(u64 value) { return static_cast<double>(value); }

struct Handler {
  std::string reason;
  u64 count = 0, ticks = 0;
};

/// Guests' names may have dots in them, their statistics' names have not.
std::vector<std::string> guests_of(const ReportData& d) {
  constexpr std::string_view last = ".guest_tsc";
  std::vector<std::string> names;
  for (const auto& [name, stat] : d.stats) {
    if (!name.starts_with(guests_prefix) || !name.ends_with(last)) continue;
    names.push_back(name.substr(guests_prefix.size(), name.size() - guests_prefix.size() - last.size()));
  }
  return names;
}

/// The costliest first.
std::vector<Handler> handlers_of(const ReportData& d, const std::string& guest) {
  const std::string prefix = std::string(guests_prefix) + guest + ".exits.";
  constexpr std::string_view last = ".count";
  std::vector<Handler> handlers;
  for (const auto& [name, stat] : d.stats) {
    if (!name.starts_with(prefix) || !name.ends_with(last)) continue;
    const std::string reason = name.substr(prefix.size(), name.size() - prefix.size() - last.size());
    handlers.push_back({reason, d.count(name), d.count(prefix + reason + ".tsc")});
  }
  std::ranges::stable_sort(handlers, [](const Handler& a, const Handler& b) { return a.ticks > b.ticks; });
  return handlers;
}

std::string guest_part(const ReportData& d, const std::string& guest, bool several) {
  const std::vector<Handler> handlers = handlers_of(d, guest);
  const std::string prefix = std::string(guests_prefix) + guest + ".";
  const u64 inside = d.count(prefix + "guest_tsc"), end = d.count(prefix + "end_tsc"),
            whole = end - std::min(end, d.count(prefix + "start_tsc"));
  u64 all = 0, count = 0;
  for (const Handler& h : handlers) {
    all += h.ticks;
    count += h.count;
  }
  html::Table table({"Handler of", "Exits", "Cycles", "… each", "Share of handlers", "Share of the time"}, 1);
  const auto add = [&](const std::string& title, u64 exits, u64 ticks, const char* css) {
    table.row(
        {title, html::count(exits), html::count(ticks), exits == 0 ? "–" : html::decimal(real(ticks) / real(exits)),
         html::bar(all == 0 ? 0 : real(ticks) / real(all), html::percent(real(ticks), real(all))),
         html::percent(real(ticks), real(whole))},
        css);
  };
  for (const Handler& h : handlers) {
    std::string title = h.reason;
    std::ranges::replace(title, '_', ' ');
    add(html::escape(title), h.count, h.ticks, "");
  }
  add("All", count, all, "total");
  const std::string heading = several ? "<h3>" + html::escape(guest) + "</h3>" : "";
  return heading +
         fmt::format(
             "<p>From the first entry to the guest’s end {} cycles: {} in the guest with its world switches ({}), {} "
             "in handlers ({}), {} with no guest ready; the rest is the loop around them and other guests’ time. "
             "Tables kept for the guest: {} KiB at most.</p>",
             html::count(whole), html::count(inside), html::percent(real(inside), real(whole)), html::count(all),
             html::percent(real(all), real(whole)), html::count(d.count(prefix + "idle_tsc")),
             html::count(d.count(prefix + "table_bytes") >> 10)) +
         table.str();
}

std::string functions_part(const ReportData& d) {
  const json code = d.profile.value("code", json::object());
  if (!code.is_object()) return "";
  double all = 0;
  for (const json& f : code.value("functions", json::array())) {
    if (f.value("hypervisor", false)) all += f.value("cycles", 0.0);
  }
  html::Table table({"Function", "Share", "Cycles", "Instructions", "CPI"}, 1);
  std::size_t shown = 0;
  for (const json& f : code.value("functions", json::array())) {
    if (!f.value("hypervisor", false) || shown++ >= functions_shown) continue;
    const double cycles = f.value("cycles", 0.0), executions = f.value("executions", 0.0);
    table.row({"<code>" + html::escape(f.value("name", "")) + "</code>",
               html::bar(cycles / all, html::percent(cycles, all)), html::count(f.value("cycles", u64{0})),
               html::count(f.value("executions", u64{0})), executions == 0 ? "–" : html::decimal(cycles / executions)});
  }
  if (table.empty()) return "";
  return "<h3>Its functions</h3><p>Each function’s own cycles, its callees’ not among them, from the machine’s start "
         "to its "
         "end.</p>" +
         table.str();
}

}  // namespace

std::string hypervisor_section(const ReportData& d) {
  const std::vector<std::string> guests = guests_of(d);
  if (guests.empty()) return "";
  std::string body =
      "<p>What the hypervisor itself measured, by the time-stamp counter, which counts the core’s cycles: a handler’s "
      "time is "
      "from the exit to the handler’s return.</p>";
  for (const std::string& guest : guests) body += guest_part(d, guest, guests.size() > 1);
  return html::section("hypervisor", "The hypervisor", body + functions_part(d));
}

}  // namespace bunshin
