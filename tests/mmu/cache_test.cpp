// One cache and its parts against small models of their own: replacement, misses under way, calendars, directory.

#include <algorithm>
#include <list>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "mmu/memory/cache.h"
#include "mmu/memory/combining_buffers.h"
#include "mmu/memory/directory.h"

namespace bunshin {
namespace {

L1Parameters small_cache(const char* replacement, u64 ways, u64 sets) {
  L1Parameters p;
  p.size = ways * sets * line_bytes;
  p.ways = ways;
  p.replacement = replacement;
  return p;
}

/// One set as the textbook draws it; a way holds a line or 0.
class ReferenceSet {
 public:
  explicit ReferenceSet(std::size_t ways) : ways_(ways), lines(ways, 0) {}
  virtual ~ReferenceSet() = default;
  virtual void used(std::size_t way, bool filled) = 0;
  virtual std::size_t victim() = 0;

  /// The line that goes for `line`: 0 if there was room, `line` itself if it is here.
  u64 access(u64 line) {
    auto found = std::find(lines.begin(), lines.end(), line);
    if (found != lines.end()) {
      used(static_cast<std::size_t>(found - lines.begin()), false);
      return line;
    }
    found = std::find(lines.begin(), lines.end(), u64{0});
    const std::size_t way = found != lines.end() ? static_cast<std::size_t>(found - lines.begin()) : victim();
    const u64 gone = lines[way];
    lines[way] = line;
    used(way, true);
    return gone;
  }

 protected:
  std::size_t ways_;

 public:
  std::vector<u64> lines;
};

class ReferenceLru : public ReferenceSet {
 public:
  using ReferenceSet::ReferenceSet;
  void used(std::size_t way, bool) override {
    order_.remove(way);
    order_.push_front(way);
  }
  std::size_t victim() override { return order_.back(); }

 private:
  std::list<std::size_t> order_;
};

/// The tree by recursion: a node says which half was not used last.
class ReferencePlru : public ReferenceSet {
 public:
  using ReferenceSet::ReferenceSet;
  void used(std::size_t way, bool) override {
    for (std::size_t low = 0, size = ways_; size > 1; size /= 2) {
      const bool upper = way >= low + size / 2;
      upper_is_next_[{low, size}] = !upper;
      if (upper) low += size / 2;
    }
  }
  std::size_t victim() override {
    std::size_t low = 0;
    for (std::size_t size = ways_; size > 1; size /= 2) {
      if (upper_is_next_[{low, size}]) low += size / 2;
    }
    return low;
  }

 private:
  std::map<std::pair<std::size_t, std::size_t>, bool> upper_is_next_;
};

class ReferenceSrrip : public ReferenceSet {
 public:
  using ReferenceSet::ReferenceSet;
  void used(std::size_t way, bool filled) override { value_[way] = filled ? 2 : 0; }
  std::size_t victim() override {
    while (true) {
      for (std::size_t way = 0; way < ways_; ++way) {
        if (value_[way] == 3) return way;
      }
      for (std::size_t way = 0; way < ways_; ++way) ++value_[way];
    }
  }

