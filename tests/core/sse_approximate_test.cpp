// RCPPS and RSQRTPS: within the manual's error bound for every exponent, and special operands as the manual lists them.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "core/sse/approximate.h"

namespace bunshin::sse {
namespace {

constexpr double bound = 1.5 / 4096;
float single(u32 bits) { return std::bit_cast<float>(bits); }

TEST(SseReciprocal, ErrorStaysBelowTheBound) {
  std::mt19937 random(1);
  for (unsigned exponent = 1; exponent < 252; ++exponent)
    for (unsigned i = 0; i < 200; ++i) {
      const u32 x = exponent << 23 | (random() & 0x7fffff);
      ASSERT_LT(std::abs(double{single(reciprocal(x))} * double{single(x)} - 1), bound) << std::hex << x;
    }
}

TEST(SseReciprocal, SquareRootErrorStaysBelowTheBound) {
  std::mt19937 random(2);
  for (unsigned exponent = 1; exponent < 255; ++exponent)
    for (unsigned i = 0; i < 200; ++i) {
      const u32 x = exponent << 23 | (random() & 0x7fffff);
      const double root = std::sqrt(double{single(x)});
      ASSERT_LT(std::abs(double{single(reciprocal_square_root(x))} * root - 1), bound) << std::hex << x;
    }
}

TEST(SseReciprocal, PowersOfTwoAreExact) {
  EXPECT_EQ(reciprocal(0x3f800000), 0x3f800000u);
  EXPECT_EQ(reciprocal(0xc0000000), 0xbf000000u);
  EXPECT_EQ(reciprocal_square_root(0x3f800000), 0x3f800000u);
  EXPECT_EQ(reciprocal_square_root(0x40800000), 0x3f000000u);
}

TEST(SseReciprocal, SpecialOperands) {
  EXPECT_EQ(reciprocal(0x80000000), 0xff800000u);
  EXPECT_EQ(reciprocal(0x00000001), 0x7f800000u);
  EXPECT_EQ(reciprocal(0xff800000), 0x80000000u);
  EXPECT_EQ(reciprocal(0x7f800001), 0x7fc00001u);
  EXPECT_EQ(reciprocal(0x7f7fffff), 0u);
}

TEST(SseReciprocal, SpecialOperandsOfTheSquareRoot) {
  EXPECT_EQ(reciprocal_square_root(0x80000001), 0xff800000u);
  EXPECT_EQ(reciprocal_square_root(0), 0x7f800000u);
  EXPECT_EQ(reciprocal_square_root(0x7f800000), 0u);
  EXPECT_EQ(reciprocal_square_root(0xbf800000), single_indefinite);
  EXPECT_EQ(reciprocal_square_root(0xff800001), 0xffc00001u);
}

}  // namespace
}  // namespace bunshin::sse
