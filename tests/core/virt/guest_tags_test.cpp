#include "core/virt/guest_tags.h"

#include <gtest/gtest.h>

#include <set>

namespace bunshin {
namespace {

struct Tags {
  PhysicalMemory memory{u64{1} << 20};
  Mmu mmu{TlbParameters{}, memory};
  GuestTags tags{mmu};
};

TEST(GuestTags, ArePerIdentifierAndRoot) {
  Tags t;
  const u32 a = t.tags.use(1, 0x1000);
  EXPECT_NE(a, 0u);
  EXPECT_NE(t.tags.use(2, 0x1000), a);
  EXPECT_NE(t.tags.use(1, 0x2000), a);
  EXPECT_NE(t.tags.use(1, GuestTags::no_root), a);
  EXPECT_EQ(t.tags.use(1, 0x1000), a);
}

TEST(GuestTags, OfTheLeastRecentlyUsedIsTakenBack) {
  Tags t;
  const u32 first = t.tags.use(1, 0);
  std::set<u32> others;
  for (u16 i = 2; i <= 64; ++i) others.insert(t.tags.use(i, 0));
  EXPECT_FALSE(others.contains(first));
  EXPECT_EQ(t.tags.use(65, 0), first);
}

TEST(GuestTags, AreFlushedByWhatConcernsThem) {
  Tags t;
  const u32 a = t.tags.use(1, 0x1000), b = t.tags.use(1, 0x2000), c = t.tags.use(2, 0x1000);
  const auto flushed = [&](auto concerns) {
    std::set<u32> tags;
    t.tags.flush_if(concerns, [&](u32 tag) { tags.insert(tag); });
    return tags;
  };
  EXPECT_EQ(flushed([](u16 identifier, u64) { return identifier == 1; }), (std::set<u32>{a, b}));
  EXPECT_EQ(flushed([](u16, u64 root) { return root == 0x1000; }), (std::set<u32>{a, c}));
}

}  // namespace
}  // namespace bunshin