 private:
  std::map<std::size_t, int> value_;
};

/// What the cache throws out for `line`, as ReferenceSet::access says it.
u64 access(Cache& cache, u64 line) {
  const u64 index = cache.find(line);
  if (index == Cache::npos) return cache.fill(line, LineState::Exclusive, 0).line;
  cache.touch(line, index);
  cache.clear_flags(index, Cache::flag_bits);
  return line;
}

template <class Reference>
void compare(const char* replacement, u64 ways) {
  constexpr u64 sets = 4;
  Cache cache(small_cache(replacement, ways, sets), 1);
  std::vector<Reference> reference(sets, Reference(ways));
  std::mt19937_64 random(ways);
  for (int i = 0; i < 20000; ++i) {
    const u64 number = 1 + random() % (sets * ways * 2);
    const u64 line = number * line_bytes;
    if (cache.plain_read(line)) {
      // What the short path leaves out must not matter.
      ASSERT_EQ(reference[number % sets].access(line), line) << "access " << i;
    } else {
      ASSERT_EQ(access(cache, line), reference[number % sets].access(line)) << "access " << i;
    }
  }
}

TEST(Replacement, LruEvictsWhatTheReferenceEvicts) {
  for (const u64 ways : {1, 2, 3, 7, 8, 9, 12, 16, 20, 24, 32, 64}) compare<ReferenceLru>("lru", ways);
}
TEST(Replacement, TreePlruEvictsWhatTheReferenceEvicts) {
  for (const u64 ways : {1, 2, 4, 8, 16, 32, 64}) compare<ReferencePlru>("tree-plru", ways);
}
TEST(Replacement, SrripEvictsWhatTheReferenceEvicts) {
  for (const u64 ways : {1, 2, 3, 8, 12, 16, 64}) compare<ReferenceSrrip>("srrip", ways);
}

TEST(Replacement, LruOfATextbookSequence) {
  Cache cache(small_cache("lru", 4, 1), 1);
  for (const u64 line : {0x40, 0x80, 0xc0, 0x100}) EXPECT_EQ(access(cache, line), 0u);
  access(cache, 0x40);
  EXPECT_EQ(access(cache, 0x140), 0x80u);
  EXPECT_EQ(access(cache, 0x180), 0xc0u);
  EXPECT_EQ(access(cache, 0x40), 0x40u);
  EXPECT_EQ(access(cache, 0x1c0), 0x100u);
}

TEST(Replacement, RandomUsesAllWaysAndRepeatsWithItsSeed) {
  const auto victims = [](u64 seed) {
    Cache cache(small_cache("random", 8, 1), seed);
    std::vector<u64> gone;
    for (u64 i = 1; i <= 400; ++i) gone.push_back(access(cache, i * line_bytes) / line_bytes);
    return gone;
  };
  EXPECT_EQ(victims(5), victims(5));
  EXPECT_NE(victims(5), victims(6));
  Replacement replacement(ReplacementPolicy::Random, 1, 8, 3);
  std::map<unsigned, int> chosen;
  for (int i = 0; i < 8000; ++i) ++chosen[replacement.victim(0)];
  ASSERT_EQ(chosen.size(), 8u);
  for (const auto& [way, count] : chosen) EXPECT_NEAR(count, 1000, 200) << way;
}

TEST(Cache, InvalidatedWaysAreFilledFirst) {
  Cache cache(small_cache("lru", 4, 1), 1);
  for (u64 i = 1; i <= 4; ++i) access(cache, i * line_bytes);
  cache.invalidate(4 * line_bytes);  // the youngest
  EXPECT_EQ(access(cache, 9 * line_bytes), 0u);
  EXPECT_EQ(access(cache, 10 * line_bytes), 1 * line_bytes);
}

TEST(Cache, APlainHitNeedsTheRightStateAndNoFlags) {
  Cache cache(small_cache("lru", 4, 4), 1);
  cache.fill(0x1000, LineState::Shared, 0);
  EXPECT_TRUE(cache.plain_read(0x103f));
  EXPECT_FALSE(cache.plain_write(0x1000));
  EXPECT_FALSE(cache.plain_read(0x1040));
  cache.set_state(cache.find(0x1000), LineState::Modified);
  EXPECT_TRUE(cache.plain_write(0x1008));
  cache.fill(0x2000, LineState::Modified, Cache::pending);
  EXPECT_FALSE(cache.plain_read(0x2000));
  EXPECT_FALSE(cache.plain_write(0x2000));
  EXPECT_FALSE(cache.hit_plainly(0x2000, false));
  EXPECT_FALSE(cache.plain_read(0x1000)) << "not the latest used way any more";
  EXPECT_TRUE(cache.hit_plainly(0x1000, true));
  EXPECT_TRUE(cache.plain_read(0x1000));
}

/// Hints are the low byte of a tag, so that lines 256 ways apart look alike.
TEST(Cache, LinesThatLookAlikeAreToldApart) {
  L1Parameters parameters;
  Cache cache(parameters, 1);
  const u64 way_bytes = parameters.size / parameters.ways;
  for (u64 i = 0; i < parameters.ways; ++i) cache.fill(i * 256 * way_bytes, LineState::Exclusive, 0);
  for (u64 i = 0; i < parameters.ways; ++i) {
    ASSERT_NE(cache.find(i * 256 * way_bytes), Cache::npos);
    EXPECT_EQ(cache.line_at(cache.find(i * 256 * way_bytes)).line, i * 256 * way_bytes);
  }
  EXPECT_EQ(cache.find(parameters.ways * 256 * way_bytes), Cache::npos);
  cache.invalidate(256 * way_bytes);
  EXPECT_EQ(cache.find(256 * way_bytes), Cache::npos);
}

TEST(Mshr, AMissWaitsForTheFirstOfAllRegistersToBecomeFree) {
  MshrFile mshrs(2);
  unsigned slot = 0;
  EXPECT_EQ(mshrs.acquire(10, slot), 10u);
  mshrs.set(slot, {0x40, 10, 110, Level::Dram});
  EXPECT_EQ(mshrs.acquire(11, slot), 11u);
  mshrs.set(slot, {0x80, 11, 60, Level::L2});
  EXPECT_FALSE(mshrs.try_acquire(12, slot));
  EXPECT_EQ(mshrs.acquire(12, slot), 60u);
  mshrs.set(slot, {0xc0, 60, 200, Level::Dram});
  EXPECT_EQ(mshrs.acquire(61, slot), 110u);
  Level level = Level::L1;
  EXPECT_EQ(mshrs.arrival(0xc0, 50, level), 200u);
  EXPECT_EQ(level, Level::Dram);
  EXPECT_EQ(mshrs.arrival(0x80, 50, level), 60u) << "its register went to one that waited, it is on its way until 60";
  EXPECT_EQ(level, Level::L2);
  EXPECT_EQ(mshrs.arrival(0x80, 70, level), 70u);
  EXPECT_EQ(mshrs.arrival(0x100, 50, level), 50u);
}

TEST(Mshr, RequestsThatBeginLaterDoNotOccupyRegistersYet) {
  MshrFile mshrs(1);
  unsigned slot = 0;
  EXPECT_EQ(mshrs.acquire(1000, slot), 1000u);
  mshrs.set(slot, {0x40, 1000, 1100, Level::Dram});
  EXPECT_EQ(mshrs.acquire(500, slot), 500u);
}

/// Every cycle on its own: what a calendar of unlimited memory would answer.
TEST(Calendar, GivesTheFirstGapLikeACycleByCycleModel) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    Calendar<64> calendar;
    std::set<u64> busy;
    for (int i = 0; i < 30; ++i) {  // fewer than it can remember
      const u64 cycle = random() % 200;
      const u64 duration = random() % 6;
      u64 expected = cycle;
      const auto free_at = [&](u64 at) {
        for (u64 c = at; c < at + duration; ++c) {
          if (busy.contains(c)) return false;
        }
        return true;
      };
      while (!free_at(expected)) ++expected;
      for (u64 c = expected; c < expected + duration; ++c) busy.insert(c);
      ASSERT_EQ(calendar.reserve(cycle, duration), expected);
    }
  }
}

