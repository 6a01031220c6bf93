// How the run went in simulated time: shares of the CPI stack as stacked areas, and rates as lines under them.

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "sim/report/html.h"
#include "sim/report/page_sections.h"

namespace bunshin {

namespace {

using nlohmann::json;

/// What happened between two samples.
struct Interval {
  double begin = 0, end = 0;  ///< cycles
  double instructions = 0;
  CycleAccount account;
  std::array<double, run_counts> counts{};

  /// For each thousand cycles: instructions would mislead, because one REP MOVS moves megabytes.
  double rate(RunCount count) const { return counts[static_cast<unsigned>(count)] * 1000 / (end - begin); }
};

u64 at(const json& list, std::size_t index) {
  return index < list.size() && list[index].is_number_unsigned() ? list[index].get<u64>() : 0;
}

std::vector<Interval> intervals_of(const json& samples) {
  std::vector<Interval> intervals;
  for (std::size_t i = 1; i < samples.size(); ++i) {
    const json& a = samples[i - 1];
    const json& b = samples[i];
    if (!a.is_array() || !b.is_array() || a.size() < 4 || b.size() < 4 || at(b, 0) <= at(a, 0)) continue;
    Interval interval{
        static_cast<double>(at(a, 0)), static_cast<double>(at(b, 0)), static_cast<double>(at(b, 1) - at(a, 1)), {}, {}};
    for (unsigned c = 0; c < cycle_causes; ++c) interval.account.cycles[c] = at(b[2], c) - at(a[2], c);
    for (unsigned c = 0; c < run_counts; ++c) interval.counts[c] = static_cast<double>(at(b[3], c) - at(a[3], c));
    intervals.push_back(interval);
  }
  return intervals;
}

class Charts {
 public:
  explicit Charts(std::vector<Interval> intervals) : intervals_(std::move(intervals)), end_(intervals_.back().end) {}

  /// Shares of each group, stacked to 100 %.
  std::string stacked() const {
    std::string out;
    std::vector<double> floor(intervals_.size(), 0);
    for (const CauseGroup& group : cause_groups()) {
      std::string upper;
      std::string lower;
      for (std::size_t i = 0; i < intervals_.size(); ++i) {
        const double total = static_cast<double>(std::max<u64>(1, intervals_[i].account.total()));
        const double top = floor[i] + static_cast<double>(group.of(intervals_[i].account)) / total;
        upper += step(i, 100 - 100 * top);
        lower = step_back(i, 100 - 100 * floor[i]) + lower;
        floor[i] = top;
      }
      out += fmt::format("<path class=\"{}\" d=\"M{}L{}Z\"><title>{}</title></path>", group.css, upper, lower,
                         group.title);
    }
    return svg(out, "areas");
  }

  template <class Rate>
  std::string line(const std::string& title, Rate rate) const {
    double most = 0;
    for (const Interval& i : intervals_) most = std::max(most, rate(i));
    if (most == 0) return "";
    std::string points;
    for (std::size_t i = 0; i < intervals_.size(); ++i) points += step(i, 96 - 92 * rate(intervals_[i]) / most);
    const std::string body = fmt::format(
        "<path class=\"under\" d=\"M0.0 100 L{}L1000 100Z\"/><path class=\"line\" d=\"M{}\"/>", points, points);
    return fmt::format("<div class=\"track\"><span>{}<small>most: {}</small></span>{}</div>\n", title,
                       html::decimal(most), svg(body, "lines"));
  }

 private:
  static std::string svg(const std::string& body, const char* css) {
    return fmt::format("<svg class=\"{}\" viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\" role=\"img\">{}</svg>",
                       css, body);
  }
  double x(double cycle) const { return 1000 * cycle / end_; }
  std::string step(std::size_t i, double y) const {
    return fmt::format("{:.1f} {:.1f} {:.1f} {:.1f} ", x(intervals_[i].begin), y, x(intervals_[i].end), y);
  }
  std::string step_back(std::size_t i, double y) const {
    return fmt::format("{:.1f} {:.1f} {:.1f} {:.1f} ", x(intervals_[i].end), y, x(intervals_[i].begin), y);
  }

  std::vector<Interval> intervals_;
  double end_;
};

std::string axis(double seconds) {
  std::string out;
  constexpr unsigned ticks = 5;
  for (unsigned i = 0; i <= ticks; ++i)
    out += "<span>" + (i == 0 ? "0" : html::duration(seconds * i / ticks)) + "</span>";
  return "<div class=\"track\"><span></span><div class=\"axis\">" + out + "</div></div>";
}

std::string legend() {
  std::string out;
  for (const CauseGroup& group : cause_groups())
    out += fmt::format("<span><i class=\"{}\"></i>{}</span>", group.css, group.title);
  return "<div class=\"legend\">" + out + "</div>";
}

}  // namespace

std::string time_line_section(const ReportData& d) {
  const auto line = d.profile.find("time_line");
  if (line == d.profile.end() || !line->is_object() || !line->contains("samples")) return "";
  std::vector<Interval> intervals = intervals_of((*line)["samples"]);
  if (intervals.size() < 2) return "";
  const double cores = std::max(1.0, static_cast<double>(d.cores()));
  const Charts charts(std::move(intervals));
  std::string body;
  if (d.timed()) {
    body = "<p>Shares of the cores' time by cause, then rates, over simulated time.</p>" + legend() +
           "<div class=\"track tall\"><span>Share of the time</span>" + charts.stacked() + "</div>";
    body += charts.line("Instructions a cycle and core",
                        [cores](const Interval& i) { return i.instructions / (i.end - i.begin) / cores; });
    body += charts.line("Branch mispredictions per 1000 cycles",
                        [](const Interval& i) { return i.rate(RunCount::Mispredicted); });
    body += charts.line("L1D misses per 1000 cycles", [](const Interval& i) { return i.rate(RunCount::L1dMisses); });
    body += charts.line("L2 misses per 1000 cycles", [](const Interval& i) { return i.rate(RunCount::L2Misses); });
    body += charts.line("L3 misses per 1000 cycles", [](const Interval& i) { return i.rate(RunCount::L3Misses); });
    body += charts.line("Page walks per 1000 cycles", [](const Interval& i) { return i.rate(RunCount::Walks); });
  } else {
    body = charts.line("Instructions a cycle, all cores",
                       [](const Interval& i) { return i.instructions / (i.end - i.begin); });
  }
  return html::section("timeline", "Over time",
                       "<div class=\"tracks\">" + body + axis(d.number("sim.seconds")) + "</div>");
}

}  // namespace bunshin
