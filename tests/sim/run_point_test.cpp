// Points of a run: how they are written, and what happens when they come.

#include <gtest/gtest.h>

#include <fstream>

#include "base/stats.h"
#include "core/engine/mark.h"
#include "sim/run_control.h"

/// SystemC's library wants one; nobody calls it.
extern "C" int sc_main(int, char**) { return 0; }

namespace bunshin {
namespace {

using Kind = RunPoint::Kind;

std::string error_of(const std::string& text) {
  try {
    parse_run_point(text);
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

TEST(RunPoint, IsWrittenInSevenWays) {
  EXPECT_EQ(parse_run_point("cycle:1000").value, 1000U);
  EXPECT_EQ(parse_run_point("cycle:0x10").kind, Kind::Cycle);
  EXPECT_EQ(parse_run_point("instructions:7").kind, Kind::Instructions);
  EXPECT_EQ(parse_run_point("address:0xffffffff81000000").value, 0xffffffff81000000U);
  const RunPoint symbol = parse_run_point("symbol:start_kernel+0x20#2");
  EXPECT_EQ(symbol.kind, Kind::Address);
  EXPECT_EQ(symbol.symbol, "start_kernel");
  EXPECT_EQ(symbol.value, 0x20U);
  EXPECT_EQ(symbol.nth, 2U);
  EXPECT_EQ(parse_run_point("mark:4095").kind, Kind::Mark);
  EXPECT_EQ(parse_run_point("begin:0").kind, Kind::Begin);
  EXPECT_EQ(parse_run_point("end:1#3").nth, 3U);
}

TEST(RunPoint, WhatIsWrongIsSaid) {
  EXPECT_NE(error_of("1000").find("expected one of cycle:N, instructions:N"), std::string::npos) << error_of("1000");
  EXPECT_NE(error_of("cycle:").find("not a whole number"), std::string::npos);
  EXPECT_NE(error_of("cycle:-1").find("not a whole number"), std::string::npos);
  EXPECT_NE(error_of("mark:4096").find("up to 4095"), std::string::npos);
  EXPECT_NE(error_of("symbol:").find("name is missing"), std::string::npos);
  EXPECT_NE(error_of("mark:1#0").find("#1"), std::string::npos);
  EXPECT_NE(error_of("cycle:5#2").find("not a whole number"), std::string::npos) << "a cycle comes once";
  EXPECT_THROW(parse_switch("cycle:5"), std::runtime_error);
  EXPECT_THROW(parse_switch("cycle:5=fast"), std::runtime_error);
  EXPECT_THROW(parse_region("roi"), std::runtime_error);
  EXPECT_THROW(parse_region("a b=1"), std::runtime_error);
  EXPECT_THROW(parse_region("=1"), std::runtime_error);
  EXPECT_THROW(parse_region("x=cycle:1..soon"), std::runtime_error);
}

TEST(RunPoint, FindsItsSymbolOrNearOnes) {
  const std::string file = ::testing::TempDir() + "run_point_test.map";
  std::ofstream(file) << "ffffffff81000000 T start_kernel\nffffffff81000100 t rest_init\n";
  const Symbols symbols = Symbols::from_file(file);
  RunPoint point = parse_run_point("symbol:rest_init+4");
  point.resolve(symbols, file);
  EXPECT_EQ(point.value, 0xffffffff81000104U);
  RunPoint wrong = parse_run_point("symbol:start_kernal");
  try {
    wrong.resolve(symbols, file);
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_NE(std::string(e.what()).find("near ones: start_kernel"), std::string::npos) << e.what();
  }
  std::remove(file.c_str());
}

class Control : public ::testing::Test {
 protected:
  Control() { registry_.add("work", work_, "", ""); }

  void make(const std::vector<std::string>& switches, const std::vector<std::string>& regions, bool obey = false) {
    RunControl::Settings settings;
    for (const std::string& text : switches) settings.switches.push_back(parse_switch(text));
    for (const std::string& text : regions) settings.regions.push_back(parse_region(text));
    settings.obey_requests = obey;
    control_ = std::make_unique<RunControl>(
        settings, RegionStatistics(registry_, [this](std::vector<u64>& values) { registry_.read_counts(values); }),
        [this](TimingMode mode) { modes_.push_back(mode); });
  }
  u64 stat(const std::string& name, u64 cycle = 0) const {
    std::map<std::string, StatValue> stats;
    control_->add_to(stats, cycle);
    const auto found = stats.find(name);
    return found == stats.end() ? ~u64{0} : std::get<u64>(found->second.value);
  }
  static u16 code(mark::Operation operation, u16 number) {
    return static_cast<u16>(static_cast<unsigned>(operation) << 12 | number);
  }
  void mark(mark::Operation operation, u16 number, u64 cycle) {
    control_->marked(code(operation, number));
    control_->settle(cycle, 0);
  }

  u64 work_ = 0;
  StatRegistry registry_;
  std::vector<TimingMode> modes_;
  std::unique_ptr<RunControl> control_;
};

TEST_F(Control, CountsAreAwaitedInOrderAndOnce) {
  make({"cycle:200=none", "cycle:100=ooo", "instructions:50=inorder"}, {});
  EXPECT_EQ(control_->next_cycle(), 100U);
  EXPECT_EQ(control_->next_instructions(), 50U);
  control_->settle(100, 10);
  EXPECT_EQ(control_->next_cycle(), 200U);
  control_->settle(150, 50);
  EXPECT_EQ(control_->next_instructions(), std::nullopt);
  control_->settle(200, 60);
  control_->settle(300, 70);
  EXPECT_EQ(modes_, (std::vector<TimingMode>{TimingMode::OutOfOrder, TimingMode::InOrder, TimingMode::None}));
  EXPECT_EQ(control_->next_cycle(), ~u64{0});
}

TEST_F(Control, AnAddressCountsItsTimes) {
  make({"address:0x1000=ooo", "address:0x2000#2=none"}, {});
  EXPECT_FALSE(control_->reached(0x3000));
  EXPECT_TRUE(control_->reached(0x1000));
  EXPECT_FALSE(control_->reached(0x2000));
  EXPECT_TRUE(control_->reached(0x2000));
  EXPECT_FALSE(control_->reached(0x2000));
  control_->settle(0, 0);
  EXPECT_EQ(modes_, (std::vector<TimingMode>{TimingMode::OutOfOrder, TimingMode::None}));
}

TEST_F(Control, RequestsAreObeyedOnlyIfConfigured) {
  make({}, {});
  EXPECT_FALSE(control_->marked(code(mark::Operation::Request, 2)));
  make({}, {}, true);
  EXPECT_TRUE(control_->marked(code(mark::Operation::Request, 2)));
  EXPECT_FALSE(control_->marked(code(mark::Operation::Request, 3))) << "there is no such timing";
  control_->settle(0, 0);
  EXPECT_EQ(modes_, (std::vector<TimingMode>{TimingMode::OutOfOrder}));
}

TEST_F(Control, RegionsAddUpWhatHappensInThem) {
  make({}, {"inner=5"});
  using Op = mark::Operation;
  work_ = 10;
  mark(Op::Begin, 0, 100);
  work_ = 15;
  mark(Op::Begin, 5, 150);
  work_ = 18;
  mark(Op::End, 0, 200);
  work_ = 100;
  mark(Op::End, 5, 300);
  mark(Op::Begin, 5, 400);
  work_ = 101;
  EXPECT_EQ(stat("region.roi.work"), 8U);
  EXPECT_EQ(stat("region.roi.cycles"), 100U);
  EXPECT_EQ(stat("region.roi.entries"), 1U);
  EXPECT_EQ(stat("region.inner.work", 410), 86U) << "one that is open counts up to now";
  EXPECT_EQ(stat("region.inner.cycles", 410), 160U);
  EXPECT_EQ(stat("region.inner.entries"), 2U);
}

TEST_F(Control, ARegionBegunTwiceEndsWithTheSecondEnd) {
  make({}, {});
  using Op = mark::Operation;
  mark(Op::End, 1, 5);
  mark(Op::Begin, 1, 10);
  mark(Op::Begin, 1, 20);
  mark(Op::End, 1, 30);
  mark(Op::End, 1, 40);
  EXPECT_EQ(stat("region.1.entries"), 2U);
  EXPECT_EQ(stat("region.1.cycles"), 30U);
  EXPECT_EQ(stat("region.1.unmatched_ends"), 1U);
}

TEST_F(Control, AGuestCannotMakeUpMoreRegionsThanThereIsRoomFor) {
  make({}, {});
  for (u16 number = 0; number < 200; ++number) mark(mark::Operation::Begin, number, 1);
  EXPECT_EQ(stat("region.not_recorded"), 200 - RegionStatistics::max_regions);
}

TEST_F(Control, ARegionMayLieBetweenPoints) {
  make({}, {"boot=cycle:10..cycle:20"});
  control_->settle(10, 0);
  work_ = 4;
  control_->settle(20, 0);
  work_ = 9;
  EXPECT_EQ(stat("region.boot.work"), 4U);
  EXPECT_EQ(stat("region.boot.cycles"), 10U);
}

}  // namespace
}  // namespace bunshin
