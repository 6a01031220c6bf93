// Caches, main memory, prefetchers, branches.

#include <array>

#include <fmt/format.h>

#include "sim/report/html.h"
#include "sim/report/page_sections.h"

namespace bunshin {

namespace {

struct Rate {
  const char* title;
  const char* name;
};

constexpr std::array<Rate, 7> rates{{{"L1 instruction cache", "mpki.l1i"},
                                     {"L1 data cache", "mpki.l1d"},
                                     {"L2 cache", "mpki.l2"},
                                     {"L3 cache", "mpki.l3"},
                                     {"First-level TLBs", "mpki.tlb_first_level"},
                                     {"Second-level TLB (page walks)", "mpki.tlb_second_level"},
                                     {"Branch predictor", "mpki.branch"}}};

/// Rows of rates, columns of scopes, and of privilege levels within them.
std::string rate_table(const ReportData& d) {
  const std::vector<std::string> scopes = statistics_scopes(d.stats);
  std::vector<std::string> headings{"Misses per 1000 instructions"};
  std::vector<std::string> prefixes;
  for (const std::string& scope : scopes) {
    const std::string title = scopes.size() > 1 ? ", " + html::escape(ReportData::scope_title(scope)) : "";
    for (unsigned core = 0; core < d.cores(); ++core) {
      for (const std::string& privilege : d.privileges_of(scope, core)) {
        const std::string prefix = fmt::format("{}core{}.timing.{}", scope, core, privilege);
        if (d.count(prefix + "instructions") == 0) continue;
        prefixes.push_back(prefix);
        headings.push_back(ReportData::privilege_title(core, privilege) + title);
      }
    }
  }
  double most = 0;
  for (const Rate& rate : rates) {
    for (const std::string& prefix : prefixes) most = std::max(most, d.number(prefix + rate.name));
  }
  html::Table table(headings, 1);
  for (const Rate& rate : rates) {
    std::vector<std::string> cells{rate.title};
    for (const std::string& prefix : prefixes) {
      const double value = d.number(prefix + rate.name);
      cells.push_back(html::bar(most == 0 ? 0 : value / most, html::decimal(value)));
    }
    table.row(cells);
  }
  return table.str();
}

/// Hits and misses of each cache by who asked.
std::string hit_table(const ReportData& d) {
  html::Table table({"Cache", "Asked by", "Hits", "Still on its way", "Misses", "Miss rate"}, 2);
  for (unsigned core = 0; core < d.cores(); ++core) {
    for (const char* cache : {"l1i", "l1d", "l2", "l3"}) {
      for (const char* who : {"load", "store", "fetch", "walk", "prefetch"}) {
        const std::string base = fmt::format("cache.core{}.{}.", core, cache);
        const u64 hits = d.count(base + "hits." + who);
        const u64 merges = d.count(base + "merges." + who);
        const u64 misses = d.count(base + "misses." + who);
        if (hits + merges + misses == 0) continue;
        const auto all = static_cast<double>(hits + merges + misses);
        const auto missed = static_cast<double>(misses);
        table.row({fmt::format("core {} {}", core, cache), who, html::count(hits), html::count(merges),
                   html::count(misses), html::bar(missed / all, html::percent(missed, all))});
      }
    }
  }
  return table.empty() ? "" : html::folded("Hits and misses of each cache, by who asked", table.str());
}

std::string dram_table(const ReportData& d) {
  html::Table table({"DRAM", ""}, 1);
  const auto reads =
      d.number("cache.dram.row_hits") + d.number("cache.dram.row_misses") + d.number("cache.dram.row_conflicts");
  table.row({"Lines read", html::count(d.count("cache.dram.reads"))});
  table.row({"Lines written", html::count(d.count("cache.dram.writes"))});
  table.row({"Bandwidth", html::si(d.number("cache.dram.bandwidth")) + "B/s"});
  for (const auto& [title, name] :
       {std::pair{"Row was open", "cache.dram.row_hits"}, std::pair{"No row was open", "cache.dram.row_misses"},
        std::pair{"Another row was open", "cache.dram.row_conflicts"}}) {
    table.row({title, html::bar(reads == 0 ? 0 : d.number(name) / reads, html::percent(d.number(name), reads))});
  }
  table.row({"Waited for a bank", html::count(d.count("cache.dram.bank_wait_cycles")) + " cycles"});
  table.row({"Waited for the data bus", html::count(d.count("cache.dram.bus_wait_cycles")) + " cycles"});
  return table.str();
}

std::string prefetch_table(const ReportData& d) {
  html::Table table({"Prefetcher of", "Lines asked for", "Used in time", "Used, but late", "Useless", "Accuracy"}, 1);
  for (const auto& [name, stat] : d.stats) {
    constexpr std::string_view ending = ".prefetches";
    if (!name.starts_with("cache.") || !name.ends_with(ending) || d.count(name) == 0) continue;
    const std::string cache = name.substr(0, name.size() - ending.size());
    const double accuracy = d.number(cache + ".prefetch_accuracy");
    table.row({html::escape(cache.substr(6)), html::count(d.count(name)),
               html::count(d.count(cache + ".prefetches_useful")), html::count(d.count(cache + ".prefetches_late")),
               html::count(d.count(cache + ".prefetches_useless")), html::bar(accuracy, html::percent(accuracy, 1))});
  }
  return table.empty() ? "<p>No prefetcher asked for a line.</p>" : table.str();
}

}  // namespace

std::string caches_section(const ReportData& d) {
  if (!d.timed()) return "";
  return html::section("caches", "Misses", rate_table(d) + hit_table(d));
}

std::string memory_section(const ReportData& d) {
  if (!d.timed()) return "";
  return html::section("memory", "Main memory and prefetchers",
                       "<div class=\"columns\">" + dram_table(d) + prefetch_table(d) + "</div>");
}

std::string branches_section(const ReportData& d) {
  if (!d.timed()) return "";
  html::Table table({"Branches", "Resolved", "Mispredicted", "Rate", "Redirected by the decoder"}, 1);
  for (unsigned core = 0; core < d.cores(); ++core) {
    const std::string base = fmt::format("core{}.timing.", core);
    for (const std::string& privilege : d.privileges_of("", core)) {
      const std::string p = base + privilege;
      const u64 branches = d.count(p + "branches");
      if (branches == 0) continue;
      const double rate = d.number(p + "branch_miss_rate");
      table.row({ReportData::privilege_title(core, privilege), html::count(branches),
                 html::count(d.count(p + "branches.wrong")), html::bar(rate, html::percent(rate, 1)),
                 privilege.empty() ? html::count(d.count(p + "branches.redirected")) : ""});
    }
  }
  return html::section("branches", "Branches", table.empty() ? "<p>No branch was resolved.</p>" : table.str());
}

}  // namespace bunshin
