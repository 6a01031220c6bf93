// Coherence: every short sequence of operations on one line against a table of MESI, with its costs; then a million
// random accesses in machines of every kind, after which the rules between caches must hold.

#include <array>
#include <random>

#include "tests/mmu/hierarchy_fixture.h"

namespace bunshin {
namespace {

/// One line in a machine with a non-inclusive L3 and a core a cluster, as the textbook's table has it.
class MesiReference {
 public:
  explicit MesiReference(unsigned cores) : state(cores, LineState::Invalid) {}

  u64 load(unsigned core) {
    if (state[core] != LineState::Invalid) return l1;
    const u64 cycles = supply(false);
    const bool alone = holders() == 0;
    state[core] = alone ? LineState::Exclusive : LineState::Shared;
    return cycles;
  }

  u64 store(unsigned core) {
    u64 cycles = l1;
    if (state[core] == LineState::Shared) {
      state[core] = LineState::Invalid;
      cycles = 50 + (holders() != 0 ? 20 : 0);
      invalidate_all();
    } else if (state[core] == LineState::Invalid) {
      const bool shared = holders() != 0 && owner() == state.size();
      cycles = supply(true);
      if (shared) cycles = std::max(cycles, l3 + 20);
      invalidate_all();
    }
    state[core] = LineState::Modified;
    return cycles;
  }

  u64 flush() {
    invalidate_all();
    in_l3 = false;
    return l3;
  }
  u64 clean() {
    for (LineState& s : state) {
      if (s == LineState::Modified) s = LineState::Exclusive;
    }
    return l3;
  }
  u64 dma_read() const {
    const unsigned who = owner();
    if (who != state.size() && state[who] == LineState::Modified) return l3 + 35;
    return in_l3 ? l3 : dram;
  }
  u64 dma_write() {
    const u64 cycles = l3 + (holders() != 0 ? 20 : 0);
    invalidate_all();
    in_l3 = false;
    return cycles;
  }

  std::vector<LineState> state;
  bool in_l3 = false;

 private:
  unsigned holders() const {
    return static_cast<unsigned>(
        std::count_if(state.begin(), state.end(), [](LineState s) { return s != LineState::Invalid; }));
  }
  unsigned owner() const {
    unsigned core = 0;
    while (core < state.size() && state[core] < LineState::Exclusive) ++core;
    return core;
  }
  void invalidate_all() { std::fill(state.begin(), state.end(), LineState::Invalid); }

