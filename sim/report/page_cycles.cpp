// Where the cycles went: the CPI stack by core, privilege level and region.

#include <fmt/format.h>

#include "sim/report/html.h"
#include "sim/report/page_sections.h"

namespace bunshin {

namespace {

double real(u64 value) { return static_cast<double>(value); }

std::string css_of(CycleCause cause) { return "c-" + std::string(cycle_cause_names[static_cast<unsigned>(cause)]); }

/// One horizontal bar, every cause as wide as its share.
std::string stack(const std::string& title, const CycleAccount& account, const std::string& note) {
  const u64 total = account.total();
  if (total == 0) return "";
  std::string pieces;
  for (unsigned i = 0; i < cycle_causes; ++i) {
    const u64 cycles = account.cycles[i];
    if (cycles == 0) continue;
    const auto cause = static_cast<CycleCause>(i);
    const double width = 100 * real(cycles) / real(total);
    pieces += fmt::format("<i class=\"{}\" style=\"width:{:.3f}%\" title=\"{}: {} cycles, {}\">{}</i>", css_of(cause),
                          width, cause_title(cause), html::count(cycles), html::percent(real(cycles), real(total)),
                          width >= 7 ? fmt::format("{:.0f}%", width) : "");
  }
  return fmt::format("<div class=\"stack\"><span>{}</span><div>{}</div><small>{}</small></div>\n", title, pieces, note);
}

std::string cpi_note(const CycleAccount& account, u64 instructions) {
  if (instructions == 0) return "";
  return fmt::format("CPI {}", html::decimal(real(account.total() - account[CycleCause::Halted]) / real(instructions)));
}

std::string scope_stacks(const ReportData& d, const std::string& scope) {
  std::string out;
  if (statistics_scopes(d.stats).size() > 1) out += "<h3>" + html::escape(ReportData::scope_title(scope)) + "</h3>";
  for (unsigned core = 0; core < d.cores(); ++core) {
    const std::string timing = fmt::format("{}core{}.timing.", scope, core);
    for (const std::string& privilege : d.privileges_of(scope, core)) {
      const CycleAccount part = d.account(scope, core, privilege);
      out += stack(ReportData::privilege_title(core, privilege), part,
                   cpi_note(part, d.count(timing + privilege + "instructions")));
    }
  }
  return out;
}

std::string legend(const CycleAccount& all) {
  std::string out;
  for (unsigned i = 0; i < cycle_causes; ++i) {
    if (all.cycles[i] == 0) continue;
    const auto cause = static_cast<CycleCause>(i);
    out += fmt::format("<span><i class=\"{}\"></i>{}</span>", css_of(cause), cause_title(cause));
  }
  return "<div class=\"legend\">" + out + "</div>";
}

std::string table(const ReportData& d) {
  const std::vector<std::string> scopes = statistics_scopes(d.stats);
  std::vector<std::string> headings{"Cause"};
  for (const std::string& scope : scopes) {
    const std::string title = scopes.size() > 1 ? ", " + html::escape(ReportData::scope_title(scope)) : "";
    headings.push_back("Cycles" + title);
    headings.push_back("Share");
    // Beside each other, regions have no room for more.
    if (scopes.size() == 1) headings.insert(headings.end(), {"User", "Supervisor"});
    headings.push_back("CPI");
  }
  html::Table table(headings, 1);
  const auto add = [&](const std::string& name, auto cycles_of, const char* css) {
    std::vector<std::string> cells{name};
    for (const std::string& scope : scopes) {
      const CycleAccount all = d.all_accounts(scope);
      const u64 cycles = cycles_of(all);
      const auto share = [&](const char* privilege) {
        const CycleAccount part = d.all_accounts(scope, privilege);
        return html::percent(real(cycles_of(part)), real(part.total()));
      };
      const u64 instructions = d.sum(scope, "timing.instructions");
      cells.push_back(html::count(cycles));
      cells.push_back(
          html::bar(real(cycles) / std::max(1.0, real(all.total())), html::percent(real(cycles), real(all.total()))));
      if (scopes.size() == 1) cells.insert(cells.end(), {share("user."), share("supervisor.")});
      cells.push_back(instructions == 0 ? "–" : html::decimal(real(cycles) / real(instructions)));
    }
    table.row(cells, css);
  };
  for (unsigned i = 0; i < cycle_causes; ++i) {
    const auto cause = static_cast<CycleCause>(i);
    add(
        fmt::format("<i class=\"dot {}\"></i>{}", css_of(cause), cause_title(cause)),
        [cause](const CycleAccount& a) { return a[cause]; }, "");
  }
  add(
      "All", [](const CycleAccount& a) { return a.total(); }, "total");
  return table.str();
}

}  // namespace

const char* cause_title(CycleCause cause) {
  switch (cause) {
    case CycleCause::Base: return "Issue, dependencies, execution";
    case CycleCause::Branch: return "Branch misprediction";
    case CycleCause::Frontend: return "Instruction fetch";
    case CycleCause::FetchWalk: return "Translation of fetches";
    case CycleCause::L1: return "First-level cache";
    case CycleCause::L2: return "Second-level cache";
    case CycleCause::L3: return "Third-level cache";
    case CycleCause::Remote: return "Another core's cache";
    case CycleCause::Dram: return "DRAM";
    case CycleCause::Uncached: return "Uncached accesses";
    case CycleCause::Tlb: return "Second-level TLB";
    case CycleCause::Walk1: return "Page walks, guest's tables";
    case CycleCause::Walk2: return "Page walks, second stage";
    case CycleCause::Serialize: return "Serialising instructions";
    case CycleCause::Event: return "Exceptions and interrupts";
    case CycleCause::VmEntry: return "World switches, entries";
    case CycleCause::VmExit: return "World switches, exits";
    case CycleCause::VmControl: return "Virtualization's own instructions";
    case CycleCause::Hosted: return "Hosted hypervisor";
    case CycleCause::Device: return "Devices and PAUSE";
    case CycleCause::Halted: return "Halted";
    default: return "";
  }
}

u64 CauseGroup::of(const CycleAccount& account) const {
  u64 sum = 0;
  for (const CycleCause cause : causes) sum += account[cause];
  return sum;
}

const std::vector<CauseGroup>& cause_groups() {
  static const std::vector<CauseGroup> groups{
      {"issue and execution", "c-base", {CycleCause::Base}},
      {"branches and instruction fetch", "c-branch", {CycleCause::Branch, CycleCause::Frontend}},
      {"caches", "c-l2", {CycleCause::L1, CycleCause::L2, CycleCause::L3, CycleCause::Remote, CycleCause::Uncached}},
      {"DRAM", "c-dram", {CycleCause::Dram}},
      {"address translation",
       "c-walk_dim1",
       {CycleCause::FetchWalk, CycleCause::Tlb, CycleCause::Walk1, CycleCause::Walk2}},
      {"serialising instructions and events", "c-serialize", {CycleCause::Serialize, CycleCause::Event}},
      {"world switches", "c-vm_exit", {CycleCause::VmEntry, CycleCause::VmExit, CycleCause::VmControl}},
      {"hosted hypervisor", "c-hosted", {CycleCause::Hosted}},
      {"devices and PAUSE", "c-device", {CycleCause::Device}},
      {"halted", "c-halted", {CycleCause::Halted}},
  };
  return groups;
}

std::string cycles_section(const ReportData& d) {
  if (!d.timed()) return "";
  std::string body =
      "<p>Every cycle of a core has one cause: what the oldest instruction waited for. The causes add up to the core's "
      "time.</p>" +
      legend(d.all_accounts(""));
  for (const std::string& scope : statistics_scopes(d.stats)) body += scope_stacks(d, scope);
  return html::section("cycles", "Where the cycles went", body + table(d));
}

}  // namespace bunshin
