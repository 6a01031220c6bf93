// The second dimension: how many references it takes, what it refuses and why, and what it sets.

#include "mmu/second_stage.h"

#include <random>

#include "ept_reference.h"
#include "paging_reference.h"
#include "two_dimensions.h"

namespace bunshin {
namespace {

constexpr u64 mib = 1 << 20;

struct Shape {
  PagingMode mode;
  unsigned leaf;        ///< level of the entry that maps the page
  unsigned references;  ///< of one dimension alone
};

// The guest's PAE root is in registers; the second stage's is read.
constexpr std::array guests{Shape{PagingMode::TwoLevel, 1, 2},  Shape{PagingMode::TwoLevel, 2, 1},
                            Shape{PagingMode::Pae, 1, 2},       Shape{PagingMode::Pae, 2, 1},
                            Shape{PagingMode::FourLevel, 1, 4}, Shape{PagingMode::FourLevel, 2, 3},
                            Shape{PagingMode::FourLevel, 3, 2}, Shape{PagingMode::FiveLevel, 1, 5},
                            Shape{PagingMode::FiveLevel, 2, 4}, Shape{PagingMode::FiveLevel, 3, 3}};
constexpr std::array stages{
    Shape{PagingMode::TwoLevel, 1, 2},  Shape{PagingMode::TwoLevel, 2, 1},  Shape{PagingMode::Pae, 1, 3},
    Shape{PagingMode::Pae, 2, 2},       Shape{PagingMode::FourLevel, 1, 4}, Shape{PagingMode::FourLevel, 2, 3},
    Shape{PagingMode::FourLevel, 3, 2}, Shape{PagingMode::FiveLevel, 1, 5}, Shape{PagingMode::FiveLevel, 3, 3},
    Shape{PagingMode::Ept4Level, 1, 4}, Shape{PagingMode::Ept4Level, 2, 3}, Shape{PagingMode::Ept4Level, 3, 2},
    Shape{PagingMode::Ept5Level, 1, 5}, Shape{PagingMode::Ept5Level, 2, 4}};

std::string name_of(const Shape& guest, const Shape& stage) {
  return std::string(paging_format(guest.mode).name) + '/' + std::to_string(guest.leaf) + " on " +
         std::string(paging_format(stage.mode).name) + '/' + std::to_string(stage.leaf);
}

TEST(TwoDimensionalWalk, MakesNmPlusNPlusMReferences) {
  for (const Shape& guest : guests) {
    for (const Shape& stage : stages) {
      TwoDimensions both(guest.mode, guest.leaf, stage.mode, stage.leaf);
      const WalkResult result = both.walk();
      ASSERT_EQ(result.outcome, WalkOutcome::Translated) << name_of(guest, stage);
      const unsigned n = guest.references;
      const unsigned m = stage.references;
      EXPECT_EQ(both.observer.tables(1), n) << name_of(guest, stage);
      EXPECT_EQ(both.observer.tables(), n * m + n + m) << name_of(guest, stage);
      EXPECT_EQ(both.walker.references() + both.stage.references(), n * m + n + m) << name_of(guest, stage);
    }
  }
}

TEST(TwoDimensionalWalk, PublishedCounts) {
  const auto count = [](PagingMode guest, unsigned guest_leaf, PagingMode stage, unsigned stage_leaf) {
    TwoDimensions both(guest, guest_leaf, stage, stage_leaf);
    both.walk();
    return both.observer.tables();
  };
  EXPECT_EQ(count(PagingMode::FourLevel, 1, PagingMode::Ept4Level, 1), 24u);
  EXPECT_EQ(count(PagingMode::FourLevel, 1, PagingMode::FourLevel, 1), 24u);
  EXPECT_EQ(count(PagingMode::FiveLevel, 1, PagingMode::Ept5Level, 1), 35u);
  EXPECT_EQ(count(PagingMode::FourLevel, 2, PagingMode::Ept4Level, 2), 15u);
  EXPECT_EQ(count(PagingMode::FourLevel, 3, PagingMode::Ept4Level, 3), 8u);
}

TEST(TwoDimensionalWalk, PaeRootInMemoryIsAThirdLevel) {
  TwoDimensions both(PagingMode::Pae, 1, PagingMode::FourLevel, 1);
  PagingContext context = both.path.context();
  context.pdptes_in_memory = true;
  const u64 entry = TablePath::table(2) | pte::P;
  both.stage_tables.set(both.path.entry_address(3) + mib, entry);
  both.walker.set_context(context);
  ASSERT_EQ(both.walk().outcome, WalkOutcome::Translated);
  EXPECT_EQ(both.observer.tables(), 19u);
}

TEST(TwoDimensionalWalk, WithoutGuestPagingOnlyTheStageIsRead) {
  TwoDimensions both(PagingMode::FourLevel, 1, PagingMode::Ept4Level, 2);
  both.walker.set_context({});
  const WalkResult result = both.walker.walk(Linear(TwoDimensions::data + 0x5678), {});
  ASSERT_EQ(result.outcome, WalkOutcome::Translated);
  EXPECT_EQ(result.translation.page.value, TwoDimensions::data);
  EXPECT_EQ(result.translation.shift, 21);
  EXPECT_EQ(both.observer.tables(), 3u);
}

TEST(TwoDimensionalWalk, OrderIsThatOfTheTextbooksGrid) {
  TwoDimensions both(PagingMode::FourLevel, 1, PagingMode::Ept4Level, 1);
  both.walk();
  ASSERT_EQ(both.observer.seen.size(), 24u);
  for (unsigned i = 0; i < 24; ++i) {
    const bool guest_table = i % 5 == 4;
    EXPECT_EQ(both.observer.seen[i].dimension, guest_table ? 1 : 2) << i;
    EXPECT_EQ(both.observer.seen[i].level, guest_table ? 4 - i / 5 : 4 - i % 5) << i;
  }
}

TEST(TwoDimensionalWalk, PageIsTheSmallerOfTheTwo) {
  EXPECT_EQ(TwoDimensions(PagingMode::FourLevel, 2, PagingMode::Ept4Level, 1).walk().translation.shift, 12);
  EXPECT_EQ(TwoDimensions(PagingMode::FourLevel, 1, PagingMode::Ept4Level, 2).walk().translation.shift, 12);
  EXPECT_EQ(TwoDimensions(PagingMode::FourLevel, 3, PagingMode::Ept4Level, 2).walk().translation.shift, 21);
}

TEST(TwoDimensionalWalk, PeekAgreesAndTouchesNothing) {
  TwoDimensions both(PagingMode::FourLevel, 1, PagingMode::Ept4Level, 1);
  const auto peeked = both.walker.peek(Linear(both.linear()));
  ASSERT_TRUE(peeked.has_value());
  EXPECT_TRUE(both.observer.seen.empty());
  EXPECT_EQ(peeked->page(), both.walk().translation.page);
}

class EptRights : public testing::Test {
 protected:
  void use(bool accessed_dirty) {
    both_.stage.set_context(
        {.mode = PagingMode::Ept4Level, .root = both_.stage_tables.root(), .accessed_dirty = accessed_dirty});
  }
  /// Leaf entry of the stage for the guest's table of `level`.
  u64 table_leaf(unsigned level) const { return both_.stage_tables.entry_on_path(TablePath::table(level), 1); }
  void protect(u64 where) { both_.stage_tables.set(where, both_.stage_tables.get(where) & ~u64{ept::W}); }

