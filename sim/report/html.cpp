#include "sim/report/html.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "sim/report/statistics_text.h"

namespace bunshin::html {

namespace {

/// Length of the UTF-8 sequence that begins here, 0 if it is none.
std::size_t sequence_length(std::string_view text) {
  const auto lead = static_cast<u8>(text[0]);
  const std::size_t length = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<u8>(text[i]) & 0xc0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    const std::string_view piece = text.substr(0, std::max<std::size_t>(length, 1));
    text.remove_prefix(piece.size());
    if (length == 0) {
      out += "\xef\xbf\xbd";
      continue;
    }
    switch (piece[0]) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: {
        const auto byte = static_cast<u8>(piece[0]);
        if ((byte >= 32 && byte != 127) || byte == '\n' || byte == '\t') out += piece;
      }
    }
  }
  return out;
}

std::string count(u64 value) { return grouped(value, "\xe2\x80\xaf"); }

std::string si(double value) {
  constexpr std::array<const char*, 7> prefixes{"", "k", "M", "G", "T", "P", "E"};
  std::size_t prefix = 0;
  while (std::abs(value) >= 999.5 && prefix + 1 < prefixes.size()) {
    value /= 1000;
    ++prefix;
  }
  if (prefix == 0) return value == std::floor(value) ? fmt::format("{:.0f}", value) : decimal(value);
  return fmt::format("{:.{}f}\u202f{}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, prefixes[prefix]);
}

std::string percent(double part, double whole) {
  if (whole == 0 || part == 0) return "–";
  const double share = 100 * part / whole;
  return share < 0.05 ? "&lt;0.1\u202f%" : fmt::format("{:.1f}\u202f%", share);
}

std::string decimal(double value) {
  const double magnitude = std::abs(value);
  return fmt::format("{:.{}f}", value, magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3);
}

std::string duration(double seconds) {
  constexpr std::array<std::pair<double, const char*>, 4> units{{{1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}, {1e-9, "ns"}}};
  for (const auto& [unit, name] : units) {
    if (seconds >= unit || unit == units.back().first) return fmt::format("{}\u202f{}", decimal(seconds / unit), name);
  }
  return "";
}

Table::Table(std::vector<std::string> headings, unsigned text_columns)
    : headings_(std::move(headings)), text_columns_(text_columns) {}

std::string Table::line(const char* cell, const std::vector<std::string>& cells, std::string_view css_class) const {
  std::string out = css_class.empty() ? "<tr>" : fmt::format("<tr class=\"{}\">", css_class);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    out += i < text_columns_ ? fmt::format("<{}>", cell) : fmt::format("<{} class=\"n\">", cell);
    out += cells[i] + fmt::format("</{}>", cell);
  }
  return out + "</tr>\n";
}

void Table::row(const std::vector<std::string>& cells, std::string_view css_class) {
  rows_ += line("td", cells, css_class);
}

std::string Table::str() const {
  return "<div class=\"scroll\"><table><thead>" + line("th", headings_, "") + "</thead><tbody>" + rows_ +
         "</tbody></table></div>\n";
}

std::string bar(double share, const std::string& text, std::string_view css_class) {
  return fmt::format("<span class=\"bar {}\"><i style=\"width:{:.1f}%\"></i><b>{}</b></span>", css_class,
                     100 * std::clamp(share, 0.0, 1.0), text);
}

std::string section(const char* id, const std::string& title, const std::string& body) {
  return fmt::format("<section id=\"{}\"><h2>{}</h2>\n{}</section>\n", id, title, body);
}

std::string folded(const std::string& summary, const std::string& body) {
  return "<details><summary>" + summary + "</summary>" + body + "</details>\n";
}

}  // namespace bunshin::html
