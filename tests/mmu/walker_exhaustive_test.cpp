// The walker against the independent reference, over every combination of the bits that decide.

#include <gtest/gtest.h>

#include <random>
#include <sstream>
#include <string>

#include "mmu/walker.h"
#include "paging_reference.h"
#include "table_builder.h"

namespace bunshin {
namespace {

constexpr u64 mib = 1 << 20;
constexpr u64 page_base = u64{3} << 30;  // aligned for every page size, within 32 bits

/// Bit i of `choice` decides whether `bits[i]` is part of the result.
template <class Bits>
u64 combine(unsigned choice, const Bits& bits) {
  u64 value = 0;
  unsigned i = 0;
  for (const u64 b : bits) value |= (choice >> i++ & 1) != 0 ? b : 0;
  return value;
}

class WalkerAgainstReference : public testing::TestWithParam<PagingMode> {
 protected:
  WalkerAgainstReference() : path_(memory_, GetParam()), walker_(memory_) {}

  bool wide() const { return GetParam() != PagingMode::TwoLevel; }
  bool level_may_be_large(unsigned level) const { return (paging_format(GetParam()).large_levels >> level & 1) != 0; }

  /// Runs one access on both; false (and a test failure that says everything) if they differ. Restores the tables.
  bool agree(const PagingContext& c, const Access& access) {
    const u64 linear = path_.linear(0x123);
    std::array<u64, 6> before{};
    for (unsigned l = 1; l <= path_.levels(); ++l) before[l] = path_.get(l);
    const ReferenceAnswer expected = PagingReference(memory_, c).translate(linear, access);
    walker_.set_context(c);
    const WalkResult got = walker_.walk(Linear(linear), access);
    const std::string difference = compare(expected, got, linear);
    for (unsigned l = 1; l <= path_.levels(); ++l) path_.set(l, before[l]);
    ++cases_;
    if (difference.empty()) return true;
    ADD_FAILURE() << difference << describe(c, access, before);
    return false;
  }

  /// Every kind, privilege and EFLAGS.AC.
  bool agree_all(PagingContext c) {
    for (unsigned i = 0; i < 18; ++i) {
      Access access{static_cast<AccessKind>(i % 3), i / 3 % 3 == 1, i / 3 % 3 == 2};
      c.access_override = i >= 9;
      if (!agree(c, access)) return false;
    }
    return true;
  }

  /// Every CR0.WP, SMEP, SMAP, NXE; with `keys`, CR4.PKE and what PKRU says of key 5.
  bool agree_all_controls(PagingContext c, bool keys) {
    for (unsigned controls = 0; controls < (keys ? 32u : 16u); ++controls) {
      c.write_protect = (controls & 1) != 0;
      c.smep = (controls & 2) != 0;
      c.smap = (controls & 4) != 0;
      c.no_execute = (controls & 8) != 0;
      c.protection_keys = (controls & 16) != 0;
      for (u32 rights = 0; rights < (c.protection_keys ? 4u : 1u); ++rights) {
        c.pkru = rights << 10;
        if (!agree_all(c)) return false;
      }
    }
    return true;
  }

  std::string compare(const ReferenceAnswer& expected, const WalkResult& got, u64 linear) const {
    std::ostringstream out;
    out << std::hex;
    const bool fault = got.outcome != WalkOutcome::Translated;
    if (fault != expected.fault) {
      out << "fault " << fault << " expected " << expected.fault << " code " << expected.error_code << '\n';
    } else if (fault && got.error_code != expected.error_code) {
      out << "error code " << got.error_code << " expected " << expected.error_code << '\n';
    } else if (!fault) {
      const Translation& t = got.translation;
      const u64 size = u64{1} << t.shift;
      const u64 physical = t.page.value + (linear & (size - 1));
      if (physical != expected.physical) out << "address " << physical << " expected " << expected.physical << '\n';
      if (size != expected.page_bytes) out << "size " << size << " expected " << expected.page_bytes << '\n';
      if (t.global != expected.global) out << "global " << t.global << '\n';
      if (t.pat_index != expected.pat_index)
        out << "PAT " << +t.pat_index << " expected " << expected.pat_index << '\n';
      if (t.dirty != ((expected.entries.back().entry & pte::D) != 0)) out << "dirty " << t.dirty << '\n';
    }
    for (const ReferenceUpdate& e : expected.entries) {
      const u64 now = path_.get_at(e.address);
      if (now != e.entry) out << "entry at " << e.address << " is " << now << " expected " << e.entry << '\n';
    }
    return out.str();
  }