TEST(Calendar, ForgettingThePastNeverBlocksTheFuture) {
  Calendar<8> calendar;
  for (u64 i = 0; i < 1000; ++i) EXPECT_EQ(calendar.reserve(i * 10, 4), i * 10);
  EXPECT_EQ(calendar.reserve(9990, 4), 9994u);
  EXPECT_LE(calendar.reserve(3, 4), 9998u);
  EXPECT_EQ(calendar.reserve(20000, 4), 20000u);
}

TEST(Directory, BehavesLikeAMap) {
  Directory directory(64);
  std::map<u64, std::pair<u64, bool>> reference;
  std::mt19937_64 random(3);
  for (int i = 0; i < 100000; ++i) {
    const u64 line = (random() % 64) * 0x10040;
    switch (random() % 3) {
      case 0: {
        const u64 clusters = random() % 8;
        const bool owned = (random() & 1) != 0;
        directory.set(line, {clusters, owned});
        reference.erase(line);
        if (clusters != 0) reference[line] = {clusters, owned};
        break;
      }
      case 1: {
        const unsigned cluster = static_cast<unsigned>(random() % 3);
        directory.remove(line, cluster);
        const auto found = reference.find(line);
        if (found == reference.end()) break;
        found->second.first &= ~(u64{1} << cluster);
        if (found->second.first == 0) reference.erase(found);
        break;
      }
      default: {
        const auto found = reference.find(line);
        const Directory::Entry entry = directory.find(line);
        ASSERT_EQ(entry.clusters, found == reference.end() ? 0 : found->second.first);
        ASSERT_EQ(entry.owned, found != reference.end() && found->second.second);
      }
    }
    ASSERT_EQ(directory.size(), reference.size());
  }
}

TEST(CombiningBuffers, TheOldestLineLeaves) {
  CombiningBuffers buffers(2);
  EXPECT_EQ(buffers.begin(0x40), CombiningBuffers::none);
  EXPECT_EQ(buffers.begin(0x80), CombiningBuffers::none);
  EXPECT_TRUE(buffers.holds(0x40));
  EXPECT_EQ(buffers.begin(0xc0), 0x40u);
  EXPECT_EQ(buffers.take(), 0x80u);
  EXPECT_EQ(buffers.take(), 0xc0u);
  EXPECT_EQ(buffers.take(), CombiningBuffers::none);
}

}  // namespace
}  // namespace bunshin
