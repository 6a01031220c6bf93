// What address translation cost: walks by references, dimension and level, paging-structure caches, and of whom.

#include <algorithm>

#include <fmt/format.h>

#include "sim/report/html.h"
#include "sim/report/page_sections.h"

namespace bunshin {

namespace {

using nlohmann::json;

/// Park et al., "Every walk's a hit: making page walks single-access cache hits", ASPLOS 2022, abstract.
constexpr double published_native = 1.5;

double real(u64 value) { return static_cast<double>(value); }

std::string histogram(const ReportData& d) {
  std::vector<u64> walks(26, 0);
  for (unsigned i = 1; i < walks.size(); ++i) walks[i] = d.sum("", "timing.walk_references." + std::to_string(i));
  const u64 most = *std::max_element(walks.begin(), walks.end());
  const u64 all = d.sum("", "timing.walks");
  if (most == 0) return "";
  unsigned last = 25;
  while (walks[last] == 0) --last;
  html::Table table({"References", "Walks", "Share"}, 1);
  for (unsigned i = 1; i <= std::max(last, 4u); ++i) {
    table.row({std::to_string(i) + (i == 25 ? " and more" : ""), html::count(walks[i]),
               html::bar(real(walks[i]) / real(most), html::percent(real(walks[i]), real(all)), "wide")});
  }
  const double mean = d.number("timing.references_per_walk");
  const double scale = std::max({mean, published_native, 1.0});
  html::Table means({"References a walk, on average", ""}, 1);
  means.row({"this run", html::bar(mean / scale, html::decimal(mean), "wide")}, "total");
  means.row(
      {"published, native, with paging-structure caches", html::bar(published_native / scale, "1.5", "wide other")});
  return "<h3>References to page tables by walk</h3><div class=\"columns\">" + table.str() + "<div>" + means.str() +
         "<p class=\"note\">1.5 is the native average in the abstract of Park et al., “Every Walk’s a Hit: Making Page "
         "Walks "
         "Single-Access Cache Hits”, ASPLOS 2022; their workloads, their simulated processor. A walk without such "
         "caches reads "
         "four entries for a 4 KiB page in 4-level paging, three for 2 MiB.</p></div></div>";
}

std::string level_table(const ReportData& d) {
  html::Table table(
      {"Dimension and level", "References", "Cycles", "Cycles each", "L1", "L2", "L3", "Other core", "DRAM"}, 1);
  for (unsigned dimension = 1; dimension <= 2; ++dimension) {
    for (unsigned level = 5; level >= 1; --level) {
      const std::string base = fmt::format("timing.walk.dim{}.level{}.", dimension, level);
      const u64 references = d.sum("", base + "references");
      if (references == 0) continue;
      const u64 cycles = d.sum("", base + "cycles");
      std::vector<std::string> cells{
          fmt::format("{}, level {}", dimension == 1 ? "guest's tables" : "second stage", level),
          html::count(references), html::count(cycles), html::decimal(real(cycles) / real(references))};
      for (const char* where : {"l1", "l2", "l3", "remote", "dram"}) {
        const u64 found = d.sum("", base + "found." + where);
        cells.push_back(html::bar(real(found) / real(references), html::percent(real(found), real(references))));
      }
      table.row(cells);
    }
  }
  if (table.empty()) return "";
  return "<h3>What the references cost, and where they hit</h3>" + table.str();
}

std::string size_table(const ReportData& d) {
  const u64 walks = d.sum("", "timing.walks");
  html::Table table({"Walks that ended at", "Walks", "Share"}, 1);
  constexpr std::array titles{"", "a 4 KiB page", "a 2 or 4 MiB page", "a 1 GiB page", "level 4", "level 5"};
  for (unsigned level = 1; level <= 5; ++level) {
    const u64 n = d.sum("", fmt::format("timing.walks.last.level{}", level));
    if (n != 0)
      table.row({titles[level], html::count(n), html::bar(real(n) / real(walks), html::percent(real(n), real(walks)))});
  }
  return table.empty() ? "" : "<div><h3>Page sizes</h3>" + table.str() + "</div>";
}

/// Every statistic of the paging-structure caches, whatever kinds there are.
std::string structure_caches(const ReportData& d) {
  html::Table table({"Paging-structure caches", "Count", ""}, 1);
  const u64 walks = d.sum("", "timing.walks");
  for (const auto& [name, stat] : d.stats) {
    const std::size_t at = name.find("structure_cache.");
    if (!name.starts_with("core") || at == std::string::npos || d.count(name) == 0) continue;
    table.row({html::escape(name.substr(0, name.find('.')) + " " + name.substr(at + 16)) + " <small>" +
                   html::escape(stat.description) + "</small>",
               html::count(d.count(name)), html::bar(real(d.count(name)) / std::max(1.0, real(walks)), "")});
  }
  return table.empty() ? "" : "<div><h3>Where walks could begin</h3>" + table.str() + "</div>";
}

std::string summary_table(const ReportData& d) {
  html::Table table({"Core", "First-level TLB misses", "… found in the second", "Walks", "per 1000 instructions",
                     "References a walk", "Cycles a walk", "Share of active time"},
                    1);
  for (const std::string& scope : statistics_scopes(d.stats)) {
    for (unsigned core = 0; core < d.cores(); ++core) {
      for (const std::string& privilege : d.privileges_of(scope, core)) {
        const std::string p = fmt::format("{}core{}.timing.{}", scope, core, privilege);
        if (d.count(p + "instructions") == 0) continue;
        const u64 second = d.count(p + "tlb.second_level_hits");
        const u64 walks = d.count(p + "walks");
        std::string title = ReportData::privilege_title(core, privilege);
        if (!scope.empty() && privilege.empty()) title += ", " + html::escape(ReportData::scope_title(scope));
        table.row({title, html::count(second + walks), html::count(second), html::count(walks),
                   html::decimal(d.number(p + "mpki.tlb_second_level")),
                   html::decimal(d.number(p + "references_per_walk")), html::decimal(d.number(p + "cycles_per_walk")),
                   html::bar(d.number(p + "translation_share"), html::percent(d.number(p + "translation_share"), 1))});
      }
    }
  }
  return table.str();
}

u64 get(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<u64>() : 0;
}

std::string get_text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string bytes_text(u64 bytes) {
  return bytes >= u64{1} << 30   ? fmt::format("{} GiB", bytes >> 30)
         : bytes >= u64{1} << 20 ? fmt::format("{} MiB", bytes >> 20)
                                 : fmt::format("{} KiB", bytes >> 10);
}

struct SpaceSum {
  u64 user = 0, supervisor = 0, halted = 0, translation = 0, instructions = 0, walks = 0, walk_cycles = 0, l3 = 0;
};

SpaceSum sum_of(const json& space) {
  SpaceSum s;
  for (const std::string_view privilege : privilege_names) {
    const json part = space.value(std::string(privilege), json::object());
    if (!part.is_object()) continue;
    const json cycles = part.value("cycles", json::object());
    u64 total = 0;
    for (unsigned i = 0; i < cycle_causes; ++i) total += get(cycles, std::string(cycle_cause_names[i]).c_str());
    s.halted += get(cycles, "halted");
    (privilege.ends_with("user") ? s.user : s.supervisor) += total - get(cycles, "halted");
    for (const char* cause : {"fetch_walk", "tlb", "walk_dim1", "walk_dim2"}) s.translation += get(cycles, cause);
    s.instructions += get(part, "instructions");
    s.walks += get(part, "walks");
    s.walk_cycles += get(part, "walk_cycles");
    s.l3 += get(part, "l3.misses");
  }
  return s;
}

}  // namespace

std::string translation_section(const ReportData& d) {
  if (!d.timed()) return "";
  std::string body = summary_table(d) + histogram(d) + level_table(d);
  body += "<div class=\"columns\">" + size_table(d) + structure_caches(d) + "</div>";
  return html::section("translation", "Address translation", body);
}

std::string address_spaces_section(const ReportData& d) {
  const json spaces = d.profile.value("address_spaces", json::object());
  if (!spaces.is_object() || !spaces.contains("hottest")) return "";
  html::Table table({"CR3", "Share of active time", "Active cycles", "User", "Halted", "IPC", "Walks per 1000",
                     "Cycles a walk", "Translation", "L3 misses per 1000", "First seen", "Last seen"},
                    1);
  const CycleAccount all = d.all_accounts("");
  const double active = std::max(1.0, real(all.total() - all[CycleCause::Halted]));
  const double clock = std::max(1.0, real(get(d.profile, "frequency")));
  const auto add = [&](const std::string& title, const json& space, bool times) {
    const SpaceSum s = sum_of(space);
    const double own = real(s.user + s.supervisor);
    const double thousands = std::max(1e-9, real(s.instructions) / 1000);
    table.row({title, html::bar(own / active, html::percent(own, active)), html::count(s.user + s.supervisor),
               html::percent(real(s.user), own), html::si(real(s.halted)),
               own == 0 ? "–" : html::decimal(real(s.instructions) / own), html::decimal(real(s.walks) / thousands),
               s.walks == 0 ? "–" : html::decimal(real(s.walk_cycles) / real(s.walks)),
               html::percent(real(s.translation), own), html::decimal(real(s.l3) / thousands),
               times ? html::duration(real(get(space, "first_cycle")) / clock) : "",
               times ? html::duration(real(get(space, "last_cycle")) / clock) : ""});
  };
  for (const json& space : spaces["hottest"])
    add("<code>" + html::escape(get_text(space, "cr3")) + "</code>", space, true);
  if (const u64 n = get(spaces, "others_count")) add(fmt::format("{} others", html::count(n)), spaces["others"], false);
  return html::section("spaces", "Address spaces",
                       "<p>By CR3, as the guest loads it; with PCIDs its low 12 bits are the PCID. Operating systems "
                       "use a page for another process when the first is "
                       "gone, so that a row may be several processes, one after the other.</p>" +
                           table.str());
}

std::string pages_section(const ReportData& d) {
  const json pages = d.profile.value("pages", json::array());
  if (!pages.is_array() || pages.empty()) return "";
  double most = 1;
  for (const json& p : pages) most = std::max(most, real(get(p, "walk_cycles") + get(p, "miss_cycles")));
  html::Table table({"Linear address", "Address space", "Size", "Cost", "Walks", "References", "Walk cycles",
                     "Second-level TLB hits", "Misses beyond L2", "Miss cycles"},
                    3);
  for (const json& p : pages) {
    const u64 cost = get(p, "walk_cycles") + get(p, "miss_cycles");
    const std::string cr3 = get_text(p, "cr3");
    table.row({"<code>" + html::escape(get_text(p, "linear")) + "</code>",
               cr3.empty() ? "all" : "<code>" + html::escape(cr3) + "</code>", bytes_text(get(p, "bytes")),
               html::bar(real(cost) / most, html::si(real(cost))), html::count(get(p, "walks")),
               html::count(get(p, "walk_references")), html::count(get(p, "walk_cycles")),
               html::count(get(p, "second_level_hits")), html::count(get(p, "misses")),
               html::count(get(p, "miss_cycles"))});
  }
  return html::section(
      "pages", "Hottest pages",
      "<p>By the cycles that walks for them and misses in them took. Overlapping ones count each, so this is "
      "not a share of the core's time.</p>" +
          table.str());
}

}  // namespace bunshin