  /// Cycles until a core that has nothing gets the line, and what becomes of the owner.
  u64 supply(bool for_store) {
    const unsigned who = owner();
    if (who != state.size()) {
      const bool dirty = state[who] == LineState::Modified;
      state[who] = LineState::Shared;
      if (dirty && !for_store) in_l3 = true;
      return l3 + (dirty ? 35 : 30);
    }
    if (in_l3) return l3;
    if (holders() != 0) return l3 + 30;
    in_l3 = true;
    return dram;
  }
};

constexpr unsigned operations_without_core = 4;

/// Operation `number`: loads and stores of each core, then the four that no core makes.
u64 perform(MemoryHierarchy& h, unsigned cores, unsigned number, u64 line, u64 cycle) {
  const HostPhysical address(line);
  if (number < cores) return h.load(number, address, cycle).complete;
  if (number < 2 * cores) return h.store(number - cores, address, cycle).complete;
  switch (number - 2 * cores) {
    case 0: return h.flush_line(0, address, cycle, false).complete;
    case 1: return h.flush_line(0, address, cycle, true).complete;
    case 2: return h.dma(false, address, 64, cycle);
    default: return h.dma(true, address, 64, cycle);
  }
}

u64 perform(MesiReference& reference, unsigned cores, unsigned number) {
  if (number < cores) return reference.load(number);
  if (number < 2 * cores) return reference.store(number - cores);
  switch (number - 2 * cores) {
    case 0: return reference.flush();
    case 1: return reference.clean();
    case 2: return reference.dma_read();
    default: return reference.dma_write();
  }
}

void all_sequences(unsigned cores, unsigned length) {
  MemoryHierarchy hierarchy(small_hierarchy(), cores, gigahertz, 1);
  const unsigned operations = 2 * cores + operations_without_core;
  u64 sequences = 1;
  for (unsigned i = 0; i < length; ++i) sequences *= operations;
  u64 cycle = 0;
  u64 line = 0;
  for (u64 sequence = 0; sequence < sequences; ++sequence) {
    if (sequence % 256 == 0) {
      hierarchy.reset();
      line = 0;
    }
    line += line_bytes;  // a fresh line instead of a fresh machine
    MesiReference reference(cores);
    u64 left = sequence;
    for (unsigned i = 0; i < length; ++i, left /= operations) {
      const unsigned number = static_cast<unsigned>(left % operations);
      cycle += 1000;
      const u64 cycles = perform(hierarchy, cores, number, line, cycle) - cycle;
      ASSERT_EQ(cycles, perform(reference, cores, number)) << "sequence " << sequence << ", operation " << i;
      for (unsigned core = 0; core < cores; ++core) {
        ASSERT_EQ(hierarchy.cluster_of(core).state_of(line), reference.state[core])
            << "sequence " << sequence << ", operation " << i << ", core " << core;
      }
      ASSERT_EQ(hierarchy.uncore().l3()->holds(line), reference.in_l3) << "sequence " << sequence;
    }
  }
}

TEST(Mesi, EverySequenceOfFiveOperationsOfTwoCores) { all_sequences(2, 5); }
TEST(Mesi, EverySequenceOfFourOperationsOfThreeCores) { all_sequences(3, 4); }

TEST(Coherence, CoresWithOneL2KeepEachOthersFirstLevelsCoherent) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.l2.shared_by = 2;
  MemoryHierarchy h(p, 2, gigahertz, 1);
  EXPECT_EQ(h.store(0, HostPhysical(0x1000), 0).complete, dram);
  EXPECT_EQ(h.load(1, HostPhysical(0x1000), 1000).complete, 1000 + l2 + l1) << "the other L1 writes to the L2 first";
  EXPECT_EQ(h.load(0, HostPhysical(0x1000), 2000).complete, 2000 + l1);
  EXPECT_EQ(h.store(0, HostPhysical(0x1000), 3000).complete, 3000 + l2) << "the L2 owns it: only the L1s are asked";
  EXPECT_FALSE(h.caches(1).l1d.holds(0x1000));
  EXPECT_EQ(h.store(1, HostPhysical(0x1000), 4000).complete, 4000 + l2 + l1);
  EXPECT_FALSE(h.caches(0).l1d.holds(0x1000));
}

TEST(Coherence, OnABusWithoutAnL3DirtyLinesGoThroughMemory) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.l3.size = 0;
  p.coherence.forward_shared = false;
  MemoryHierarchy h(p, 3, gigahertz, 1);
  EXPECT_EQ(h.store(0, HostPhysical(0x1000), 0).complete, l2 + 100);
  EXPECT_EQ(h.load(1, HostPhysical(0x1000), 1000).complete, 1000 + l2 + 35);
  EXPECT_EQ(h.uncore().dram().counters().writes, 1u) << "written back on the way";
  EXPECT_EQ(h.load(2, HostPhysical(0x1000), 2000).complete, 2000 + l2 + 100) << "nobody forwards a shared line";
}

TEST(Coherence, CountsSayWhatHappened) {
  MemoryHierarchy h(small_hierarchy(), 3, gigahertz, 1);
  const HostPhysical a(0x1000);
  h.load(0, a, 0);
  h.load(1, a, 1000);   // clean transfer
  h.load(2, a, 2000);   // from the L3
  h.store(2, a, 3000);  // upgrade, two invalidations
  h.load(0, a, 4000);   // dirty transfer
  EXPECT_EQ(h.counters(1).transfers_clean, 1u);
  EXPECT_EQ(h.counters(2).upgrades, 1u);
  EXPECT_EQ(h.counters(2).invalidations, 2u);
  EXPECT_EQ(h.counters(0).transfers_dirty, 1u);
}

