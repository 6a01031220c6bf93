// The TLB as guest software sees it, and the invariant that a fast hit is a TLB hit.

#include "mmu/mmu.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "table_builder.h"

namespace bunshin {
namespace {

constexpr u64 mib = 1 << 20;
constexpr Access read{AccessKind::Read, false, false};
constexpr Access write{AccessKind::Write, false, false};
constexpr Access execute{AccessKind::Execute, false, false};
constexpr Access user_read{AccessKind::Read, true, false};
constexpr u64 frame_a = 0x80000, frame_b = 0x81000;

class MmuTest : public testing::Test {
 protected:
  explicit MmuTest(const TlbParameters& parameters = {}) : mmu_(parameters, memory_) {
    map(frame_a);
    context_ = path_.context();
    context_.global_pages = true;
    context_.write_protect = true;
    mmu_.set_context(context_);
  }

  void map(u64 frame, u64 bits = TablePath::permissive) { path_.set(1, frame | bits); }
  void use_pcid(u16 pcid) {
    context_.pcid = pcid;
    mmu_.set_context(context_);
  }
  void use_guest(u32 tag) {
    context_.guest_tag = tag;
    mmu_.set_context(context_);
  }
  /// Physical page of the address, or its error code with bit 63 set.
  u64 go(const Access& access, u64 linear) {
    HostPhysical out;
    const auto fault = mmu_.translate(Linear(linear), access, out);
    return fault ? u64{1} << 63 | fault->error_code : out.page().value;
  }
  u64 go(const Access& access) { return go(access, address_); }
  static u64 fault(u32 code) { return u64{1} << 63 | code; }
  bool fast_reads(u64 linear) { return mmu_.fast().read(linear, 1) != nullptr; }
  bool fast_writes(u64 linear) { return mmu_.fast().write(linear, 1) != nullptr; }

  PhysicalMemory memory_{4 * mib};
  TablePath path_{memory_, PagingMode::FourLevel};
  PagingContext context_;
  Mmu mmu_;
  const u64 address_ = path_.linear();
};

/// Counts what it is told.
class Listener final : public WalkListener {
 public:
  void walk_began(Linear address, const Access&, const PagingContext&) override { began = address.value; }
  void reference(const WalkReference& reference) override { updates += reference.update ? 1 : 0, ++references; }
  void walk_ended(const WalkResult& result) override { ended = result.outcome; }

