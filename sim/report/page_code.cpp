// The hottest functions and instructions, and the code around them.

#include <algorithm>

#include <fmt/format.h>

#include "sim/report/html.h"
#include "sim/report/page_sections.h"

namespace bunshin {

namespace {

using nlohmann::json;

constexpr std::size_t functions_shown = 40;

double number(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

u64 count(const json& object, const char* key) { return static_cast<u64>(number(object, key)); }

std::string text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? html::escape(found->get<std::string>()) : "";
}

const char* privilege(const json& object) {
  if (object.value("hypervisor", false)) return "hypervisor";
  return object.value("user", false) ? "user" : "supervisor";
}

std::string functions(const json& code, double all) {
  html::Table table({"Function, or page of code without symbols", "", "Share", "Cycles", "Instructions", "CPI"}, 2);
  std::size_t shown = 0;
  for (const json& f : code.value("functions", json::array())) {
    if (++shown > functions_shown) break;
    const double cycles = number(f, "cycles");
    const double executions = number(f, "executions");
    const std::string name =
        f.value("page", false) ? "page <code>" + text(f, "name") + "</code>" : "<code>" + text(f, "name") + "</code>";
    table.row({name, privilege(f), html::bar(cycles / all, html::percent(cycles, all)), html::count(count(f, "cycles")),
               html::count(count(f, "executions")), executions == 0 ? "–" : html::decimal(cycles / executions)});
  }
  return table.str();
}

std::vector<std::string> instruction_cells(const json& i, double all) {
  const double executions = number(i, "executions");
  const std::string name = text(i, "text").empty() ? "<small>bytes not known</small>" : text(i, "text");
  return {"<code>" + text(i, "rip") + "</code>",
          "<code class=\"asm\">" + name + "</code>",
          text(i, "symbol"),
          privilege(i),
          html::bar(number(i, "cycles") / all, html::percent(number(i, "cycles"), all)),
          html::count(count(i, "cycles")),
          html::count(count(i, "executions")),
          executions == 0 ? "–" : html::decimal(number(i, "cycles") / executions)};
}

std::string instructions(const json& list, double all) {
  html::Table table({"Address", "Instruction", "Symbol", "", "Share", "Cycles", "Executions", "Cycles each"}, 4);
  for (const json& i : list) table.row(instruction_cells(i, all));
  return table.str();
}

/// Code in order of address, each line as warm as its share of the listing's hottest.
std::string listing(const json& lines) {
  double most = 1;
  std::string title;
  for (const json& i : lines) {
    if (number(i, "cycles") <= most) continue;
    most = number(i, "cycles");
    title = text(i, "symbol").empty() ? text(i, "rip") : text(i, "symbol");
  }
  std::string body;
  for (const json& i : lines) {
    body += fmt::format(
        "<tr><td class=\"n\">{}</td><td class=\"heat\"><i style=\"width:{:.0f}%\"></i></td><td>{}</td><td "
        "class=\"asm\">{}</td></tr>",
        html::count(count(i, "cycles")), 100 * number(i, "cycles") / most, text(i, "rip"), text(i, "text"));
  }
  return fmt::format(
      "<figure class=\"listing\"><figcaption>around <code>{}</code></figcaption><div "
      "class=\"scroll\"><table>{}</table></div></figure>",
      title, body);
}

}  // namespace

std::string code_section(const ReportData& d) {
  const json code = d.profile.value("code", json::object());
  if (!code.is_object() || !code.contains("instructions") || code["instructions"].empty()) return "";
  const double all = std::max(1.0, number(code, "cycles"));
  std::string body =
      "<p>An instruction is charged with the cycles by which its completion moved the core’s time on: what it waited "
      "for is "
      "its own cost only if nothing else hid it. Addresses are those at which the code ran last.</p>";
  body += functions(code, all) + "<h3>Instructions</h3>" + instructions(code["instructions"], all);
  std::string listings;
  for (const json& lines : code.value("listings", json::array())) {
    if (lines.is_array() && lines.size() > 1) listings += listing(lines);
  }
  if (!listings.empty())
    body +=
        "<h3>The code around them</h3><p>Cycles of each instruction.</p><div class=\"listings\">" + listings + "</div>";
  return html::section("code", "Hottest code", body);
}

}  // namespace bunshin