  TwoDimensions both_{PagingMode::FourLevel, 1, PagingMode::Ept4Level, 1};
};

TEST_F(EptRights, TablesThatMayOnlyBeReadSufficeWhileNothingIsSet) {
  protect(table_leaf(2));
  EXPECT_EQ(both_.walk().outcome, WalkOutcome::Translated);
}

TEST_F(EptRights, TableAccessesAreWritesWhenAAndDAreInUse) {
  use(true);
  protect(table_leaf(2));
  EXPECT_EQ(both_.walk().outcome, WalkOutcome::SecondStageFault);
  EXPECT_EQ(both_.stage.fault().cause, SecondStageFault::Cause::EptViolation);
  EXPECT_EQ(both_.stage.fault().address.value, both_.path.entry_address(2));
  // Read and write at once, readable and executable, a linear address, not its final access.
  EXPECT_EQ(both_.stage.fault().qualification, 0x3u | 0x28u | 0x80u);
}

TEST_F(EptRights, SettingAInAProtectedTableIsAViolationOfWriting) {
  const u64 entry = both_.path.entry_address(2) + mib;
  both_.stage_tables.set(entry, both_.stage_tables.get(entry) & ~u64{pte::A});
  protect(table_leaf(2));
  EXPECT_EQ(both_.walk().outcome, WalkOutcome::SecondStageFault);
  EXPECT_EQ(both_.stage.fault().qualification, 0x2u | 0x28u | 0x80u);
}

TEST_F(EptRights, LoadingPdptesIsAReadEvenThen) {
  use(true);
  protect(table_leaf(3));
  std::array<u64, 4> pdptes{};
  EXPECT_TRUE(both_.walker.load_pdptes(TablePath::table(3), 46, pdptes));
  both_.stage_tables.set(table_leaf(3), 0);
  EXPECT_FALSE(both_.walker.load_pdptes(TablePath::table(3), 46, pdptes));
  EXPECT_EQ(both_.stage.fault().qualification, 0x1u) << "no linear address";
}

TEST_F(EptRights, GuestTablesGetDirtyAndTheDataOnlyWhenWritten) {
  use(true);
  const u64 data_leaf = both_.stage_tables.entry_on_path(TwoDimensions::data, 1);
  WalkResult result = both_.walk(AccessKind::Read);
  EXPECT_EQ(both_.stage_tables.get(table_leaf(1)) & (ept::A | ept::D), ept::A | ept::D);
  EXPECT_EQ(both_.stage_tables.get(data_leaf) & (ept::A | ept::D), ept::A);
  EXPECT_FALSE(result.translation.dirty);
  result = both_.walk(AccessKind::Write);
  EXPECT_EQ(both_.stage_tables.get(data_leaf) & (ept::A | ept::D), ept::A | ept::D);
  EXPECT_TRUE(result.translation.dirty);
}

TEST_F(EptRights, NothingIsSetWithoutBit6OfTheEptp) {
  both_.walk(AccessKind::Write);
  EXPECT_EQ(both_.stage_tables.get(table_leaf(1)) & (ept::A | ept::D), 0u);
}

TEST_F(EptRights, TheTranslationSaysWhatTheStagePermits) {
  protect(both_.stage_tables.entry_on_path(TwoDimensions::data, 1));
  EXPECT_EQ(both_.walk().translation.stage_kinds, kind_bit(AccessKind::Read) | kind_bit(AccessKind::Execute));
  EXPECT_EQ(both_.walk(AccessKind::Write).outcome, WalkOutcome::SecondStageFault);
  EXPECT_EQ(both_.stage.fault().qualification, 0x2u | 0x28u | 0x180u);
}

TEST_F(EptRights, AddressesBeyondTheTablesAreViolations) {
  const SecondStageResult result = both_.stage.translate(GuestPhysical(u64{1} << 48), SecondStageAccess::Read);
  EXPECT_TRUE(result.faulted);
  EXPECT_EQ(both_.stage.fault().qualification, 0x181u);
}

TEST(NestedPaging, TableAccessesAreUserWrites) {
  TwoDimensions both(PagingMode::FourLevel, 1, PagingMode::FourLevel, 1);
  const u64 leaf = both.stage_tables.entry_on_path(TablePath::table(2), 1);
  both.stage_tables.set(leaf, both.stage_tables.get(leaf) & ~u64{pte::RW});
  EXPECT_EQ(both.walk().outcome, WalkOutcome::SecondStageFault);
  EXPECT_EQ(both.stage.fault().cause, SecondStageFault::Cause::NestedPageFault);
  EXPECT_EQ(both.stage.fault().qualification, u64{1} << 33 | page_fault::P | page_fault::W | page_fault::U);
}

/// Random entries on one path of tables; every access kind; both opinions.
class RandomStage : public testing::Test {
 protected:
  static constexpr u64 address = 0x0000'1234'5678'9abc;

