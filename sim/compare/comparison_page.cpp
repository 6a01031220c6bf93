#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "sim/compare/comparison.h"
#include "sim/report/html.h"
#include "sim/report/report_style.h"
#include "sim/version.h"

namespace bunshin {

namespace {

double real(u64 value) { return static_cast<double>(value); }

/// One colour a cause, the same in every bar, and for the exits and their handler. Handlers are warm, what is the guest's own is blue, walks are violet.
class Palette {
 public:
  explicit Palette(const std::vector<ModeResult>& results) : names_(cause_names(results)) {
    for (const std::string& reason : exit_names(results)) {
      if (std::ranges::find(names_, "handler." + reason) == names_.end()) names_.push_back("handler." + reason);
    }
  }

  std::string_view of(const std::string& name) const {
    for (const auto& [known, colour] : fixed) {
      if (known == name) return colour;
    }
    std::size_t index = 0;
    for (const std::string& other : names_) {
      if (other == name || other == "handler." + name) break;
      if (!is_fixed(other)) ++index;
    }
    return warm[std::min(index, warm.size() - 1)];
  }
  /// What can be read on it.
  std::string_view ink_of(const std::string& name) const {
    constexpr std::string_view dark = "#1b2430", light = "#fff";
    const bool pale = std::ranges::find(pale_causes, name) != pale_causes.end();
    return pale ? dark : light;
  }