struct Machine {
  const char* l2_inclusion;
  const char* l3_inclusion;  ///< "none": no L3
  const char* replacement;
  const char* prefetcher;
  unsigned cores;
  u64 shared_by;
};

MemoryHierarchyParameters tiny(const Machine& m) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.l1i.size = 512;
  p.l1d.size = 1024;
  p.l2.size = 2048;
  p.l2.ways = 4;
  p.l3.size = std::string_view(m.l3_inclusion) == "none" ? 0 : 8192;
  p.l2.inclusion = m.l2_inclusion;
  if (p.l3.size != 0) p.l3.inclusion = m.l3_inclusion;
  p.l1i.replacement = p.l1d.replacement = p.l2.replacement = p.l3.replacement = m.replacement;
  p.l1d.prefetcher = p.l1i.prefetcher = p.l2.prefetcher = {.kind = m.prefetcher, .degree = 3, .distance = 2};
  p.l3.prefetcher = {.kind = m.prefetcher, .degree = 8, .distance = 1};
  p.l2.shared_by = m.shared_by;
  p.l2.line_cycles = 2;
  p.l3.line_cycles = 3;
  p.dram = {};
  p.walker_entry = m.cores % 2 == 0 ? "l2" : "l1d";
  p.coherence.ddio = p.l3.size != 0 && m.shared_by == 2;
  p.combining_buffers = 3;
  return p;
}

/// One random operation, at a cycle near `now`; returns what it should not complete before.
u64 random_operation(MemoryHierarchy& h, std::mt19937_64& random, u64 now) {
  static constexpr std::array kinds{RequestKind::Load,
                                    RequestKind::Load,
                                    RequestKind::Load,
                                    RequestKind::Store,
                                    RequestKind::Store,
                                    RequestKind::Fetch,
                                    RequestKind::Walk,
                                    RequestKind::WalkUpdate,
                                    RequestKind::PrefetchT0,
                                    RequestKind::PrefetchT1,
                                    RequestKind::PrefetchNta,
                                    RequestKind::PrefetchWrite,
                                    RequestKind::NonTemporalStore};
  const unsigned core = static_cast<unsigned>(random() % h.cores());
  const u64 cycle = now - random() % 500;  // not in order
  const HostPhysical address(random() % 4 == 0 ? random() % 1024 : random() % 16384);
  const u64 dice = random() % 1000;
  if (dice == 0) return h.write_back_and_invalidate(core, cycle) - cycle;
  if (dice < 10) return h.flush_line(core, address, cycle, dice % 2 == 0).complete - cycle;
  if (dice < 30) return h.dma(dice % 2 == 0, address, 1 + random() % 300, cycle) - cycle;
  if (dice == 30) return h.drain(core, cycle) - cycle;
  const auto type = dice < 50 ? static_cast<MemoryType>(std::array{0, 1, 4, 5, 7}[dice % 5]) : MemoryType::WriteBack;
  const RequestKind kind = kinds[random() % kinds.size()];
  return h.access(core, kind, address, cycle, 0x400000 + random() % 16, type).complete - cycle;
}

void PrintTo(const Machine& m, std::ostream* out) {
  *out << m.cores << " cores, L2 of " << m.shared_by << ' ' << m.l2_inclusion << ", L3 " << m.l3_inclusion << ", "
       << m.replacement << ", " << m.prefetcher;
}

class CoherenceOf : public ::testing::TestWithParam<Machine> {};

