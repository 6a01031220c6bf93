#include "mmu/walker.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "mmu/memory_type.h"
#include "table_builder.h"

namespace bunshin {
namespace {

constexpr u64 mib = 1 << 20;
constexpr Access read{AccessKind::Read, false, false};
constexpr Access write{AccessKind::Write, false, false};

class RecordingObserver final : public WalkObserver {
 public:
  void reference(const WalkReference& r) override { seen.push_back(r); }
  std::vector<WalkReference> seen;
};

/// Moves every address by `offset`; refuses one page if asked to.
class ShiftedStage final : public SecondStage {
 public:
  explicit ShiftedStage(u64 offset) : offset_(offset) {}
  SecondStageResult translate(GuestPhysical address, SecondStageAccess access, bool) override {
    asked.push_back(access);
    SecondStageResult result;
    result.address = HostPhysical(address.value + offset_);
    result.faulted = address.page() == refused;
    return result;
  }
  std::optional<HostPhysical> peek(GuestPhysical address) const override {
    return HostPhysical(address.value + offset_);
  }
  GuestPhysical refused{~u64{0}};
  std::vector<SecondStageAccess> asked;

 private:
  u64 offset_;
};

u64 references(PagingMode paging, unsigned leaf_level) {
  PhysicalMemory memory(mib);
  TablePath path(memory, paging);
  path.set(leaf_level, (u64{3} << 30) | TablePath::permissive | (leaf_level > 1 ? pte::PS : 0));
  Walker walker(memory);
  walker.set_context(path.context());
  EXPECT_EQ(walker.walk(Linear(path.linear()), read).outcome, WalkOutcome::Translated);
  return walker.references();
}

TEST(WalkerReferences, AsManyAsTablesInMemory) {
  EXPECT_EQ(references(PagingMode::TwoLevel, 1), 2u);
  EXPECT_EQ(references(PagingMode::TwoLevel, 2), 1u);
  EXPECT_EQ(references(PagingMode::Pae, 1), 2u);
  EXPECT_EQ(references(PagingMode::Pae, 2), 1u);
  EXPECT_EQ(references(PagingMode::FourLevel, 1), 4u);
  EXPECT_EQ(references(PagingMode::FourLevel, 2), 3u);
  EXPECT_EQ(references(PagingMode::FourLevel, 3), 2u);
  EXPECT_EQ(references(PagingMode::FiveLevel, 1), 5u);
}

class Walker4Level : public testing::Test {
 protected:
  Walker4Level() {
    path_.set(1, 0x5000 | TablePath::permissive);
    walker_.set_context(path_.context());
  }

