// The caches of translation: replacement, guests' tags, both dimensions behind one MMU, counters by page size.

#include <gtest/gtest.h>

#include "mmu/mmu.h"
#include "two_dimensions.h"

namespace bunshin {
namespace {

constexpr Access read{AccessKind::Read};
constexpr Access write{AccessKind::Write};

u64 page(unsigned i) { return u64{i} << page_shift; }

TlbParameters one_set(const std::string& replacement) {
  TlbParameters p{{4, 4}, {4, 4}, {4, 4}};
  p.replacement = replacement;
  return p;
}

/// Which of pages 0 to 4 a first level of four ways holds after 0 1 2 3, 0 again, and 4.
std::string survivors(const std::string& replacement, u64 seed = 1) {
  TlbParameters p = one_set(replacement);
  p.seed = seed;
  FirstLevelTlb tlb(p);
  for (const unsigned i : {0u, 1u, 2u, 3u, 0u, 4u}) tlb.access(page(i), page_shift, 0);
  std::string held;
  for (unsigned i = 0; i < 5; ++i) {
    FirstLevelTlb copy = tlb;
    held += copy.access(page(i), page_shift, 0) ? '1' : '0';
  }
  return held;
}

TEST(TlbReplacement, LruKeepsWhatWasUsed) { EXPECT_EQ(survivors("lru"), "10111"); }
TEST(TlbReplacement, FifoDropsTheOldestEvenIfUsed) { EXPECT_EQ(survivors("fifo"), "01111"); }
TEST(TlbReplacement, NruForgetsUseWhenAllWereUsed) { EXPECT_EQ(survivors("nru"), "01111"); }

TEST(TlbReplacement, NruSparesWhatWasUsedSinceThen) {
  FirstLevelTlb tlb(one_set("nru"));
  // 4 displaces 0 and clears the others' bits; 1 is used again, so 2 is next.
  for (const unsigned i : {0u, 1u, 2u, 3u, 4u, 1u, 5u}) tlb.access(page(i), page_shift, 0);
  EXPECT_TRUE(tlb.access(page(1), page_shift, 0));
  EXPECT_FALSE(tlb.access(page(2), page_shift, 0));
}

TEST(TlbReplacement, RandomRepeatsWithItsSeedAndVariesWithIt) {
  std::string all;
  for (u64 seed = 1; seed <= 16; ++seed) {
    EXPECT_EQ(survivors("random", seed), survivors("random", seed));
    all += survivors("random", seed) + ' ';
  }
  EXPECT_NE(all.find("01111"), std::string::npos);
  EXPECT_NE(all.find("11101"), std::string::npos);
}

TEST(TlbReplacement, TheArchitecturalTlbFollowsItToo) {
  for (const std::string policy : {"lru", "fifo"}) {
    Tlb tlb(one_set(policy));
    TlbEntry victim;
    for (unsigned i = 0; i < 4; ++i) {
      TlbEntry e;
      e.linear = page(i);
      tlb.insert(e, victim);
    }
    tlb.lookup(Linear(page(0)));
    TlbEntry fifth;
    fifth.linear = page(4);
    tlb.insert(fifth, victim);
    EXPECT_EQ(victim.linear, policy == "lru" ? page(1) : page(0)) << policy;
  }
}

TEST(GuestTags, KeepTlbEntriesApartAndFlushesToThemselves) {
  Tlb tlb(TlbParameters{});
  TlbEntry victim;
  const auto insert = [&](u32 tag, bool global) {
    tlb.set_tag(tag);
    TlbEntry e;
    e.linear = page(7);
    e.physical = page(100 + tag);
    e.global = global;
    tlb.insert(e, victim);
  };
  const auto found = [&](u32 tag) {
    tlb.set_tag(tag);
    const TlbEntry* e = tlb.lookup(Linear(page(7)));
    return e == nullptr ? 0 : e->physical / page_size;
  };
  insert(0, false);
  insert(1, true);
  insert(2, false);
  EXPECT_EQ(found(0), 100u);
  EXPECT_EQ(found(1), 101u);
  EXPECT_EQ(found(2), 102u);
  tlb.set_tag(2);
  tlb.flush_non_global();
  EXPECT_EQ(found(2), 0u);
  EXPECT_EQ(found(0), 100u) << "not the other's";
  tlb.set_tag(1);
  tlb.flush_pcid(0);
  EXPECT_EQ(found(1), 101u) << "it is global";
  tlb.flush_page(Linear(page(7)), 0, true);
  EXPECT_EQ(found(1), 0u);
  insert(1, false);
  tlb.flush_tag(0);
  EXPECT_EQ(found(0), 0u);
  EXPECT_EQ(found(1), 101u);
  tlb.flush_all();
  EXPECT_EQ(found(1), 0u);
}

TEST(GuestTags, KeepFirstLevelsApart) {
  FirstLevelTlb tlb(TlbParameters{});
  tlb.access(page(1), page_shift, 0);
  tlb.set_tag(5);
  EXPECT_FALSE(tlb.access(page(1), page_shift, 0));
  tlb.set_tag(0);
  EXPECT_TRUE(tlb.access(page(1), page_shift, 0));
}

TEST(FirstLevelCounters, AreByPageSize) {
  FirstLevelTlb tlb(TlbParameters{{4, 4}, {4, 4}, {0, 1}});
  for (const unsigned shift : {12u, 12u, 21u, 30u, 12u, 21u, 30u}) tlb.access(0, shift, 0);
  StatRegistry registry;
  tlb.register_statistics(registry, "");
  const auto stats = registry.snapshot();
  const auto value = [&](const char* name) { return std::get<u64>(stats.at(name).value); };
  EXPECT_EQ(value("small.hits"), 2u);
  EXPECT_EQ(value("small.misses"), 1u);
  EXPECT_EQ(value("large.hits"), 1u);
  EXPECT_EQ(value("large.misses"), 1u);
  EXPECT_EQ(value("giant.hits"), 0u);
  EXPECT_EQ(value("giant.misses"), 2u);
}

/// The two dimensions behind an MMU with timed caches.
class VirtualizedMmu : public testing::Test {
 protected:
  VirtualizedMmu() {
    context_ = both_.path.context();
    context_.guest_tag = 3;
    mmu_.set_context(context_);
    log_.reserve();
    mmu_.set_log(&log_);
    mmu_.set_timed_caches(&caches_);
    mmu_.set_second_stage(&both_.stage);
  }
  /// Table references of the next access.
  u64 references(const Access& access = read) {
    log_.clear();
    HostPhysical out;
    if (mmu_.translate(Linear(both_.linear()), access, out)) return 1000;
    physical_ = out.page().value;
    u64 count = 0;
    for (const MemoryReference& r : log_.references()) count += r.kind == MemoryReference::Kind::TableRead;
    return count;
  }

