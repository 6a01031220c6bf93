// Who ran, how it ended, and the answer in one sentence.

#include <algorithm>

#include <fmt/format.h>

#include "sim/report/html.h"
#include "sim/report/page_sections.h"

namespace bunshin {

namespace {

std::string card(const std::string& title, const std::string& value, const std::string& note) {
  return fmt::format("<div class=\"card\"><span>{}</span><strong>{}</strong><small>{}</small></div>", title, value,
                     note);
}

std::string profile_text(const ReportData& d, const char* key) {
  const auto found = d.profile.find(key);
  if (found == d.profile.end()) return "";
  return html::escape(found->is_string() ? found->get<std::string>() : found->dump());
}

std::string cards(const ReportData& d) {
  const double cycles = d.number("sim.cycles");
  std::string out = card("Cycles", html::si(cycles), html::count(d.count("sim.cycles")));
  out += card("Instructions", html::si(d.number("sim.instructions")), html::count(d.count("sim.instructions")));
  if (d.timed()) {
    const double cpi = d.number("timing.cpi");
    out += card("IPC", html::decimal(d.number("timing.ipc")),
                fmt::format("CPI {}, without halted time", html::decimal(cpi)));
    const CycleAccount all = d.all_accounts("");
    const auto total = static_cast<double>(all.total());
    const auto halted = static_cast<double>(all[CycleCause::Halted]);
    out += card("Active", html::percent(total - halted, total), "of the cores' time; the rest is halted");
    out += card("Translation", html::percent(d.number("timing.translation_share"), 1), "of the active time");
  }
  out += card("Simulated time", html::duration(d.number("sim.seconds")),
              d.number("sim.cycles") == 0 ? "" : html::si(cycles / d.number("sim.seconds")) + "Hz");
  out += card("Host time", html::duration(d.number("sim.host_seconds")), html::decimal(d.number("sim.mips")) + " MIPS");
  return "<div class=\"cards\">" + out + "</div>";
}

/// The groups that took most, largest first.
std::string verdict(const ReportData& d) {
  const CycleAccount all = d.all_accounts("");
  const u64 active = all.total() - all[CycleCause::Halted];
  if (active == 0) return "";
  std::vector<std::pair<u64, const CauseGroup*>> parts;
  for (const CauseGroup& group : cause_groups()) {
    if (group.causes.front() != CycleCause::Halted) parts.emplace_back(group.of(all), &group);
  }
  std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text = fmt::format("Of {} active core cycles", html::si(static_cast<double>(active)));
  const char* separator = ", ";
  for (const auto& [cycles, group] : parts) {
    if (static_cast<double>(cycles) < 0.005 * static_cast<double>(active)) break;
    text += fmt::format("{}<b>{}</b> went to {}", separator,
                        html::percent(static_cast<double>(cycles), static_cast<double>(active)), group->title);
    separator = "; ";
  }
  text += ".";
  const u64 user = d.all_accounts("", "user.").total();
  const auto total = static_cast<double>(all.total());
  if (user != 0) {
    text += fmt::format(" User code ran for {} of the time.", html::percent(static_cast<double>(user), total));
  }
  if (all[CycleCause::Halted] != 0) {
    text += fmt::format(" For {} of the time the cores were halted.",
                        html::percent(static_cast<double>(all[CycleCause::Halted]), total));
  }
  return "<p class=\"verdict\">" + text + "</p>";
}

std::string identity(const ReportData& d) {
  html::Table table({"Run", ""}, 2);
  const auto add = [&table](const char* name, const std::string& value) {
    if (!value.empty()) table.row({name, value});
  };
  add("Guest", profile_text(d, "kernel"));
  add("Configuration", profile_text(d, "config_file"));
  add("Timing", profile_text(d, "timing"));
  add("Processor", profile_text(d, "cpu"));
  add("Cores", profile_text(d, "cores"));
  add("Seed", profile_text(d, "seed"));
  add("Simulator", "bunshin " + profile_text(d, "version"));
  add("State hash", "<code>" + html::escape(d.text("sim.state_hash")) + "</code>");
  return table.str();
}

}  // namespace

std::string overview_section(const ReportData& d) {
  const u64 status = d.count("sim.exit_status");
  std::string out = fmt::format("<section id=\"overview\"><h1>{}</h1>\n",
                                profile_text(d, "kernel").empty()
                                    ? "A run of bunshin"
                                    : profile_text(d, "kernel").substr(profile_text(d, "kernel").rfind('/') + 1));
  out += fmt::format("<p class=\"end {}\">{} <span>(exit status {})</span></p>\n",
                     status == 0   ? "good"
                     : status == 3 ? "limit"
                                   : "bad",
                     html::escape(d.text("sim.end_reason")), status);
  out += cards(d);
  if (d.timed()) {
    out += verdict(d);
  } else {
    out +=
        "<p class=\"verdict\">The run had no timing model: every instruction took one cycle, and there is nothing to "
        "say "
        "about caches, translation or pipelines. <code>--timing inorder</code> or <code>--timing ooo</code> fill in "
        "the "
        "rest of this page.</p>";
  }
  return out + identity(d) + "</section>\n";
}

}  // namespace bunshin
