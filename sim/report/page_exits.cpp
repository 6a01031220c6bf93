// Virtual machines: why they were left, and where the time went between entries.

#include <algorithm>

#include <fmt/format.h>

#include "sim/report/html.h"
#include "sim/report/page_sections.h"

namespace bunshin {

namespace {

double real(u64 value) { return static_cast<double>(value); }

struct Cause {
  std::string name;
  u64 count = 0, guest_cycles = 0, host_cycles = 0;
};

/// Of all cores together, the costliest first.
std::vector<Cause> causes_of(const ReportData& d, const std::string& scope) {
  constexpr std::string_view marker = ".vm.exits.";
  std::map<std::string, Cause> causes;
  for (const auto& [name, stat] : d.stats) {
    const std::size_t at = name.find(marker);
    if (at == std::string::npos || !name.starts_with(scope + "core")) continue;
    if (name.find('.', scope.size()) != at) continue;
    const std::size_t begin = at + marker.size();
    const std::size_t dot = name.rfind('.');
    if (dot <= begin) continue;
    Cause& cause = causes[name.substr(begin, dot - begin)];
    const std::string what = name.substr(dot + 1);
    (what == "count" ? cause.count : what == "cycles" ? cause.host_cycles : cause.guest_cycles) += d.count(name);
  }
  std::vector<Cause> sorted;
  for (auto& [name, cause] : causes) {
    cause.name = name;
    if (cause.count != 0) sorted.push_back(cause);
  }
  std::ranges::stable_sort(sorted, [](const Cause& a, const Cause& b) {
    return a.host_cycles != b.host_cycles ? a.host_cycles > b.host_cycles : a.count > b.count;
  });
  return sorted;
}

std::string title_of(const std::string& name) {
  std::string title = name;
  std::ranges::replace(title, '_', ' ');
  return html::escape(title);
}

/// Colours of the first causes; the rest shares the last one.
constexpr std::array<std::string_view, 8> colours{"#4c78a8", "#e8871e", "#1d6f66", "#5e2a84",
                                                  "#d1495b", "#b8860b", "#54a24b", "#8a94a3"};
std::string_view colour(std::size_t index) { return colours[std::min(index, colours.size() - 1)]; }

/// Bars in which each cause is as wide as its share, and what their colours mean.
std::string picture(const std::vector<Cause>& causes, u64 guest, u64 host) {
  const auto bar = [&](const char* title, auto value_of, const std::string& note) {
    u64 total = 0;
    for (const Cause& c : causes) total += value_of(c);
    if (total == 0) return std::string();
    std::string pieces;
    for (std::size_t i = 0; i < causes.size(); ++i) {
      const double width = 100 * real(value_of(causes[i])) / real(total);
      pieces += fmt::format("<i style=\"width:{:.3f}%;background:{}\" title=\"{}: {}\">{}</i>", width, colour(i),
                            title_of(causes[i].name), html::count(value_of(causes[i])),
                            width >= 7 ? fmt::format("{:.0f}%", width) : "");
    }
    return fmt::format("<div class=\"stack\"><span>{}</span><div>{}</div><small>{}</small></div>\n", title, pieces,
                       note);
  };
  std::string legend;
  for (std::size_t i = 0; i < std::min(causes.size(), colours.size()); ++i) {
    const bool rest = i + 1 == colours.size() && causes.size() > colours.size();
    legend += fmt::format("<span><i style=\"background:{}\"></i>{}</span>", colour(i),
                          rest ? "the others" : title_of(causes[i].name));
  }
  const std::string share = html::percent(real(host), real(guest + host));
  return "<div class=\"legend\">" + legend + "</div>" +
         bar(
             "exits", [](const Cause& c) { return c.count; }, "") +
         bar(
             "outside cycles", [](const Cause& c) { return c.host_cycles; }, share + " of all");
}

std::string scope_part(const ReportData& d, const std::string& scope, bool several) {
  const std::vector<Cause> causes = causes_of(d, scope);
  if (causes.empty()) return "";
  u64 count = 0;
  u64 guest = 0;
  u64 host = 0;
  for (const Cause& c : causes) {
    count += c.count;
    guest += c.guest_cycles;
    host += c.host_cycles;
  }
  html::Table table({"Reason", "Exits", "Share", "Cycles outside", "… each", "Share", "Guest cycles before, each"}, 1);
  const auto add = [&](const std::string& title, const Cause& c, const char* css) {
    table.row(
        {title, html::count(c.count), html::bar(real(c.count) / real(count), html::percent(real(c.count), real(count))),
         html::count(c.host_cycles), html::decimal(real(c.host_cycles) / real(c.count)),
         html::bar(host == 0 ? 0 : real(c.host_cycles) / real(host), html::percent(real(c.host_cycles), real(host))),
         html::decimal(real(c.guest_cycles) / real(c.count))},
        css);
  };
  for (std::size_t i = 0; i < causes.size(); ++i) {
    add(fmt::format("<i class=\"dot\" style=\"background:{}\"></i>{}", colour(i), title_of(causes[i].name)), causes[i],
        "");
  }
  add("All", {"", count, guest, host}, "total");
  const std::string heading = several ? "<h3>" + html::escape(ReportData::scope_title(scope)) + "</h3>" : "";
  return heading + picture(causes, guest, host) + table.str();
}

}  // namespace

std::string exits_section(const ReportData& d) {
  const std::vector<std::string> scopes = statistics_scopes(d.stats);
  std::string body;
  for (const std::string& scope : scopes) body += scope_part(d, scope, scopes.size() > 1);
  if (body.empty()) return "";
  return html::section(
      "exits", "Exits of virtual machines",
      "<p>Why guests were left, and the cycles outside: from an exit to the next entry on the same core, both "
      "world switches and all that the hypervisor did in between. A guest of a guest appears as what its "
      "hypervisor's exits are.</p>" +
          body);
}

}  // namespace bunshin