  TwoDimensions both_{PagingMode::FourLevel, 1, PagingMode::Ept4Level, 1};
  PagingContext context_;
  ReferenceLog log_;
  Mmu mmu_{TlbParameters{}, both_.memory};
  Mmu::TimedCaches caches_{FirstLevelTlb(TlbParameters{}),
                           FirstLevelTlb(TlbParameters{}),
                           StructureCache({}),
                           0,
                           0,
                           StructureCache({}),
                           NestedTlb({})};
  u64 physical_ = 0;
};

TEST_F(VirtualizedMmu, ColdWalkFindsWhatItsOwnEntriesLetItSkip) {
  // The second stage's structure caches serve already within the one walk: tables lie near each other.
  const u64 cold = references();
  EXPECT_EQ(physical_, u64{5} << 20);
  EXPECT_LT(cold, 24u);
  EXPECT_EQ(references(), 0u) << "the TLB has the combined translation";
}

TEST_F(VirtualizedMmu, GuestPhysicalTranslationsOutliveTheGuestsFlush) {
  references();
  mmu_.flush_all();
  EXPECT_EQ(references(), 4u + 1) << "the guest's own tables, and the data's page from the second stage's last level";
  mmu_.flush_guest_linear(3);
  EXPECT_EQ(references(), 4u + 1);
}

TEST_F(VirtualizedMmu, TheHypervisorsFlushesForgetWhatTheyNameAndNoMore) {
  const u64 cold = references();
  const u64 stage = both_.stage.context().tag;
  mmu_.flush_second_stage(stage + 1);
  mmu_.flush_guest_linear(4);
  mmu_.flush_guest_page(4, Linear(both_.linear()));
  mmu_.flush_guest_page(3, Linear(both_.linear() + page_size));
  EXPECT_EQ(references(), 0u);
  mmu_.flush_second_stage(stage);
  EXPECT_EQ(references(), 0u) << "combined translations are the guest's, and INVEPT flushes them by tag";
  mmu_.flush_guest_page(3, Linear(both_.linear()));
  EXPECT_EQ(references(), cold);
  mmu_.flush_guest_non_global(3);
  EXPECT_EQ(references(), 4u + 1);
  mmu_.flush_all_guests();
  EXPECT_EQ(references(), cold);
}

TEST_F(VirtualizedMmu, AGuestsFlushLeavesItsNeighboursStructureCaches) {
  references();
  context_.guest_tag = 4;
  mmu_.set_context(context_);
  const u64 other = references();
  mmu_.flush_all();
  context_.guest_tag = 3;
  mmu_.set_context(context_);
  EXPECT_EQ(references(), 0u);
  mmu_.flush_guest_page(3, Linear(both_.linear()));
  EXPECT_EQ(references(), other);
}

TEST_F(VirtualizedMmu, AnotherGuestsTranslationIsNotUsed) {
  references();
  context_.guest_tag = 4;
  mmu_.set_context(context_);
  EXPECT_GT(references(), 0u);
}

TEST_F(VirtualizedMmu, WhatTheSecondStageForbidsIsAskedAgainAndRefused) {
  const u64 leaf = both_.stage_tables.entry_on_path(TwoDimensions::data, 1);
  both_.stage_tables.set(leaf, both_.stage_tables.get(leaf) & ~u64{ept::W});
  EXPECT_NE(references(read), 1000u);
  EXPECT_EQ(references(write), 1000u);
  EXPECT_TRUE(mmu_.second_stage_faulted());
  EXPECT_EQ(both_.stage.fault().cause, SecondStageFault::Cause::EptViolation);
}

TEST_F(VirtualizedMmu, RealModeGuestsAreTranslatedToo) {
  PagingContext off;
  off.guest_tag = 3;
  mmu_.set_context(off);
  HostPhysical out;
  ASSERT_FALSE(mmu_.translate(Linear(TwoDimensions::data + 5), read, out).has_value());
  EXPECT_EQ(out.value, (u64{5} << 20) + 5);
}

TEST(VirtualizedMmuSizes, AnUnevenPairIsKeptAtASizeThatAnArrayIsFor) {
  // A 4 MiB page of the guest on 2 MiB pages: the TLB's large array is of 4 MiB pages.
  TwoDimensions both(PagingMode::TwoLevel, 2, PagingMode::Ept4Level, 2);
  Mmu mmu(TlbParameters{}, both.memory);
  PagingContext context = both.path.context();
  context.guest_tag = 1;
  mmu.set_context(context);
  mmu.set_second_stage(&both.stage);
  HostPhysical first;
  HostPhysical again;
  ASSERT_FALSE(mmu.translate(Linear(both.linear() + 8), read, first).has_value());
  ASSERT_FALSE(mmu.translate(Linear(both.linear() + 8), read, again).has_value());
  EXPECT_EQ(first, again);
  EXPECT_EQ(first.value, both.walker.peek(Linear(both.linear() + 8))->value);
}

}  // namespace
}  // namespace bunshin
