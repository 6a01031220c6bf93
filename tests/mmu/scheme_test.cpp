// Translation schemes: which references a TLB miss makes, and what invalidations reach.

#include "mmu/scheme.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "mmu/mmu.h"
#include "table_builder.h"

namespace bunshin {
namespace {

constexpr u64 mib = 1 << 20;
constexpr Access read{AccessKind::Read};
constexpr Access write{AccessKind::Write};
constexpr u64 frame_a = 0x80000, frame_b = 0x81000;
using Kind = MemoryReference::Kind;

/// Nothing is kept by the architectural TLB, so that every access asks the scheme.
const TlbParameters no_tlb{{0, 1}, {0, 1}, {0, 1}};

class SchemeTest : public testing::Test {
 protected:
  SchemeTest() : mmu_(no_tlb, memory_) {
    path_.set(1, frame_a | TablePath::permissive);
    context_ = path_.context();
    context_.global_pages = context_.write_protect = true;
    log_.reserve();
  }
  void use(const std::string& name) {
    parameters_.scheme = name;
    mmu_.set_scheme(parameters_.chosen(), 0);
    mmu_.set_context(context_);
    mmu_.set_log(&log_);
  }
  void use_pcid(u16 pcid) {
    context_.pcid = pcid;
    mmu_.set_context(context_);
  }
  /// Physical page, or 1 for a fault; the log then has this access only.
  u64 go(const Access& access) {
    log_.clear();
    HostPhysical out;
    return mmu_.translate(Linear(path_.linear()), access, out) ? 1 : out.page().value;
  }
  unsigned count(Kind kind) const {
    unsigned n = 0;
    for (const MemoryReference& r : log_.references()) n += r.kind == kind;
    return n;
  }
  u64 delays() const {
    u64 cycles = 0;
    for (const MemoryReference& r : log_.references()) cycles += r.kind == Kind::Delay ? r.bytes : 0;
    return cycles;
  }
  u64 stat(const std::string& name) {
    StatRegistry registry;
    mmu_.register_stats(registry, "");
    return std::get<u64>(registry.snapshot().at(name).value);
  }

