// The walk trace: what the walker says and what a pipeline charges later come together, walk by walk.

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "sim/walk/walk_trace.h"
#include "tests/core/engine_fixture.h"

/// SystemC's library asks for it; nothing of it runs here.
extern "C" int sc_main(int, char**) { return 0; }

namespace bunshin {
namespace {

using Json = nlohmann::json;

class WalkTraceTest : public ::testing::Test {
 protected:
  WalkTraceTest()
      : path_(std::filesystem::temp_directory_path() /
              ("bunshin-" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()))),
        file_("--walk-trace", path_.string()),
        trace_(file_, machine_.processor.cpu()) {}
  ~WalkTraceTest() override { std::filesystem::remove(path_); }

  /// A walk of two references, at `linear` and behind it in the tables' addresses.
  void walk(u64 linear, bool cached = false) {
    PagingContext context;
    context.mode = PagingMode::TwoLevel;
    trace_.walk_began(Linear(linear), {}, context);
    trace_.reference({1, 2, HostPhysical(linear + 1), 0x67, false, cached, false, 4});
    trace_.reference({1, 1, HostPhysical(linear + 2), 0x67, false, false, false, 4});
    WalkResult result;
    result.outcome = WalkOutcome::Translated;
    result.translation.shift = page_shift;
    trace_.walk_ended(result);
  }
  void charge(u64 linear, unsigned step, u64 cycle, u64 cycles) {
    MemoryReference reference;
    reference.linear = linear;
    reference.physical = HostPhysical(linear + step);
    reference.kind = MemoryReference::Kind::TableRead;
    trace_.charged(reference, cycle, {cycle + cycles, Level::L2}, 0x1234);
  }
  std::vector<Json> lines() {
    file_.flush();
    std::ifstream in(path_);
    std::vector<Json> all;
    for (std::string line; std::getline(in, line);) all.push_back(Json::parse(line));
    return all;
  }

  std::filesystem::path path_;
  TestMachine machine_;
  LineFile file_;
  CoreWalkTrace trace_;
};

TEST_F(WalkTraceTest, WithoutTimingAWalkIsWrittenAtOnce) {
  walk(0x5000);
  const std::vector<Json> all = lines();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["linear"], "0x5000");
  EXPECT_EQ(all[0]["references"], 2);
  EXPECT_FALSE(all[0].contains("cycles"));
}

TEST_F(WalkTraceTest, WithTimingItWaitsUntilItIsCharged) {
  trace_.timing_began(true);
  walk(0x5000);
  charge(0x5000, 1, 100, 10);
  EXPECT_TRUE(lines().empty());
  charge(0x5000, 2, 110, 5);
  const std::vector<Json> all = lines();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["cycle"], 100);
  EXPECT_EQ(all[0]["cycles"], 15);
  EXPECT_EQ(all[0]["ip"], "0xffff1234") << "the code segment's base after a reset counts";
  EXPECT_EQ(all[0]["steps"][1]["hit"], "L2");
}

TEST_F(WalkTraceTest, OnlyAnExactPipelineKnowsTheInstruction) {
  trace_.timing_began(false);
  walk(0x5000);
  charge(0x5000, 1, 100, 10);
  charge(0x5000, 2, 110, 5);
  EXPECT_FALSE(lines().at(0).contains("ip"));
}

TEST_F(WalkTraceTest, WalksThatNobodyChargesArePassedOver) {
  trace_.timing_began(true);
  for (const u64 linear : {0x5000, 0x6000, 0x7000}) walk(linear);
  charge(0x7000, 1, 100, 10);
  charge(0x7000, 2, 110, 10);
  const std::vector<Json> all = lines();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_FALSE(all[0].contains("cycles"));
  EXPECT_FALSE(all[1].contains("cycles"));
  EXPECT_EQ(all[2]["cycles"], 20);
}

TEST_F(WalkTraceTest, ACachedEntryCostsNothingAndIsNoReference) {
  trace_.timing_began(true);
  walk(0x5000, true);
  charge(0x5000, 2, 100, 10);
  const Json line = lines().at(0);
  EXPECT_EQ(line["references"], 1);
  EXPECT_EQ(line["cycles"], 10);
  EXPECT_EQ(line["steps"][0]["hit"], "entry cache");
}

TEST_F(WalkTraceTest, WhatWaitsIsBounded) {
  trace_.timing_began(true);
  for (u64 i = 0; i < 8200; ++i) walk(0x1000 * i);
  EXPECT_EQ(lines().size(), 8u);
}

TEST_F(WalkTraceTest, TheEndOfTimingWritesWhatWaits) {
  trace_.timing_began(true);
  walk(0x5000);
  trace_.timing_ended();
  walk(0x6000);
  EXPECT_EQ(lines().size(), 2u);
}

TEST(WalkTraceErrors, AFullDeviceIsReportedOnce) {
  LineFile file("--walk-trace", "/dev/full");
  file.write(std::string(4u << 20, 'x'));
  EXPECT_NE(file.error().find("No space left"), std::string::npos);
}

}  // namespace
}  // namespace bunshin