 private:
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 11> fixed{{{"guest_user", "#2f5f98"},
                                                                                        {"guest_kernel", "#7fa8d6"},
                                                                                        {"guest", "#4c78a8"},
                                                                                        {"guest_devices", "#a9bccf"},
                                                                                        {"walk_dim1", "#9b59b6"},
                                                                                        {"walk_dim2", "#5e2a84"},
                                                                                        {"walk_fetch", "#d3a4e0"},
                                                                                        {"world_switch", "#1d8a7a"},
                                                                                        {"hypervisor", "#77867a"},
                                                                                        {"halted", "#c3c9d1"},
                                                                                        {"other", "#e3d9c6"}}};
  static constexpr std::array<std::string_view, 5> pale_causes{"guest_kernel", "guest_devices", "walk_fetch", "halted",
                                                               "other"};
  static constexpr std::array<std::string_view, 8> warm{"#d1495b", "#e8871e", "#b8860b", "#8c2f39",
                                                        "#f2b134", "#c9705a", "#e8a598", "#a08060"};
  static bool is_fixed(const std::string& name) {
    return std::ranges::any_of(fixed, [&](const auto& f) { return f.first == name; });
  }
  std::vector<std::string> names_;
};

/// Bars of all modes on one scale, so that their lengths compare.
template <class ValueOf>
std::string bars(const Comparison& c, const Palette& palette, const std::vector<std::string>& names, ValueOf value_of) {
  u64 longest = 1;
  std::vector<u64> totals;
  for (const ModeResult& r : c.results) {
    u64 total = 0;
    for (const std::string& name : names) total += value_of(r, name);
    totals.push_back(total);
    longest = std::max(longest, total);
  }
  std::string out;
  for (std::size_t i = 0; i < c.results.size(); ++i) {
    std::string pieces;
    for (const std::string& name : names) {
      const u64 value = value_of(c.results[i], name);
      if (value == 0) continue;
      const double width = 100 * real(value) / real(longest);
      pieces += fmt::format("<i style=\"width:{:.3f}%;background:{};color:{}\" title=\"{}: {}, {}\">{}</i>", width,
                            palette.of(name), palette.ink_of(name), html::escape(cause_title_of(name)),
                            html::count(value), html::percent(real(value), real(totals[i])),
                            width >= 6.5 ? html::percent(real(value), real(totals[i])) : "");
    }
    out += fmt::format("<div class=\"stack\"><span>{}</span><div>{}</div><small>{}</small></div>\n",
                       html::escape(c.results[i].mode), pieces, html::si(real(totals[i])));
  }
  std::string legend;
  for (const std::string& name : names) {
    legend += fmt::format("<span><i style=\"background:{}\"></i>{}</span>", palette.of(name),
                          html::escape(cause_title_of(name)));
  }
  return "<div class=\"legend\">" + legend + "</div>" + out;
}

u64 exits_of(const ModeResult& r, const std::string& name) {
  const auto found = r.exits.find(name);
  return found == r.exits.end() ? 0 : found->second;
}

template <class ValueOf>
std::string table(const Comparison& c, const Palette& palette, const std::string& heading,
                  const std::vector<std::string>& names, ValueOf value_of) {
  std::vector<std::string> headings{heading};
  for (const ModeResult& r : c.results) {
    headings.push_back(html::escape(r.mode));
    headings.emplace_back("");
  }
  html::Table out(headings, 1);
  const auto add = [&](const std::string& title, auto value, const char* css) {
    std::vector<std::string> cells{title};
    for (const ModeResult& r : c.results) {
      u64 total = 0;
      for (const std::string& name : names) total += value_of(r, name);
      cells.push_back(value(r) == 0 ? "–" : html::count(value(r)));
      cells.push_back(value(r) == 0 ? "" : "<small>" + html::percent(real(value(r)), real(total)) + "</small>");
    }
    out.row(cells, css);
  };
  for (const std::string& name : names) {
    add(
        fmt::format("<i class=\"dot\" style=\"background:{}\"></i>{}", palette.of(name),
                    html::escape(cause_title_of(name))),
        [&](const ModeResult& r) { return value_of(r, name); }, "");
  }
  add(
      "All",
      [&](const ModeResult& r) {
        u64 total = 0;
        for (const std::string& name : names) total += value_of(r, name);
        return total;
      },
      "total");
  return out.str();
}

std::string summary(const Comparison& c) {
  html::Table out({"Mode", "How it ended", "Cycles", "Overhead", "Exits", "References per walk", "Tables, KiB"}, 2);
  for (const ModeResult& r : c.results) {
    const std::optional<double> overhead = overhead_of(r, c.results);
    u64 exits = 0;
    for (const auto& [name, count] : r.exits) exits += count;
    const std::string mode = html::escape(r.mode);
    out.row({r.measured ? fmt::format("<a href=\"{0}/report.html\">{0}</a>", mode) : mode,
             fmt::format("<span class=\"{}\">{}</span>", r.guest_exit == 0 ? "good" : "bad", html::escape(r.reason)),
             r.cycles == 0 ? "–" : html::count(r.cycles),
             overhead ? fmt::format("{:+.1f}\u202f%", 100 * *overhead) : "–", exits == 0 ? "–" : html::count(exits),
             r.references_per_walk ? html::decimal(*r.references_per_walk) : "–",
             r.table_bytes == 0 ? "–" : html::count(r.table_bytes >> 10)});
  }
  std::string left_out;
  for (const auto& [mode, why] : c.left_out) {
    left_out += fmt::format("<li>{} is left out: {}</li>", html::escape(mode), html::escape(why));
  }
  return out.str() + (left_out.empty() ? "" : "<ul class=\"note\">" + left_out + "</ul>");
}

std::string cycles_part(const Comparison& c, const Palette& palette) {
  const std::vector<std::string> names = cause_names(c.results);
  const auto value = [](const ModeResult& r, const std::string& name) { return r.cause(name); };
  const bool timed = std::ranges::any_of(c.results, [](const ModeResult& r) { return r.timed; });
  return html::section(
      "cycles", "Cycles by cause",
      std::string("<p>From the guest’s first instruction to its end. A handler’s time is from the exit to the "
                  "handler’s return, a "
                  "world switch everything between handler and guest, both ways.</p>") +
          (timed ? ""
                 : "<p class=\"note\">Without timing an instruction is one cycle, and the guest’s time is one piece: "
                   "--timing inorder or ooo tells user, kernel and walks apart.</p>") +
          bars(c, palette, names, value) + table(c, palette, "Cause", names, value));
}

std::string exits_part(const Comparison& c, const Palette& palette) {
  const std::vector<std::string> names = exit_names(c.results);
  if (names.empty()) return "";
  return html::section("exits", "Exits by cause",
                       bars(c, palette, names, exits_of) + table(c, palette, "Reason", names, exits_of));
}

template <class ValueOf>
std::string measure(const Comparison& c, const std::string& title, ValueOf value_of, std::string (*show)(double)) {
  double most = 0;
  for (const ModeResult& r : c.results) most = std::max(most, value_of(r));
  if (most == 0) return "";
  std::string out = "<h3>" + title + "</h3>";
  for (const ModeResult& r : c.results) {
    const double value = value_of(r);
    out += fmt::format(
        "<div class=\"stack\"><span>{}</span><div><i style=\"width:{:.2f}%;background:var(--accent)\"></i></div>"
        "<small>{}</small></div>\n",
        html::escape(r.mode), 100 * value / most, value == 0 ? "–" : show(value));
  }
  return out;
}

std::string memory_part(const Comparison& c) {
  const std::string references = measure(
      c, "References to paging structures per walk",
      [](const ModeResult& r) { return r.references_per_walk.value_or(0); }, html::decimal);
  const std::string tables = measure(
      c, "Memory spent on tables, KiB", [](const ModeResult& r) { return real(r.table_bytes) / 1024; }, html::decimal);
  return html::section("walks", "Walks and tables", references + tables);
}

}  // namespace

std::string comparison_html(const Comparison& c) {
  const Palette palette(c.results);
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" content=\"light "
      "dark\"><title>bunshin: one "
      "guest in several modes</title><style>{}</style></head>\n<body><nav><div><a href=\"#overview\">Overview</a><a "
      "href=\"#cycles\">Cycles</a><a href=\"#exits\">Exits</a><a href=\"#walks\">Walks and "
      "tables</a></div></nav>\n<main>"
      "<section id=\"overview\"><h1>{}, in {} modes</h1><p>{}, timing {}, experiment <code>{}</code></p>{}</section>{}"
      "<footer>bunshin {}. How it is measured: docs/hypervisor.md.</footer></main></body></html>\n",
      report_style, html::escape(c.guest), c.results.size(), html::escape(c.processor), html::escape(c.timing),
      html::escape(c.experiment), summary(c), cycles_part(c, palette) + exits_part(c, palette) + memory_part(c),
      version);
}

}  // namespace bunshin
