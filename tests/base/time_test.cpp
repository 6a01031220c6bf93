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

TEST(Clock, TheFirstTickFromATimeIsNotBeforeIt) {
  constexpr Clock clock{3'000'000'000};
  for (const u64 n : {u64{0}, u64{1}, u64{2}, u64{3}, u64{1'000'003}}) {
    EXPECT_EQ(clock.tick_from(clock.at(n)), n);
    EXPECT_EQ(clock.tick_from(SimTime{clock.at(n).ps + 1}), n + 1);
  }
  EXPECT_EQ(clock.tick_from(SimTime::never()), ~u64{0});
}

}  // namespace
}  // namespace bunshin