  PhysicalMemory memory_{mib};
  TablePath path_{memory_, PagingMode::FourLevel};
  Walker walker_{memory_};
};

TEST_F(Walker4Level, ObserverSeesEveryEntryFromTheRoot) {
  RecordingObserver observer;
  walker_.set_observer(&observer);
  walker_.walk(Linear(path_.linear()), read);
  ASSERT_EQ(observer.seen.size(), 8u) << "four entries read, then A set in each";
  for (unsigned i = 0; i < 8; ++i) {
    EXPECT_EQ(observer.seen[i].dimension, 1);
    EXPECT_EQ(observer.seen[i].level, 4 - i % 4);
    EXPECT_EQ(observer.seen[i].address.value, path_.entry_address(4 - i % 4));
    EXPECT_EQ(observer.seen[i].update, i >= 4);
  }
  EXPECT_EQ(observer.seen[3].entry, 0x5000 | TablePath::permissive);
}

TEST_F(Walker4Level, TableOutsideRamReadsAsAllOnes) {
  path_.set(3, 0xf000'0000 | TablePath::permissive);
  const WalkResult result = walker_.walk(Linear(path_.linear()), write);
  EXPECT_EQ(result.outcome, WalkOutcome::PageFault);
  EXPECT_EQ(result.error_code, page_fault::P | page_fault::RSVD | page_fault::W);
}

TEST_F(Walker4Level, TableInRomKeepsItsAccessedBits) {
  std::vector<u8> rom(page_size, 0);
  const u64 entry = 0x5000 | TablePath::permissive;
  std::memcpy(rom.data() + path_.index(1) * 8, &entry, 8);
  memory_.add_rom(HostPhysical(0xffff'0000), rom);
  path_.set(2, 0xffff'0000 | TablePath::permissive);
  EXPECT_EQ(walker_.walk(Linear(path_.linear()), write).outcome, WalkOutcome::Translated);
  u64 after = 0;
  std::memcpy(&after, memory_.page(HostPhysical(0xffff'0000)).host + path_.index(1) * 8, 8);
  EXPECT_EQ(after, entry);
}

TEST_F(Walker4Level, PeekChangesNothing) {
  const u64 before = path_.get(1);
  EXPECT_EQ(walker_.peek(Linear(path_.linear(0x678))), HostPhysical(0x5678));
  EXPECT_EQ(path_.get(1), before);
  EXPECT_EQ(walker_.references(), 0u);
}

TEST_F(Walker4Level, SelfReferencingTableSetsAllBits) {
  // Every level is the root entry of the same table: one entry is PML4E, PDPTE, PDE and PTE at once.
  path_.set_index(4, 3, path_.root() | TablePath::permissive);
  const u64 linear = u64{3} << 39 | u64{3} << 30 | u64{3} << 21 | u64{3} << 12;
  ASSERT_EQ(walker_.walk(Linear(linear), write).outcome, WalkOutcome::Translated);
  EXPECT_EQ(path_.get_at(path_.root() + 3 * 8), path_.root() | TablePath::permissive | pte::A | pte::D);
}

TEST_F(Walker4Level, PatIndexIsPatPcdPwt) {
  path_.set(1, 0x5000 | TablePath::permissive | pte::PS | pte::PWT);
  EXPECT_EQ(walker_.walk(Linear(path_.linear()), read).translation.pat_index, 5);
  path_.set(2, TablePath::permissive | pte::PS | pte::large_PAT | pte::PCD);
  EXPECT_EQ(walker_.walk(Linear(path_.linear()), read).translation.pat_index, 6);
}

TEST_F(Walker4Level, EveryReferenceAndTheDataGoThroughTheSecondStage) {
  PhysicalMemory host(2 * mib);
  TablePath guest(host, PagingMode::FourLevel);
  // The guest's tables, copied up by one MiB where the second stage puts them.
  for (unsigned level = 4; level >= 1; --level) {
    const u64 entry = level > 1 ? guest.get(level) | pte::A : 0x5000 | TablePath::permissive | pte::A;
    ASSERT_TRUE(
        host.write(HostPhysical(guest.entry_address(level) + mib), std::span(reinterpret_cast<const u8*>(&entry), 8)));
  }
  Walker walker(host);
  walker.set_context(guest.context());
  ShiftedStage stage(mib);
  walker.set_second_stage(&stage);
  const WalkResult result = walker.walk(Linear(guest.linear()), read);
  ASSERT_EQ(result.outcome, WalkOutcome::Translated);
  EXPECT_EQ(result.translation.page.value, 0x5000 + mib);
  using enum SecondStageAccess;
  EXPECT_EQ(stage.asked, (std::vector{TableRead, TableRead, TableRead, TableRead, Read}));
}

TEST_F(Walker4Level, SecondStageFaultEndsTheWalk) {
  ShiftedStage stage(0);
  stage.refused = GuestPhysical(TablePath::table(2));
  walker_.set_second_stage(&stage);
  EXPECT_EQ(walker_.walk(Linear(path_.linear()), read).outcome, WalkOutcome::SecondStageFault);
  EXPECT_EQ(path_.get(4) & pte::A, 0u);
}

class LoadPdptes : public testing::Test {
 protected:
  bool load(u64 second, unsigned physical_bits = 36) {
    const std::array<u64, 4> table{0x1001, second, 0, 0xffe};  // the last is not present: anything goes
    EXPECT_TRUE(memory_.write(HostPhysical(0x2020), std::span(reinterpret_cast<const u8*>(table.data()), 32)));
    return walker_.load_pdptes(0x203f, physical_bits, loaded_);
  }
  PhysicalMemory memory_{mib};
  Walker walker_{memory_};
  std::array<u64, 4> loaded_{};
};

TEST_F(LoadPdptes, ComeFromThe32ByteTable) {
  ASSERT_TRUE(load(0x3001));
  EXPECT_EQ(loaded_, (std::array<u64, 4>{0x1001, 0x3001, 0, 0xffe}));
}

TEST_F(LoadPdptes, RefuseExactlyTheReservedBits) {
  for (unsigned bit = 1; bit < 64; ++bit) {
    const bool reserved = bit == 1 || bit == 2 || (bit >= 5 && bit <= 8) || bit >= 36;
    EXPECT_EQ(load(1 | u64{1} << bit), !reserved) << bit;
  }
}

TEST_F(LoadPdptes, OutsideRamAreRefusedAndChangeNothing) {
  EXPECT_FALSE(walker_.load_pdptes(0xf000'0000, 36, loaded_));
  EXPECT_EQ(loaded_, (std::array<u64, 4>{}));
}

TEST(MemoryType, PatSelectsByIndex) {
  constexpr u64 reset = 0x0007040600070406ULL;
  EXPECT_EQ(pat_memory_type(reset, 0), MemoryType::WriteBack);
  EXPECT_EQ(pat_memory_type(reset, 1), MemoryType::WriteThrough);
  EXPECT_EQ(pat_memory_type(reset, 2), MemoryType::UncachedMinus);
  EXPECT_EQ(pat_memory_type(reset, 7), MemoryType::Uncacheable);
  EXPECT_EQ(pat_memory_type(0x02, 0), MemoryType::Uncacheable);
}

TEST(MemoryType, CombinesAsTheManualsTable) {
  using enum MemoryType;
  struct Row {
    MemoryType mtrr;
    std::array<MemoryType, 6> effective;  // for PAT UC, UC-, WC, WT, WB, WP, in the manual's order
  };
  constexpr std::array<MemoryType, 6> pat{Uncacheable,  UncachedMinus, WriteCombining,
                                          WriteThrough, WriteBack,     WriteProtected};
  // clang-format off
  constexpr std::array<Row, 5> rows{{
      {Uncacheable, {Uncacheable, Uncacheable, WriteCombining, Uncacheable, Uncacheable, Uncacheable}},
      {WriteCombining, {Uncacheable, WriteCombining, WriteCombining, Uncacheable, WriteCombining, Uncacheable}},
      {WriteThrough, {Uncacheable, Uncacheable, WriteCombining, WriteThrough, WriteThrough, WriteProtected}},
      {WriteBack, {Uncacheable, Uncacheable, WriteCombining, WriteThrough, WriteBack, WriteProtected}},
      {WriteProtected, {Uncacheable, WriteCombining, WriteCombining, WriteThrough, WriteProtected, WriteProtected}},
  }};
  // clang-format on
  for (const Row& row : rows) {
    for (unsigned i = 0; i < pat.size(); ++i) {
      EXPECT_EQ(effective_memory_type(pat[i], row.mtrr), row.effective[i]) << static_cast<int>(row.mtrr) << ' ' << i;
    }
  }
}

TEST(PagingFormat, IndexBitsAndPageOffsetCoverTheLinearAddress) {
  const std::array<unsigned, 7> width{12, 32, 32, 48, 57, 48, 57};
  for (unsigned i = 0; i < paging_formats.size(); ++i) {
    unsigned bits = page_shift;
    for (unsigned level = 0; level < paging_formats[i].levels; ++level) bits += paging_formats[i].index_bits[level];
    EXPECT_EQ(bits, width[i]) << paging_formats[i].name;
  }
}

}  // namespace
}  // namespace bunshin