  u64 began = 0;
  unsigned references = 0, updates = 0;
  std::optional<WalkOutcome> ended;
};

TEST_F(MmuTest, ListenerIsToldOfEachWalkAndOfNothingElse) {
  Listener listener;
  mmu_.set_walk_listener(&listener);
  go(read);
  EXPECT_EQ(listener.began, address_);
  EXPECT_EQ(listener.references - listener.updates, 4u);
  EXPECT_EQ(listener.updates, 4u);
  EXPECT_EQ(listener.ended, WalkOutcome::Translated);
  go(read);
  EXPECT_EQ(listener.references, 8u);
  mmu_.set_walk_listener(nullptr);
  mmu_.flush_all();
  go(read);
  EXPECT_EQ(listener.references, 8u);
}

TEST_F(MmuTest, AVisitToAGuestLeavesTheHostsFastHitsAlone) {
  go(execute);
  const u64 epoch = mmu_.epoch();
  use_guest(5);
  EXPECT_FALSE(fast_reads(address_));
  map(frame_b);
  EXPECT_EQ(go(read), frame_b);
  use_guest(0);
  EXPECT_TRUE(fast_reads(address_));
  EXPECT_EQ(mmu_.epoch(), epoch);
  EXPECT_EQ(go(read), frame_a);
  use_guest(5);
  EXPECT_TRUE(fast_reads(address_));
  use_guest(6);
  EXPECT_FALSE(fast_reads(address_));
}

TEST_F(MmuTest, FlushingAGuestFromTheHostReachesItsFastHits) {
  go(read);
  use_guest(5);
  go(execute);
  const u64 epoch = mmu_.epoch();
  use_guest(0);
  mmu_.flush_guest(5);
  EXPECT_TRUE(fast_reads(address_));
  use_guest(5);
  EXPECT_FALSE(fast_reads(address_));
  EXPECT_NE(mmu_.epoch(), epoch);
}

TEST_F(MmuTest, ListenerIsToldOfFaults) {
  Listener listener;
  mmu_.set_walk_listener(&listener);
  go(read, 0);
  EXPECT_EQ(listener.ended, WalkOutcome::PageFault);
}

TEST_F(MmuTest, StaleEntryKeepsTranslating) {
  EXPECT_EQ(go(read), frame_a);
  map(frame_b);
  EXPECT_EQ(go(read), frame_a);
}

TEST_F(MmuTest, StaleRightsKeepPermittingUntilInvalidated) {
  EXPECT_EQ(go(write), frame_a);
  map(frame_a, pte::P);
  EXPECT_EQ(go(write), frame_a);
  mmu_.flush_page(Linear(address_));
  EXPECT_EQ(go(write), fault(page_fault::P | page_fault::W));
}

TEST_F(MmuTest, GrantedRightsNeedNoInvalidation) {
  map(frame_a, pte::P);
  EXPECT_EQ(go(read), frame_a);
  map(frame_a);
  EXPECT_EQ(go(write), frame_a);
}

TEST_F(MmuTest, FaultThroughAStaleEntryDropsIt) {
  map(frame_a, pte::P);
  EXPECT_EQ(go(read), frame_a);
  map(frame_b, pte::P);
  EXPECT_EQ(go(write), fault(page_fault::P | page_fault::W));
  EXPECT_FALSE(fast_reads(address_));
  EXPECT_EQ(go(read), frame_b);
}

TEST_F(MmuTest, FirstWriteAfterReadSetsDirty) {
  EXPECT_EQ(go(read), frame_a);
  EXPECT_EQ(path_.get(1) & (pte::A | pte::D), pte::A);
  EXPECT_FALSE(fast_writes(address_));
  EXPECT_EQ(go(write), frame_a);
  EXPECT_EQ(path_.get(1) & (pte::A | pte::D), pte::A | pte::D);
  EXPECT_TRUE(fast_writes(address_));
}

TEST_F(MmuTest, ClearedDirtyIsNotSetAgainWithoutInvalidation) {
  EXPECT_EQ(go(write), frame_a);
  map(frame_a);
  EXPECT_EQ(go(write), frame_a);
  EXPECT_EQ(path_.get(1) & pte::D, 0u);
}

TEST_F(MmuTest, FastHitAddressesTheMappedPage) {
  EXPECT_EQ(go(write), frame_a);
  *mmu_.fast().write(address_ + 0x10, 1) = 0x5a;
  EXPECT_EQ(memory_.page(HostPhysical(frame_a)).host[0x10], 0x5a);
}

TEST_F(MmuTest, FastAccessStopsAtThePagesEnd) {
  EXPECT_EQ(go(read), frame_a);
  EXPECT_NE(mmu_.fast().read(address_ + 0xff8, 8), nullptr);
  EXPECT_EQ(mmu_.fast().read(address_ + 0xff9, 8), nullptr);
}

/// What each flush does to a global and a non-global entry of PCID 1, seen from PCID 1.
struct FlushCase {
  const char* name;
  void (*flush)(Mmu&, Linear);
  bool drops_non_global;
  bool drops_global;
};

class MmuFlush : public MmuTest, public testing::WithParamInterface<FlushCase> {};

TEST_P(MmuFlush, DropsWhatTheManualSays) {
  use_pcid(1);
  for (const bool global : {false, true}) {
    mmu_.flush_all();
    map(frame_a, TablePath::permissive | (global ? pte::G : 0));
    EXPECT_EQ(go(read), frame_a);
    map(frame_b, TablePath::permissive);
    GetParam().flush(mmu_, Linear(address_));
    const bool dropped = global ? GetParam().drops_global : GetParam().drops_non_global;
    if (dropped) {
      EXPECT_FALSE(fast_reads(address_));
    }
    EXPECT_EQ(go(read), dropped ? frame_b : frame_a) << (global ? "global" : "non-global");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, MmuFlush,
    testing::Values(FlushCase{"All", [](Mmu& m, Linear) { m.flush_all(); }, true, true},
                    FlushCase{"NonGlobal", [](Mmu& m, Linear) { m.flush_non_global(); }, true, false},
                    FlushCase{"Pcid", [](Mmu& m, Linear) { m.flush_pcid(1); }, true, false},
                    FlushCase{"OtherPcid", [](Mmu& m, Linear) { m.flush_pcid(2); }, false, false},
                    FlushCase{"Page", [](Mmu& m, Linear a) { m.flush_page(a); }, true, true},
                    FlushCase{"OtherPage", [](Mmu& m, Linear a) { m.flush_page(a + page_size); }, false, false},
                    FlushCase{"PageOfPcid", [](Mmu& m, Linear a) { m.flush_page_of_pcid(a, 1); }, true, false},
                    FlushCase{"PageOfOtherPcid", [](Mmu& m, Linear a) { m.flush_page_of_pcid(a, 2); }, false, false}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST_F(MmuTest, PcidsDoNotSeeEachOther) {
  use_pcid(1);
  EXPECT_EQ(go(read), frame_a);
  map(frame_b);
  use_pcid(2);
  EXPECT_FALSE(fast_reads(address_));
  EXPECT_EQ(go(read), frame_b);
  use_pcid(1);
  EXPECT_EQ(go(read), frame_a);
}

TEST_F(MmuTest, GlobalEntriesServeEveryPcid) {
  map(frame_a, TablePath::permissive | pte::G);
  use_pcid(1);
  EXPECT_EQ(go(read), frame_a);
  map(frame_b);
  use_pcid(2);
  EXPECT_EQ(go(read), frame_a);
}

TEST_F(MmuTest, FlushedGlobalEntryDoesNotComeBackWithTheNextFill) {
  map(frame_a, TablePath::permissive | pte::G);
  EXPECT_EQ(go(read), frame_a);
  mmu_.flush_all();
  path_.set_index(1, 200, frame_b | TablePath::permissive);
  EXPECT_EQ(go(read, (address_ & ~u64{0x1ff000}) | u64{200} << 12), frame_b);
  map(frame_b);
  EXPECT_EQ(go(read), frame_b);
}

TEST_F(MmuTest, GlobalBitIsIgnoredWithoutPge) {
  context_.global_pages = false;
  mmu_.set_context(context_);
  map(frame_a, TablePath::permissive | pte::G);
  EXPECT_EQ(go(read), frame_a);
  map(frame_b);
  mmu_.flush_non_global();
  EXPECT_EQ(go(read), frame_b);
}

TEST_F(MmuTest, FlushingTheOtherPcidsPageLeavesOurs) {
  use_pcid(1);
  EXPECT_EQ(go(read), frame_a);
  use_pcid(2);
  EXPECT_EQ(go(read), frame_a);
  map(frame_b);
  mmu_.flush_page_of_pcid(Linear(address_), 1);
  EXPECT_EQ(go(read), frame_a);
  use_pcid(1);
  EXPECT_EQ(go(read), frame_b);
}

TEST_F(MmuTest, InvlpgAnywhereInALargePageDropsAllOfIt) {
  path_.set(2, pte::PS | TablePath::permissive);  // 2 MiB at physical 0
  const u64 base = address_ & ~u64{0x1fffff};
  EXPECT_EQ(go(read, base + 0x3000), 0x3000u);
  EXPECT_EQ(go(read, base + 0x7000), 0x7000u);
  EXPECT_TRUE(fast_reads(base + 0x3000));
  mmu_.flush_page(Linear(base + 0x1ff000));
  EXPECT_FALSE(fast_reads(base + 0x3000));
  EXPECT_FALSE(fast_reads(base + 0x7000));
}

TEST_F(MmuTest, PrivilegeSelectsTheFastCache) {
  map(frame_a, pte::P | pte::RW);
  EXPECT_EQ(go(read), frame_a);
  EXPECT_TRUE(fast_reads(address_));
  mmu_.set_privilege(true, false, false);
  EXPECT_FALSE(fast_reads(address_));
  EXPECT_EQ(go(user_read), fault(page_fault::P | page_fault::U));
  mmu_.set_privilege(false, false, false);
  EXPECT_EQ(go(read), frame_a);
  EXPECT_TRUE(fast_reads(address_));
}

TEST_F(MmuTest, SmapReliefDoesNotLeakOutOfAc) {
  context_.smap = true;
  context_.access_override = true;
  mmu_.set_context(context_);
  EXPECT_EQ(go(read), frame_a);
  EXPECT_TRUE(fast_reads(address_));
  mmu_.set_privilege(false, false, false);
  EXPECT_FALSE(fast_reads(address_));
  EXPECT_EQ(go(read), fault(page_fault::P));
}

TEST_F(MmuTest, ImplicitAccessFillsNothingForTheUser) {
  map(frame_a, pte::P | pte::RW);
  mmu_.set_privilege(true, false, false);
  EXPECT_EQ(go({AccessKind::Read, true, true}), frame_a);
  EXPECT_FALSE(fast_reads(address_));
}

TEST_F(MmuTest, AlignmentCheckAllowsNoFastHit) {
  EXPECT_EQ(go(user_read), frame_a);
  mmu_.set_privilege(true, true, true);
  EXPECT_EQ(go(user_read), frame_a);
  EXPECT_FALSE(fast_reads(address_));
  mmu_.set_privilege(true, false, false);
  EXPECT_TRUE(fast_reads(address_));
}

TEST_F(MmuTest, PkruChangeTakesEffectAtOnce) {
  context_.protection_keys = true;
  mmu_.set_context(context_);
  EXPECT_EQ(go(user_read), frame_a);
  context_.pkru = 1;
  context_.user = true;
  mmu_.set_context(context_);
  EXPECT_FALSE(fast_reads(address_));
  EXPECT_EQ(go(user_read), fault(page_fault::P | page_fault::U | page_fault::PK));
}

TEST_F(MmuTest, WriteProtectionOfSupervisorTakesEffectAtOnce) {
  map(frame_a, pte::P);
  context_.write_protect = false;
  mmu_.set_context(context_);
  EXPECT_EQ(go(write), frame_a);
  EXPECT_TRUE(fast_writes(address_));
  context_.write_protect = true;
  mmu_.set_context(context_);
  EXPECT_FALSE(fast_writes(address_));
  EXPECT_EQ(go(write), fault(page_fault::P | page_fault::W));
}

TEST_F(MmuTest, DevicePagesAreNeverFast) {
  map(0xfee0'0000);
  EXPECT_EQ(go(write), 0xfee0'0000u);
  EXPECT_FALSE(fast_reads(address_));
  EXPECT_FALSE(fast_writes(address_));
}

TEST_F(MmuTest, RomIsFastToReadOnly) {
  memory_.add_rom(HostPhysical(0xffff'f000), std::array<u8, 16>{0x11});
  map(0xffff'f000);
  EXPECT_EQ(go(write), 0xffff'f000u);
  EXPECT_FALSE(fast_writes(address_));
  ASSERT_TRUE(fast_reads(address_));
  EXPECT_EQ(*mmu_.fast().read(address_, 1), 0x11);
}

TEST_F(MmuTest, DecodedCodeEndsFastWrites) {
  EXPECT_EQ(go(write), frame_a);
  memory_.mark_code(HostPhysical(frame_a + 0x40), 8);
  mmu_.code_page_changed(HostPhysical(frame_a));
  EXPECT_FALSE(fast_writes(address_));
  EXPECT_TRUE(fast_reads(address_));
  EXPECT_EQ(go(write), frame_a);
  EXPECT_FALSE(fast_writes(address_));
  memory_.clear_code(HostPhysical(frame_a));
  mmu_.code_page_changed(HostPhysical(frame_a));
  EXPECT_EQ(go(write), frame_a);
  EXPECT_TRUE(fast_writes(address_));
}

TEST_F(MmuTest, ExecuteNeedsItsOwnPermission) {
  context_.no_execute = true;
  mmu_.set_context(context_);
  map(frame_a, TablePath::permissive | pte::XD);
  EXPECT_EQ(go(read), frame_a);
  EXPECT_EQ(mmu_.fast().execute(address_), nullptr);
  EXPECT_EQ(go(execute), fault(page_fault::P | page_fault::ID));
}

TEST_F(MmuTest, WithPagingOffEverythingIsItself) {
  context_.mode = PagingMode::None;
  mmu_.set_context(context_);
  EXPECT_EQ(go(read, 0x1234), 0x1000u);
  EXPECT_TRUE(fast_writes(0x1000));
  EXPECT_EQ(mmu_.fast().execute(0x1234), memory_.page(HostPhysical(0x1000)).host + 0x234);
  context_.mode = PagingMode::FourLevel;
  mmu_.set_context(context_);
  EXPECT_FALSE(fast_reads(0x1000));
}

TEST_F(MmuTest, SecondAccessNeedsNoWalk) {
  StatRegistry registry;
  mmu_.register_stats(registry, "core0.");
  go(read);
  go(read);
  const auto stats = registry.snapshot();
  EXPECT_EQ(std::get<u64>(stats.at("core0.tlb.hits").value), 1u);
  EXPECT_EQ(std::get<u64>(stats.at("core0.tlb.misses").value), 1u);
  EXPECT_EQ(std::get<u64>(stats.at("core0.walker.references").value), 4u);
}

TEST_F(MmuTest, HashTellsTlbContentsApart) {
  const auto hash = [this] {
    StateHash h;
    mmu_.hash(h);
    return h.value();
  };
  const u64 empty = hash();
  go(read);
  const u64 filled = hash();
  EXPECT_NE(filled, empty);
  mmu_.flush_page(Linear(address_));
  EXPECT_EQ(hash(), empty);
}

TEST_F(MmuTest, EpochChangesWhenAFetchedTranslationGoes) {
  go(execute);
  const u64 fetched = mmu_.epoch();
  go(execute);
  go(read, address_ + 0x8000'0000);
  EXPECT_EQ(mmu_.epoch(), fetched);
  mmu_.flush_page(Linear(address_));
  EXPECT_NE(mmu_.epoch(), fetched);
}

TEST_F(MmuTest, EpochSurvivesInvalidationOfData) {
  go(write);
  const u64 before = mmu_.epoch();
  mmu_.flush_page(Linear(address_));
  EXPECT_EQ(mmu_.epoch(), before);
}

TEST_F(MmuTest, EpochTellsPcidsApart) {
  use_pcid(1);
  const u64 one = mmu_.epoch();
  use_pcid(2);
  EXPECT_NE(mmu_.epoch(), one);
}

class SmallTlb : public MmuTest {
 protected:
  SmallTlb() : MmuTest({.small = {2, 2}, .large = {1, 1}, .giant = {0, 1}}) {
    for (unsigned i = 0; i < 3; ++i) path_.set_index(1, 100 + i, (frame_a + i * page_size) | TablePath::permissive);
  }
  u64 page(unsigned i) const { return (address_ & ~u64{0x1ff000}) | u64{100 + i} << 12; }
};

TEST_F(SmallTlb, EvictionIsLeastRecentlyUsedAndTakesTheFastEntry) {
  go(read, page(0));
  go(read, page(1));
  go(read, page(0));
  go(read, page(2));
  EXPECT_TRUE(fast_reads(page(0)));
  EXPECT_FALSE(fast_reads(page(1)));
  EXPECT_TRUE(fast_reads(page(2)));
}

TEST_F(SmallTlb, EvictionOfFetchedPageChangesTheEpoch) {
  go(execute, page(0));
  go(read, page(1));
  const u64 before = mmu_.epoch();
  go(read, page(2));
  EXPECT_NE(mmu_.epoch(), before);
}

TEST_F(SmallTlb, EvictionByAGuestTakesTheHostsFastEntry) {
  go(execute, page(0));
  const u64 epoch = mmu_.epoch();
  use_guest(5);
  go(read, page(1));
  go(read, page(2));
  use_guest(0);
  EXPECT_FALSE(fast_reads(page(0)));
  EXPECT_NE(mmu_.epoch(), epoch);
}

TEST_F(SmallTlb, EvictedLargePageLeavesNoFastEntry) {
  path_.set_index(2, 100, pte::PS | TablePath::permissive);
  path_.set_index(2, 101, pte::PS | TablePath::permissive);
  const u64 first = (address_ & ~u64{0x3fffffff}) | u64{100} << 21;
  const u64 second = (address_ & ~u64{0x3fffffff}) | u64{101} << 21;
  go(read, first);
  go(read, first + 0x5000);
  EXPECT_TRUE(fast_reads(first + 0x5000));
  go(read, second + 0x9000);
  EXPECT_FALSE(fast_reads(first));
  EXPECT_FALSE(fast_reads(first + 0x5000));
  EXPECT_TRUE(fast_reads(second + 0x9000));
}

TEST_F(SmallTlb, UncachedPageSizeIsNeverFast) {
  path_.set(3, pte::PS | TablePath::permissive);
  EXPECT_EQ(go(read), address_ & 0x3ffff000);
  EXPECT_FALSE(fast_reads(address_));
}

TEST(TlbParameters, ImpossibleGeometryIsRefused) {
  EXPECT_THROW(Tlb({.small = {1536, 7}}), std::runtime_error);
  EXPECT_THROW(Tlb({.small = {36, 12}}), std::runtime_error);
  EXPECT_THROW(Tlb({.small = {16, 0}}), std::runtime_error);
  EXPECT_NO_THROW(Tlb({.small = {64, 64}}));
}

TEST(Mmu4MiB, LargePagesOf32BitPagingAreOneEntry) {
  PhysicalMemory memory(4 * mib);
  TablePath path(memory, PagingMode::TwoLevel);
  path.set(2, pte::PS | TablePath::permissive);
  Mmu mmu({}, memory);
  mmu.set_context(path.context());
  const u64 base = path.linear() & ~u64{0x3fffff};
  HostPhysical out;
  ASSERT_FALSE(mmu.translate(Linear(base), read, out));
  path.set(2, 0);
  EXPECT_FALSE(mmu.translate(Linear(base + 0x3ff000), read, out));
  EXPECT_EQ(out.value, 0x3ff000u);
  mmu.flush_page(Linear(base + 0x200000));
  EXPECT_TRUE(mmu.translate(Linear(base), read, out));
}

}  // namespace
}  // namespace bunshin
