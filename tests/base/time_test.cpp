#include "base/time.h"

#include <gtest/gtest.h>

namespace bunshin {
namespace {

TEST(Clock, TickAtIsTheFirstMomentOfThatTick) {
  const Clock pit{1'193'182};
  for (const u64 tick : {u64{0}, u64{1}, u64{65536}, u64{1'193'182}, u64{10'000'000'007}}) {
    EXPECT_EQ(pit.ticks(pit.at(tick)), tick);
    if (tick > 0) {
      EXPECT_EQ(pit.ticks(SimTime{pit.at(tick).ps - 1}), tick - 1);
    }
  }
}

TEST(Clock, DoesNotOverflowInADayAtFiveGigahertz) {
  const Clock clock{5'000'000'000};
  EXPECT_EQ(clock.ticks(SimTime{86'400ULL * 1'000'000'000'000ULL}), 432'000'000'000'000ULL);
}

}  // namespace
}  // namespace bunshin
