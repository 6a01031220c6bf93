#include "base/stats.h"

#include <gtest/gtest.h>

#include "base/check.h"

namespace bunshin {
namespace {

TEST(StatRegistry, ReadsTheCounterWhenAsked) {
  u64 hits = 0;
  StatRegistry registry;
  registry.add("mmu.tlb.hits", hits, "accesses", "TLB hits");
  hits = 7;
  const auto values = registry.snapshot();
  EXPECT_EQ(std::get<u64>(values.at("mmu.tlb.hits").value), 7U);
  EXPECT_EQ(values.at("mmu.tlb.hits").unit, "accesses");
}

TEST(StatRegistry, ANameTakenTwiceIsABug) {
  const u64 counter = 0;
  StatRegistry registry;
  registry.add("a", counter, "", "");
  EXPECT_THROW(registry.add("a", counter, "", ""), SimulatorBug);
}

}  // namespace
}  // namespace bunshin