  std::string describe(const PagingContext& c, const Access& access, const std::array<u64, 6>& entries) const {
    std::ostringstream out;
    out << "kind " << static_cast<int>(access.kind) << " user " << access.user << " implicit " << access.implicit
        << " wp " << c.write_protect << " pse " << c.pse << " smep " << c.smep << " smap " << c.smap << " pke "
        << c.protection_keys << " nxe " << c.no_execute << " ac " << c.access_override << " pkru " << c.pkru
        << " width " << c.physical_bits << std::hex;
    for (unsigned l = path_.levels(); l >= 1; --l) out << " L" << l << '=' << entries[l];
    return out.str();
  }

  PhysicalMemory memory_{mib};
  TablePath path_;
  Walker walker_;
  u64 cases_ = 0;
};

TEST_P(WalkerAgainstReference, EveryLeafBitAndControl) {
  constexpr std::array<u64, 8> narrow{pte::RW, pte::US, pte::A, pte::D, pte::PS, pte::G, pte::XD, u64{5} << 59};
  const unsigned choices = wide() ? 256 : 64;
  const bool keys = paging_format(GetParam()).protection_keys;
  for (unsigned level = 1; level == 1 || level_may_be_large(level); ++level) {
    const u64 table = path_.get(level);
    for (unsigned choice = 0; choice < choices; ++choice) {
      path_.set(level, page_base | pte::P | combine(choice, narrow));
      PagingContext c = path_.context();
      c.global_pages = (choice & 1) == 0;
      ASSERT_TRUE(agree_all_controls(c, keys && (choice & 0x80) != 0));
      if (wide()) continue;
      c.pse = false;
      ASSERT_TRUE(agree_all_controls(c, false));
    }
    path_.set(level, page_base | pte::RW);
    ASSERT_TRUE(agree_all_controls(path_.context(), keys));
    path_.set(level, table);
  }
  EXPECT_GT(cases_, 30'000u);
}

TEST_P(WalkerAgainstReference, EveryUpperBitWithEveryLeafRight) {
  constexpr std::array<u64, 5> upper{pte::RW, pte::US, pte::A, pte::XD, pte::P};
  constexpr std::array<u64, 4> leaf{pte::RW, pte::US, pte::D, pte::XD};
  for (unsigned level = 2; level <= path_.levels(); ++level) {
    if (!path_.in_memory(level)) continue;
    const u64 table = path_.get(level);
    for (unsigned choice = 0; choice < 32 * 16; ++choice) {
      const u64 rights = combine(choice % 32, upper);
      const u64 leaf_rights = combine(choice / 32, leaf);
      path_.set(level, TablePath::table(level - 1) | (wide() ? rights : rights & 0xffff'ffff));
      path_.set(1, page_base | pte::P | (wide() ? leaf_rights : leaf_rights & 0xffff'ffff));
      ASSERT_TRUE(agree_all_controls(path_.context(), false));
    }
    path_.set(level, table);
  }
}

TEST_P(WalkerAgainstReference, EverySingleBitAtEveryLevel) {
  const unsigned bits = wide() ? 64 : 32;
  for (unsigned level = 1; level <= path_.levels(); ++level) {
    if (!path_.in_memory(level)) continue;
    const u64 table = path_.get(level);
    for (unsigned choice = 0; choice < bits * 2; ++choice) {
      const u64 base = level > 1 && choice < bits ? TablePath::table(level - 1) : page_base | pte::PS;
      path_.set(level, (base | TablePath::permissive) ^ (u64{1} << choice % bits));
      path_.set(1, level == 1 ? path_.get(1) : page_base | TablePath::permissive);
      for (unsigned features = 0; features < 16; ++features) {
        PagingContext c = path_.context();
        c.no_execute = (features & 1) != 0;
        c.gigabyte_pages = (features & 2) != 0;
        c.pse36 = (features & 4) != 0;
        c.pse = (features & 8) != 0;
        for (const unsigned width : {32, 36, 39, 40, 46, 52}) {
          c.physical_bits = width;
          ASSERT_TRUE(agree(c, {AccessKind::Read, true, false}));
          ASSERT_TRUE(agree(c, {AccessKind::Execute, false, false}));
        }
      }
    }
    path_.set(level, table);
  }
}

/// Rights are the product of all levels: every combination of them, for pages of every size.
TEST_P(WalkerAgainstReference, EveryRightAtEveryLevelTogether) {
  constexpr std::array<u64, 3> rights{pte::RW, pte::US, pte::XD};
  const unsigned bits = wide() ? 3 : 2;
  for (unsigned leaf = 1; leaf == 1 || level_may_be_large(leaf); ++leaf) {
    const unsigned top = path_.in_memory(path_.levels()) ? path_.levels() : path_.levels() - 1;
    for (unsigned choice = 0; choice < 1u << bits * (top - leaf + 1); ++choice) {
      for (unsigned level = leaf; level <= top; ++level) {
        const u64 own = combine(choice >> bits * (level - leaf) & ((1u << bits) - 1), rights);
        const u64 address = level == leaf ? page_base | (leaf > 1 ? pte::PS : 0) : TablePath::table(level - 1);
        path_.set(level, address | pte::P | own);
      }
      ASSERT_TRUE(agree_all_controls(path_.context(), false));
    }
  }
}

/// Each key with each of its rights, the other keys' denying everything or nothing.
TEST_P(WalkerAgainstReference, EveryProtectionKey) {
  constexpr std::array<u64, 2> rights{pte::RW, pte::US};
  for (unsigned leaf = 1; leaf == 1 || level_may_be_large(leaf); ++leaf) {
    if (!wide()) break;
    for (unsigned choice = 0; choice < 16 * 4; ++choice) {
      const u64 key = choice / 4;
      path_.set(leaf, page_base | (leaf > 1 ? pte::PS : 0) | pte::P | combine(choice, rights) | key << 59);
      for (unsigned rest = 0; rest < 8 * 4; ++rest) {
        PagingContext c = path_.context();
        c.protection_keys = (rest & 1) != 0;
        c.write_protect = (rest & 2) != 0;
        c.smap = (rest & 4) != 0;
        const u32 others = rest >= 16 ? ~(3u << 2 * key) : 0;
        for (u32 own = 0; own < 4; ++own) {
          c.pkru = others | own << 2 * key;
          ASSERT_TRUE(agree_all(c));
        }
      }
    }
  }
}

/// PWT, PCD and PAT of every size of page; PAT's place in an entry that maps a larger page is an address's elsewhere.
TEST_P(WalkerAgainstReference, EveryMemoryType) {
  constexpr std::array<u64, 4> types{u64{1} << 3, u64{1} << 4, u64{1} << 7, u64{1} << 12};
  for (unsigned leaf = 1; leaf == 1 || level_may_be_large(leaf); ++leaf) {
    for (unsigned choice = 0; choice < 16; ++choice) {
      path_.set(leaf, page_base | (leaf > 1 ? pte::PS : 0) | TablePath::permissive | combine(choice, types));
      ASSERT_TRUE(agree_all(path_.context()));
    }
  }
}

TEST_P(WalkerAgainstReference, RandomTables) {
  std::mt19937_64 random(20240229);
  for (unsigned i = 0; i < 100'000; ++i) {
    for (unsigned l = path_.levels(); l >= 1; --l) {
      const u64 address = l > 1 && random() % 16 != 0 ? TablePath::table(l - 1) : page_base;
      const u64 noise = random() & random() & (random() % 4 == 0 ? ~u64{0} : 0x8000'0000'0000'01feULL);
      path_.set(l, address | (random() % 16 != 0) | (random() & 6) | (noise & ~u64{1}));
    }
    PagingContext c = path_.context();
    c.write_protect = random() % 2 != 0;
    c.global_pages = random() % 2 != 0;
    c.pse = random() % 2 != 0;
    c.smep = random() % 2 != 0;
    c.smap = random() % 2 != 0;
    c.protection_keys = random() % 2 != 0;
    c.no_execute = random() % 2 != 0;
    c.pkru = static_cast<u32>(random());
    c.physical_bits = static_cast<unsigned>(32 + random() % 21);
    ASSERT_TRUE(agree_all(c));
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, WalkerAgainstReference,
                         testing::Values(PagingMode::TwoLevel, PagingMode::Pae, PagingMode::FourLevel,
                                         PagingMode::FiveLevel),
                         [](const auto& tested) {
                           std::string name(paging_format(tested.param).name);
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace bunshin