TEST_P(CoherenceOf, TheRulesHoldWhateverHappens) {
  const MemoryHierarchyParameters p = tiny(GetParam());
  ASSERT_FALSE(p.problem(GetParam().cores).has_value());
  MemoryHierarchy hierarchy(p, GetParam().cores, gigahertz, 1);
  MemoryHierarchy again(p, GetParam().cores, gigahertz, 1);
  InvariantChecker rules(hierarchy, p);
  std::mt19937_64 random(42);
  std::mt19937_64 same(42);
  for (int i = 1; i <= 50'000; ++i) {
    const u64 now = 1000 + static_cast<u64>(i) * 7;
    const u64 cycles = random_operation(hierarchy, random, now);
    ASSERT_LT(cycles, 10'000'000u) << "completes before it begins, or never: operation " << i;
    ASSERT_EQ(cycles, random_operation(again, same, now)) << "operation " << i;
    if (i % 500 == 0) {
      rules.check();
      ASSERT_FALSE(::testing::Test::HasFailure()) << "after operation " << i;
    }
  }
  StateHash one;
  StateHash other;
  hierarchy.hash(one);
  again.hash(other);
  EXPECT_EQ(one.value(), other.value());
}

TEST_P(CoherenceOf, EveryStoredLineReachesMemoryOnce) {
  MemoryHierarchyParameters p = tiny(GetParam());
  p.coherence.ddio = false;
  MemoryHierarchy hierarchy(p, GetParam().cores, gigahertz, 1);
  constexpr std::array kinds{RequestKind::Load,         RequestKind::Load,       RequestKind::Fetch,
                             RequestKind::Walk,         RequestKind::PrefetchT1, RequestKind::PrefetchNta,
                             RequestKind::PrefetchWrite};
  constexpr u64 lines = 512;
  std::mt19937_64 random(11);
  std::vector<u64> unstored;
  for (u64 i = 0; i < lines; ++i) unstored.push_back(i * line_bytes);
  std::shuffle(unstored.begin(), unstored.end(), random);
  u64 cycle = 0;
  for (; !unstored.empty(); cycle += 1000) {
    const unsigned core = static_cast<unsigned>(random() % GetParam().cores);
    const HostPhysical any(random() % (lines * line_bytes));
    const u64 dice = random() % 64;
    if (dice == 0) {
      hierarchy.flush_line(core, any, cycle, random() % 2 == 0);
    } else if (dice < 4) {
      hierarchy.store(core, HostPhysical(unstored.back()), cycle);
      unstored.pop_back();
    } else {
      hierarchy.access(core, kinds[random() % kinds.size()], any, cycle, 0x400000 + random() % 16);
    }
  }
  for (unsigned core = 0; core < GetParam().cores; ++core) hierarchy.write_back_and_invalidate(core, cycle);
  EXPECT_EQ(hierarchy.uncore().dram().counters().writes, lines);
}

INSTANTIATE_TEST_SUITE_P(Machines, CoherenceOf,
                         ::testing::Values(Machine{"non-inclusive", "non-inclusive", "lru", "none", 2, 1},
                                           Machine{"non-inclusive", "inclusive", "tree-plru", "streamer", 3, 1},
                                           Machine{"inclusive", "inclusive", "lru", "next-line", 4, 2},
                                           Machine{"inclusive", "exclusive", "srrip", "streamer", 2, 1},
                                           Machine{"exclusive", "exclusive", "lru", "stride", 3, 1},
                                           Machine{"exclusive", "non-inclusive", "random", "next-line", 4, 2},
                                           Machine{"exclusive", "inclusive", "tree-plru", "streamer", 2, 2},
                                           Machine{"non-inclusive", "exclusive", "random", "stride", 5, 2},
                                           Machine{"inclusive", "none", "lru", "streamer", 2, 2},
                                           Machine{"non-inclusive", "none", "srrip", "next-line", 3, 1},
                                           Machine{"exclusive", "none", "lru", "none", 4, 2},
                                           Machine{"inclusive", "inclusive", "tree-plru", "stride", 1, 1},
                                           Machine{"exclusive", "exclusive", "tree-plru", "next-line", 1, 1},
                                           Machine{"non-inclusive", "none", "lru", "streamer", 1, 1},
                                           Machine{"inclusive", "non-inclusive", "random", "streamer", 8, 4}));

}  // namespace
}  // namespace bunshin
