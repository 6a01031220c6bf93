// Statistics as derived values, text, CSV and a page: what is computed, and that nothing a guest says breaks it.

#include <gtest/gtest.h>

#include "sim/report/html.h"
#include "sim/report/report_page.h"
#include "sim/report/statistics_text.h"
#include "sim/report/time_line.h"

namespace bunshin {
namespace {

StatValue number(u64 value) { return {value, "unit", "description"}; }

StatMap timed_run(const std::string& scope = "") {
  StatMap stats;
  stats["sim.seconds"] = {0.5, "s", ""};
  stats["sim.cycles"] = number(1000);
  stats["core0.timing.instructions"] = number(400);
  const auto set = [&](const std::string& name, u64 value) { stats[scope + name] = number(value); };
  set("sim.cycles", 1000);
  set("core0.timing.instructions", 400);
  set("core0.timing.cycles.base", 500);
  set("core0.timing.cycles.tlb", 100);
  set("core0.timing.cycles.walk_dim1", 200);
  set("core0.timing.cycles.halted", 200);
  set("core0.timing.walks", 8);
  set("core0.timing.walk_references", 12);
  set("core0.timing.walk_references.1", 4);
  set("core0.timing.walk_references.2", 4);
  set("core0.timing.walk_cycles", 240);
  set("core0.timing.tlb.second_level_hits", 12);
  set("core0.timing.branches", 50);
  set("core0.timing.branches.wrong", 2);
  set("cache.core0.l1d.misses.load", 15);
  set("cache.core0.l1d.misses.walk", 1);
  set("cache.core0.l1d.misses.prefetch", 100);
  set("cache.dram.row_hits", 3);
  set("cache.dram.row_conflicts", 1);
  set("cache.dram.reads", 4);
  set("cache.l2_0.prefetches", 10);
  set("cache.l2_0.prefetches_useful", 4);
  set("cache.l2_0.prefetches_late", 1);
  return stats;
}

double value(const StatMap& stats, const std::string& name) { return std::get<double>(stats.at(name).value); }

void expect_derived(const StatMap& stats, const std::string& scope) {
  EXPECT_DOUBLE_EQ(value(stats, scope + "core0.timing.cpi"), 2.0);
  EXPECT_DOUBLE_EQ(value(stats, scope + "core0.timing.ipc"), 0.5);
  EXPECT_DOUBLE_EQ(value(stats, scope + "core0.timing.translation_share"), 300.0 / 800);
  EXPECT_DOUBLE_EQ(value(stats, scope + "core0.timing.references_per_walk"), 1.5);
  EXPECT_DOUBLE_EQ(value(stats, scope + "core0.timing.cycles_per_walk"), 30.0);
  EXPECT_DOUBLE_EQ(value(stats, scope + "core0.timing.mpki.tlb_second_level"), 20.0);
  EXPECT_DOUBLE_EQ(value(stats, scope + "core0.timing.mpki.tlb_first_level"), 50.0);
  EXPECT_DOUBLE_EQ(value(stats, scope + "core0.timing.mpki.branch"), 5.0);
  // A prefetch that misses is no miss of the program.
  EXPECT_DOUBLE_EQ(value(stats, scope + "core0.timing.mpki.l1d"), 40.0);
  EXPECT_DOUBLE_EQ(value(stats, scope + "cache.dram.row_hit_rate"), 0.75);
  EXPECT_DOUBLE_EQ(value(stats, scope + "cache.dram.bandwidth"), 4 * 64 / 0.5);
  EXPECT_DOUBLE_EQ(value(stats, scope + "cache.l2_0.prefetch_accuracy"), 0.5);
  EXPECT_EQ(std::get<u64>(stats.at(scope + "core0.timing.cycles").value), 1000U);
}

TEST(DerivedStatistics, FollowFromTheCounters) {
  StatMap stats = timed_run();
  add_derived_statistics(stats);
  expect_derived(stats, "");
}

TEST(DerivedStatistics, ARegionHasItsOwn) {
  StatMap stats = timed_run("region.loop.");
  add_derived_statistics(stats);
  expect_derived(stats, "region.loop.");
  EXPECT_EQ(statistics_scopes(stats), (std::vector<std::string>{"", "region.loop."}));
}

TEST(DerivedStatistics, NothingIsDerivedWithoutTiming) {
  StatMap stats;
  stats["sim.cycles"] = number(1000);
  add_derived_statistics(stats);
  EXPECT_EQ(stats.size(), 1U);
}

TEST(DerivedStatistics, NoInstructionsAreNoInfiniteRates) {
  StatMap stats;
  stats["sim.cycles"] = number(0);
  stats["core0.timing.instructions"] = number(0);
  add_derived_statistics(stats);
  EXPECT_EQ(value(stats, "core0.timing.cpi"), 0);
  EXPECT_EQ(value(stats, "core0.timing.mpki.l2"), 0);
}

TEST(StatisticsText, CsvQuotesWhatNeedsIt) {
  StatMap stats;
  stats["a"] = {std::string("said \"no\", then\nleft"), "", "one, two"};
  stats["b"] = {u64{18446744073709551615U}, "cycles", "plain"};
  EXPECT_EQ(stats_csv(stats),
            "name,value,unit,description\r\n"
            "a,\"said \"\"no\"\", then\nleft\",,\"one, two\"\r\n"
            "b,18446744073709551615,cycles,plain\r\n");
}

TEST(StatisticsText, TextIsAlignedAndLeavesZerosOut) {
  StatMap stats;
  stats["core0.timing.cycles.base"] = {u64{1234567}, "cycles", "issue"};
  stats["core0.timing.walks"] = {u64{12}, "walks", "page walks"};
  stats["core0.timing.cycles.tlb"] = {u64{0}, "cycles", "none"};
  EXPECT_EQ(stats_text(stats),
            "core0.timing\n"
            "  cycles.base  1 234 567 cycles  issue\n"
            "  walks               12 walks   page walks\n\n"
            "1 statistics that are zero are left out; stats.json has them.\n");
}

TEST(Html, EscapesMarkupControlsAndBrokenUtf8) {
  EXPECT_EQ(html::escape("<a b=\"c\" d='e'>&\x1b[0m\x7f"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;[0m");
  EXPECT_EQ(html::escape("\xc3\xa4\xff\xe2\x82"), "\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(Html, NumbersReadWell) {
  EXPECT_EQ(html::si(1'234'567'890), "1.23\u202fG");
  EXPECT_EQ(html::si(999), "999");
  EXPECT_EQ(html::si(999'999), "1.00\u202fM");
  EXPECT_EQ(html::percent(1, 3), "33.3\u202f%");
  EXPECT_EQ(html::percent(1, 1'000'000), "&lt;0.1\u202f%");
  EXPECT_EQ(html::percent(0, 5), "–");
  EXPECT_EQ(html::duration(0.00125), "1.25\u202fms");
  EXPECT_EQ(grouped(1234567), "1 234 567");
  EXPECT_EQ(grouped(123), "123");
}

TEST(TimeLineTest, StaysBoundedAndEvenlySpaced) {
  TimeLine line;
  constexpr u64 step = 10'000;
  u64 cycle = 0;
  for (unsigned i = 0; i < 100'000; ++i, cycle += step) {
    if (line.due(cycle)) line.add({cycle, i, {}});
  }
  line.finish({cycle, 100'000, {}});
  EXPECT_LE(line.samples().size(), TimeLine::capacity + 1);
  EXPECT_GT(line.samples().size(), TimeLine::capacity / 3);
  EXPECT_EQ(line.samples().front().cycle, 0U);
  EXPECT_EQ(line.samples().back().cycle, cycle);
  for (std::size_t i = 1; i < line.samples().size(); ++i)
    EXPECT_LE(line.samples()[i].cycle - line.samples()[i - 1].cycle, 2 * line.interval() + step);
}

ReportData data_of(StatMap stats) {
  ReportData data;
  add_derived_statistics(stats);
  data.stats = std::move(stats);
  data.profile = nlohmann::json::object();
  return data;
}

TEST(ReportPage, SaysWhereTheCyclesWent) {
  const std::string page = report_html(data_of(timed_run()));
  EXPECT_NE(page.find("id=\"cycles\""), std::string::npos);
  EXPECT_NE(
      page.find("Of 800 active core cycles, <b>62.5\u202f%</b> went to issue and execution; <b>37.5\u202f%</b> went "
                "to address translation"),
      std::string::npos);
  EXPECT_NE(page.find("ASPLOS 2022"), std::string::npos);
}

TEST(ReportPage, MakesSenseWithoutTiming) {
  StatMap stats;
  stats["sim.cycles"] = number(1000);
  stats["core0.instructions"] = number(1000);
  const std::string page = report_html(data_of(stats));
  EXPECT_NE(page.find("had no timing model"), std::string::npos);
  EXPECT_EQ(page.find("id=\"translation\""), std::string::npos);
  EXPECT_NE(page.find("id=\"events\""), std::string::npos);
}

TEST(ReportPage, WhatAGuestSaysStaysText) {
  ReportData data = data_of(timed_run());
  const std::string evil = "</pre><script>alert(1)</script>";
  data.console = data.screen = data.config = evil;
  data.stats["sim.end_reason"] = {evil, evil, evil};
  data.stats["region." + evil + ".sim.cycles"] = number(1);
  data.profile["kernel"] = evil;
  data.profile["code"] = {{"cycles", 10},
                          {"functions", {{{"name", evil}, {"user", true}, {"cycles", 10}, {"executions", 1}}}},
                          {"instructions", {{{"rip", evil}, {"text", evil}, {"symbol", evil}, {"cycles", 10}}}}};
  data.profile["pages"] = {{{"linear", evil}, {"cr3", evil}, {"walk_cycles", 1}}};
  data.profile["address_spaces"] = {{"hottest", {{{"cr3", evil}}}}};
  EXPECT_EQ(report_html(data).find("<script"), std::string::npos);
}

TEST(ReportPage, AProfileOfAnotherShapeDoesNotBreakIt) {
  ReportData data = data_of(timed_run());
  data.profile = nlohmann::json::parse(
      R"({"time_line": {"samples": [1, [2], ["a", "b", {}, []], [5, 6, [], []], [3, 1, [], []]]}, "pages": [1, "x", null],
          "address_spaces": {"hottest": [{}, {"user": 3}]}, "kernel": 17})");
  EXPECT_NE(report_html(data).find("</html>"), std::string::npos);
}

}  // namespace
}  // namespace bunshin