  void randomize(StageTables& tables, unsigned levels, bool is_ept) {
    u64 table = tables.root();
    for (unsigned level = levels; level >= 1; --level) {
      const u64 where = table + (address >> tables.shift(level) & 0x1ff) * 8;
      const u64 next = 3 * mib + level * page_size;
      // Mostly permissive, with a few bits flipped anywhere.
      u64 entry = next | tables.permissive();
      if (is_ept && level == 1) entry |= 6 << ept::type_shift;
      if (level > 1 && random_() % 4 == 0) entry = (entry & ~u64{0x3fff'f000}) | pte::PS | (u64{1} << 30);
      if (random_() % 4 == 0) entry ^= u64{1} << random_() % 64;
      if (random_() % 16 == 0) entry ^= random_() & 0xff;
      tables.set(where, entry);
      table = next;
    }
  }

  std::mt19937_64 random_{42};
};

TEST_F(RandomStage, EptAgreesWithTheReference) {
  unsigned translated = 0;
  unsigned violations = 0;
  unsigned misconfigured = 0;
  for (unsigned round = 0; round < 4'000; ++round) {
    const bool five = round % 2 == 1;
    PhysicalMemory memory(8 * mib);
    StageTables tables(memory, five ? PagingMode::Ept5Level : PagingMode::Ept4Level);
    randomize(tables, five ? 5 : 4, true);
    SecondStageContext c;
    c.mode = five ? PagingMode::Ept5Level : PagingMode::Ept4Level;
    c.root = tables.root();
    c.accessed_dirty = random_() % 2 != 0;
    c.execute_only = random_() % 2 != 0;
    c.large_pages = random_() % 4 != 0;
    c.gigabyte_pages = random_() % 2 != 0;
    c.physical_bits = 36 + static_cast<unsigned>(random_() % 17);
    const auto kind = static_cast<AccessKind>(random_() % 3);
    const EptAnswer expected = ept_reference(memory, c, address, kind);
    SecondStageWalker stage(memory);
    stage.set_context(c);
    const auto access = static_cast<SecondStageAccess>(unsigned(SecondStageAccess::Read) + unsigned(kind));
    const SecondStageResult got = stage.translate(GuestPhysical(address), access);
    ASSERT_EQ(got.faulted, expected.misconfigured || expected.violation) << round;
    if (got.faulted) {
      ASSERT_EQ(stage.fault().cause == SecondStageFault::Cause::EptMisconfiguration, expected.misconfigured) << round;
      ASSERT_EQ(stage.fault().qualification, expected.qualification) << round;
      ++(expected.misconfigured ? misconfigured : violations);
    } else {
      ASSERT_EQ(got.address.value, expected.physical) << round;
      ASSERT_EQ(u64{1} << got.shift, expected.page_bytes) << round;
      ++translated;
    }
    for (const auto& e : expected.entries) {
      if (memory.page(HostPhysical(e.address)).host == nullptr) continue;
      ASSERT_EQ(tables.get(e.address), e.after) << round;
    }
  }
  EXPECT_GT(translated, 200u);
  EXPECT_GT(violations, 200u);
  EXPECT_GT(misconfigured, 200u);
}

TEST_F(RandomStage, NestedPagingAgreesWithTheReferenceOfOrdinaryPaging) {
  unsigned faults = 0;
  for (unsigned round = 0; round < 4'000; ++round) {
    const bool five = round % 2 == 1;
    const PagingMode mode = five ? PagingMode::FiveLevel : PagingMode::FourLevel;
    PhysicalMemory memory(8 * mib);
    StageTables tables(memory, mode);
    randomize(tables, five ? 5 : 4, false);
    PagingContext c;
    c.mode = mode;
    c.root = tables.root();
    c.no_execute = random_() % 2 != 0;
    c.write_protect = true;
    c.physical_bits = 36 + static_cast<unsigned>(random_() % 17);
    const auto kind = static_cast<AccessKind>(random_() % 3);
    const ReferenceAnswer expected = PagingReference(memory, c).translate(address, {kind, true});
    SecondStageWalker stage(memory);
    stage.set_context({.mode = mode, .root = c.root, .no_execute = c.no_execute, .physical_bits = c.physical_bits});
    const auto access = static_cast<SecondStageAccess>(unsigned(SecondStageAccess::Read) + unsigned(kind));
    const SecondStageResult got = stage.translate(GuestPhysical(address), access);
    ASSERT_EQ(got.faulted, expected.fault) << round;
    if (got.faulted) {
      ASSERT_EQ(stage.fault().qualification, u64{1} << 32 | expected.error_code) << round;
      ++faults;
    } else {
      ASSERT_EQ(got.address.value, expected.physical) << round;
    }
    for (const ReferenceUpdate& e : expected.entries) {
      if (memory.page(HostPhysical(e.address)).host == nullptr) continue;
      ASSERT_EQ(tables.get(e.address), e.entry) << round;
    }
  }
  EXPECT_GT(faults, 400u);
  EXPECT_LT(faults, 3'600u);
}

TEST(NestedTlb, SavesTheStagesWalksForTablesButNotForTheData) {
  TwoDimensions both(PagingMode::FourLevel, 1, PagingMode::Ept4Level, 1);
  NestedTlb nested({.entries = 16, .final_page = false});
  both.stage.set_nested_tlb(&nested);
  both.walk();
  EXPECT_EQ(both.observer.tables(), 24u);
  both.observer.seen.clear();
  both.walk();
  EXPECT_EQ(both.observer.tables(1), 4u);
  EXPECT_EQ(both.observer.tables(2), 4u) << "of the data's page";
  EXPECT_EQ(nested.hits(), 4u);
}

TEST(NestedTlb, WithTheFinalPageNothingOfTheStageIsLeft) {
  TwoDimensions both(PagingMode::FourLevel, 1, PagingMode::Ept4Level, 1);
  NestedTlb nested({.entries = 16, .final_page = true});
  both.stage.set_nested_tlb(&nested);
  const u64 physical = both.walk().translation.page.value;
  both.observer.seen.clear();
  EXPECT_EQ(both.walk().translation.page.value, physical);
  EXPECT_EQ(both.observer.tables(), 4u);
}

TEST(NestedTlb, DoesNotServeAWriteThatMustSetD) {
  TwoDimensions both(PagingMode::FourLevel, 1, PagingMode::FourLevel, 1);
  NestedTlb nested({.entries = 16, .final_page = true});
  both.stage.set_nested_tlb(&nested);
  both.walk(AccessKind::Read);
  both.walk(AccessKind::Write);
  EXPECT_NE(both.stage_tables.get(both.stage_tables.entry_on_path(TwoDimensions::data, 1)) & pte::D, 0u);
}

TEST(NestedTlb, KeepsGuestsApartByTag) {
  TwoDimensions both(PagingMode::FourLevel, 1, PagingMode::Ept4Level, 1);
  NestedTlb nested({.entries = 16, .final_page = true});
  both.stage.set_nested_tlb(&nested);
  both.walk();
  SecondStageContext other = both.stage.context();
  other.tag = 7;
  both.stage.set_context(other);
  both.observer.seen.clear();
  both.walk();
  EXPECT_EQ(both.observer.tables(), 24u);
  nested.flush_tag(7);
  other.tag = 0;
  both.stage.set_context(other);
  both.observer.seen.clear();
  both.walk();
  EXPECT_EQ(both.observer.tables(), 24u - 20u)
      << "those of tag 0 are still there, but for what tag 7 displaced: nothing";
}

TEST(SecondStageStructures, LetAWalkOfTheStageBeginBelowItsRoot) {
  TwoDimensions both(PagingMode::FourLevel, 1, PagingMode::Ept4Level, 1);
  StructureCache guest({});
  StructureCache stage({});
  both.walker.set_structure_caches(&guest);
  both.stage.set_structure_caches(&stage);
  both.walk();
  both.observer.seen.clear();
  both.walk();
  EXPECT_EQ(both.observer.tables(1), 1u) << "the page-directory entry is known";
  EXPECT_EQ(both.observer.tables(2), 2u) << "its table's page and the data's, from the last level on";
}

TEST(SecondStageStructures, EntryCacheServesBothDimensionsAndSavesReferencesNotSteps) {
  TwoDimensions both(PagingMode::FourLevel, 1, PagingMode::Ept4Level, 1);
  StructureCache shared({.kind = "entry", .entries = 24});
  both.walker.set_structure_caches(&shared);
  both.stage.set_structure_caches(&shared);
  both.walk();
  both.observer.seen.clear();
  both.walk();
  EXPECT_EQ(both.observer.seen.size(), 24u);
  EXPECT_EQ(both.observer.tables(1), 1u);
  EXPECT_EQ(both.observer.tables(2), 5u) << "leaves are not kept";
}

}  // namespace
}  // namespace bunshin