  PhysicalMemory memory_{4 * mib};
  TablePath path_{memory_, PagingMode::FourLevel};
  PagingContext context_;
  TranslationParameters parameters_;
  ReferenceLog log_;
  Mmu mmu_;
};

TEST(SchemeTypes, AreFoundByTheBuild) {
  std::set<std::string_view> names;
  for (const SchemeType* type : scheme_types()) names.insert(type->name);
  EXPECT_EQ(names, (std::set<std::string_view>{"pom", "radix", "software"}));
}

TEST_F(SchemeTest, RadixIsTheHardwareWalker) {
  use("radix");
  EXPECT_EQ(go(read), frame_a);
  EXPECT_EQ(count(Kind::TableRead), 4u);
  EXPECT_EQ(count(Kind::TableUpdate), 4u);
  EXPECT_EQ(delays(), 0u);
}

TEST_F(SchemeTest, SoftwareLoadsWhatTheWalkerWouldReadAndTakesItsInstructions) {
  use("software");
  go(read);
  EXPECT_EQ(go(read), frame_a);
  EXPECT_EQ(count(Kind::HandlerLoad), 4u);
  EXPECT_EQ(count(Kind::TableRead), 0u);
  EXPECT_EQ(delays(), 30u + 10 + 4 * 6);
  EXPECT_EQ(log_.references().front().kind, Kind::Delay) << "the trap comes first";
  EXPECT_EQ(stat("scheme.traps"), 2u);
}

TEST_F(SchemeTest, SoftwareSetsAccessedAndDirtyByStores) {
  use("software");
  EXPECT_EQ(go(write), frame_a);
  EXPECT_EQ(count(Kind::HandlerStore), 4u);
  EXPECT_EQ(path_.get(1) & (pte::A | pte::D), pte::A | pte::D);
  EXPECT_EQ(delays(), 30u + 10 + 4 * 6 + 4 * 4);
}

TEST_F(SchemeTest, SoftwareHasNoPagingStructureCaches) {
  Mmu::TimedCaches caches{FirstLevelTlb(no_tlb), FirstLevelTlb(no_tlb), StructureCache({}), 0, 0,
                          StructureCache({}),    NestedTlb({})};
  use("software");
  mmu_.set_timed_caches(&caches);
  go(read);
  go(read);
  EXPECT_EQ(count(Kind::HandlerLoad), 4u);
  EXPECT_EQ(caches.structures.hits(2), 0u);
}

TEST_F(SchemeTest, SoftwareDeliversTheTablesFault) {
  use("software");
  path_.set(2, 0);
  EXPECT_EQ(go(read), 1u);
  EXPECT_EQ(count(Kind::HandlerLoad), 3u);
}

class PomTest : public SchemeTest {
 protected:
  PomTest() { use("pom"); }
  /// The access is served by the part-of-memory TLB: no table is read.
  bool hits(const Access& access = read) { return go(access) != 1 && count(Kind::TableRead) <= 2; }
};

TEST_F(PomTest, FirstMissReadsBothArraysThenWalksAndFills) {
  EXPECT_EQ(go(read), frame_a);
  ASSERT_EQ(count(Kind::TableRead), 2u + 4);
  const auto all = log_.references();
  EXPECT_EQ(all[0].bytes, 64);
  EXPECT_EQ(all[0].physical.value, (u64{1} << 41) + (path_.linear() >> 12) % (8 * mib / 64) * 64);
  EXPECT_EQ(all[1].physical.value, (u64{1} << 41) + 8 * mib + (path_.linear() >> 21) % (8 * mib / 64) * 64);
  EXPECT_EQ(all.back().kind, Kind::TableUpdate);
  EXPECT_EQ(all.back().physical, all[0].physical) << "the entry goes where it was looked for";
}

TEST_F(PomTest, AHitIsOneReference) {
  go(read);
  EXPECT_EQ(go(read), frame_a);
  EXPECT_EQ(log_.size(), 1u);
  EXPECT_EQ(stat("scheme.small.hits"), 1u);
}

TEST_F(PomTest, LargePagesHaveAnArrayOfTheirOwnThatIsPredicted) {
  path_.set(2, TablePath::permissive | pte::PS | (2 * mib));
  go(read);
  EXPECT_EQ(go(read), 2 * mib + (path_.linear() & (2 * mib - 1)));
  EXPECT_EQ(log_.size(), 1u);
  EXPECT_EQ(stat("scheme.large.hits"), 1u);
  EXPECT_EQ(stat("scheme.first_try"), 1u);
}

TEST_F(PomTest, StaleUntilInvalidated) {
  go(read);
  path_.set(1, frame_b | TablePath::permissive);
  EXPECT_EQ(go(read), frame_a);
  mmu_.flush_page(Linear(path_.linear()));
  EXPECT_EQ(go(read), frame_b);
}

TEST_F(PomTest, EveryFlushReachesIt) {
  go(read);
  ASSERT_TRUE(hits() && log_.size() == 1);
  mmu_.flush_all();
  go(read);
  EXPECT_GT(log_.size(), 4u);
  mmu_.flush_non_global();
  go(read);
  EXPECT_GT(log_.size(), 4u);
  mmu_.flush_pcid(0);
  go(read);
  EXPECT_GT(log_.size(), 4u);
  mmu_.flush_page_of_pcid(Linear(path_.linear()), 0);
  go(read);
  EXPECT_GT(log_.size(), 4u);
  mmu_.flush_pcid(5);
  mmu_.flush_page_of_pcid(Linear(path_.linear()), 5);
  mmu_.flush_page(Linear(path_.linear() + page_size));
  go(read);
  EXPECT_EQ(log_.size(), 1u) << "another PCID, another page";
}

TEST_F(PomTest, PcidsHaveEntriesOfTheirOwn) {
  use_pcid(1);
  go(read);
  use_pcid(2);
  go(read);
  EXPECT_GT(log_.size(), 4u);
  mmu_.flush_pcid(2);
  use_pcid(1);
  go(read);
  EXPECT_EQ(log_.size(), 1u);
}

TEST_F(PomTest, GlobalEntriesServeEveryPcidAndStay) {
  path_.set(1, frame_a | TablePath::permissive | pte::G);
  use_pcid(1);
  go(read);
  use_pcid(2);
  mmu_.flush_pcid(1);
  mmu_.flush_non_global();
  mmu_.flush_page_of_pcid(Linear(path_.linear()), 1);
  go(read);
  EXPECT_EQ(log_.size(), 1u);
  mmu_.flush_page(Linear(path_.linear()));
  go(read);
  EXPECT_GT(log_.size(), 4u) << "INVLPG takes global entries too";
  mmu_.flush_all();
  go(read);
  EXPECT_GT(log_.size(), 4u);
}

TEST_F(PomTest, GuestsHaveEntriesOfTheirOwn) {
  context_.guest_tag = 1;
  mmu_.set_context(context_);
  go(read);
  context_.guest_tag = 2;
  mmu_.set_context(context_);
  go(read);
  EXPECT_GT(log_.size(), 4u);
  mmu_.flush_all();
  context_.guest_tag = 1;
  mmu_.set_context(context_);
  go(read);
  EXPECT_EQ(log_.size(), 1u) << "a guest's flush is its own";
}

TEST_F(PomTest, AWriteWalksToSetDirtyOnce) {
  go(read);
  EXPECT_EQ(go(write), frame_a);
  EXPECT_NE(path_.get(1) & pte::D, 0u);
  go(write);
  EXPECT_EQ(log_.size(), 1u);
}

TEST_F(PomTest, OnlyTheTablesRefuse) {
  path_.set(1, frame_a | pte::P | pte::US);
  go(read);
  EXPECT_EQ(go(write), 1u);
  path_.set(1, frame_b | TablePath::permissive);
  EXPECT_EQ(go(write), frame_b) << "what the fault went through is gone";
}

TEST_F(PomTest, PresenceIsNeverInvented) {
  path_.set(1, 0);
  EXPECT_EQ(go(read), 1u);
  path_.set(1, frame_a | TablePath::permissive);
  EXPECT_EQ(go(read), frame_a);
}

TEST_F(PomTest, FunctionalRunsUseItToo) {
  mmu_.set_log(nullptr);
  go(read);
  path_.set(1, frame_b | TablePath::permissive);
  EXPECT_EQ(go(read), frame_a) << "what the guest sees does not depend on whether time is modeled";
}

TEST(TimedTranslation, AnEntryCachesHitsTakeTheirCyclesAndNoReference) {
  PhysicalMemory memory(4 * mib);
  TablePath path(memory, PagingMode::FourLevel);
  path.set(1, frame_a | TablePath::permissive);
  Mmu mmu(no_tlb, memory);
  mmu.set_context(path.context());
  ReferenceLog log;
  log.reserve();
  mmu.set_log(&log);
  Mmu::TimedCaches caches{FirstLevelTlb(no_tlb), FirstLevelTlb(no_tlb), StructureCache({.kind = "entry"}), 100, 3,
                          StructureCache({}),    NestedTlb({})};
  mmu.set_timed_caches(&caches);
  HostPhysical out;
  mmu.translate(Linear(path.linear()), read, out);
  u64 cycles = 0;
  for (const MemoryReference& r : log.references()) cycles += r.kind == Kind::Delay ? r.bytes : 0;
  EXPECT_EQ(cycles, 400u) << "A was set in four entries";
  log.clear();
  mmu.translate(Linear(path.linear()), read, out);
  std::vector<Kind> kinds;
  for (const MemoryReference& r : log.references()) kinds.push_back(r.kind);
  EXPECT_THAT(kinds, testing::ElementsAre(Kind::Delay, Kind::Delay, Kind::Delay, Kind::TableRead));
  EXPECT_EQ(log.references().front().bytes, 3);
}

}  // namespace
}  // namespace bunshin
