#include "sim/report.h"

#include <cmath>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/version.h"

namespace bunshin {

namespace {

void write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw std::runtime_error(path + ": cannot be written");
}

std::string escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: {
        const bool printable = static_cast<u8>(c) >= 32 || c == '\n' || c == '\t';
        if (printable) out += c;
      }
    }
  }
  return out;
}

std::string show(const StatValue& stat) {
  struct Show {
    std::string operator()(u64 v) const { return fmt::format("{}", v); }
    std::string operator()(double v) const { return fmt::format("{:.6g}", v); }
    std::string operator()(const std::string& v) const { return v; }
  };
  return std::visit(Show{}, stat.value);
}

constexpr std::string_view style =
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:64em;padding:0 1em;color:#222;background:#fff}"
    "table{border-collapse:collapse}td,th{padding:.15em .8em;text-align:left;border-bottom:1px solid #ddd}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}pre{background:#111;color:#ddd;padding:1em;overflow:auto}"
    ".good{color:#176b2c}.bad{color:#a11}";

}  // namespace

std::string stats_json(const std::map<std::string, StatValue>& stats) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [name, stat] : stats) {
    nlohmann::json& entry = json[name];
    std::visit([&](const auto& v) { entry["value"] = v; }, stat.value);
    entry["unit"] = stat.unit;
    entry["description"] = stat.description;
  }
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string report_html(const RunReport& r) {
  const bool good = r.end.status == ExitStatus::Success;
  std::string html = fmt::format(
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>bunshin run</title><style>{}</style>"
      "<h1>bunshin {}</h1><p class=\"{}\">{} (exit status {})</p><h2>Statistics</h2><table>"
      "<tr><th>name<th>value<th>unit<th>meaning</tr>",
      style, version, good ? "good" : "bad", escape(r.end.reason), static_cast<int>(r.end.status));
  for (const auto& [name, stat] : r.stats) {
    html += fmt::format("<tr><td>{}<td class=\"n\">{}<td>{}<td>{}</tr>", escape(name), escape(show(stat)),
                        escape(stat.unit), escape(stat.description));
  }
  html += "</table><h2>Text screen</h2><pre>" + escape(r.screen) + "</pre><h2>Serial console, last part</h2><pre>" +
          escape(r.console) + "</pre><h2>Configuration</h2><pre>" + escape(write_config(r.config)) + "</pre></html>\n";
  return html;
}

void write_report(const std::string& directory, const RunReport& report) {
  write_file(directory + "/stats.json", stats_json(report.stats));
  write_file(directory + "/run.yaml", write_config(report.config));
  write_file(directory + "/screen.txt", report.screen);
  write_file(directory + "/report.html", report_html(report));
}

}  // namespace bunshin
