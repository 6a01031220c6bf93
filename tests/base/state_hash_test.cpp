#include "base/state_hash.h"

#include <gtest/gtest.h>
#include <array>

namespace bunshin {
namespace {

u64 hash_of(std::initializer_list<u64> words) {
  StateHash hash;
  for (const u64 word : words) hash.add(word);
  return hash.value();
}

TEST(StateHash, DependsOnOrderAndLength) {
  EXPECT_EQ(hash_of({1, 2}), hash_of({1, 2}));
  EXPECT_NE(hash_of({1, 2}), hash_of({2, 1}));
  EXPECT_NE(hash_of({0}), hash_of({0, 0}));
}

TEST(StateHash, AdjacentSpansDoNotRunTogether) {
  const std::array<u8, 4> bytes{1, 2, 3, 4};
  StateHash together;
  together.add(std::span<const u8>(bytes));
  StateHash apart;
  apart.add(std::span<const u8>(bytes).first(2));
  apart.add(std::span<const u8>(bytes).last(2));
  EXPECT_NE(together.value(), apart.value());
}

}  // namespace
}  // namespace bunshin
