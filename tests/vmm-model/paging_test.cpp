// The tables that the hardware walks give what an independent reading of the guest's tables gives, however it changes them.

#include <array>
#include <memory>
#include <random>

#include <gtest/gtest.h>

#include "guest_tables_reference.h"
#include "host_machine.h"
#include "vmm-model/paging/shadow_paging.h"
#include "vmm-model/paging/virtual_tlb.h"

namespace bunshin::vmm {
namespace {

constexpr u64 present = 1, writable = 2, user = 4, large = 0x80, no_execute = u64{1} << 63;
constexpr u64 frame = 0x000f'ffff'ffff'f000;

struct Case {
  bool shadow;
  TableFormat format;
  bool passes = false;  ///< the processor hands faults of entries that are not present to the guest itself
};

class HiddenPaging : public testing::TestWithParam<Case> {
 protected:
  static constexpr u64 guest_bytes = 8 << 20, guest_at = 16 << 20;
  static constexpr u64 first_table = 0x10'0000;
  static constexpr unsigned tables = 10;

  void SetUp() override {
    pool_.add(0x1000, guest_at);
    controls_.format = GetParam().format;
    processor_.can_pass_missing = GetParam().passes;
    set_controls();
    load_cr3(0);
    const PagingContext context{machine_, pool_, memory_, processor_, 40};
    if (GetParam().shadow) {
      shadow_ = std::make_unique<ShadowPaging>(context);
      mode_ = shadow_.get();
    } else {
      vtlb_ = std::make_unique<VirtualTlb>(context);
      mode_ = vtlb_.get();
    }
    ASSERT_TRUE(mode_->start());
  }

  bool narrow() const { return GetParam().format == TableFormat::TwoLevel; }
  unsigned entry_bytes() const { return narrow() ? 4 : 8; }
  unsigned index_bits() const { return narrow() ? 10 : 9; }
  unsigned levels() const { return narrow() ? 2 : GetParam().format == TableFormat::Pae ? 3 : 4; }

  void set_controls() {
    processor_.set(StateField::cr0, cr0::PE | cr0::PG | (controls_.write_protect ? cr0::WP : 0));
    processor_.set(StateField::cr4, cr4::PSE | (narrow() ? 0 : cr4::PAE) | (controls_.smep ? cr4::SMEP : 0) |
                                        (controls_.smap ? cr4::SMAP : 0));
    const bool long_mode = GetParam().format == TableFormat::FourLevel;
    processor_.set(StateField::efer, (long_mode ? efer::LME | efer::LMA : 0) | (controls_.no_execute ? efer::NXE : 0));
    processor_.set(StateField::rflags, controls_.alignment_check ? rflags::AC : 0);
  }

  void load_cr3(u64 value) {
    cr3_ = first_table + value % tables * page_size;
    processor_.set(StateField::cr3, cr3_);
  }

  void reload_root() {
    reference_.load_root(cr3_);
    ASSERT_TRUE(mode_->root_written());
  }

  u64 random_entry() {
    u64 entry = (first_table + random_() % tables * page_size) & ~u64{0xfff};
    if (random_() % 3 == 0) entry = random_() % guest_bytes & ~u64{0xfff};
    if (random_() % 40 == 0) entry = u64{0x50} << 20;  // no RAM
    entry |= random_() & 0x67;
    if (random_() % 8 != 0) entry |= present;
    if (random_() % 4 != 0) entry |= user | writable;
    if (GetParam().format == TableFormat::Pae && random_() % 2 == 0) entry &= ~u64{0x66};  // fit for the root
    if (random_() % 12 == 0) entry = (entry & ~u64{0x3f'f000}) | large;
    if (random_() % 60 == 0) entry |= u64{1} << 21;
    if (narrow()) return entry & 0xffff'ffff;
    if (random_() % 10 == 0) entry |= no_execute;
    if (random_() % 60 == 0) entry |= u64{1} << 45;
    if (random_() % 60 == 0) entry |= u64{1} << 55;
    return entry;
  }

  /// Few indices in each table, so that addresses meet.
  u64 index(u64 number) const { return std::array<u64, 4>{0, 1, 2, narrow() ? 1023u : 255u}[number % 4]; }
  u64 address_of(u64 number) const {
    u64 address = 0;
    for (unsigned level = 0; level < levels(); ++level, number /= 4) {
      address |= index(number) << (12 + index_bits() * level);
    }
    return narrow() || GetParam().format == TableFormat::Pae ? address & 0xffff'ffff : address;
  }
  u64 addresses() const { return u64{1} << (2 * levels()); }

  void store_everywhere(u64 address, unsigned bytes, u64 value) {
    memory_.store(GuestPhysical(address), bytes, value);
    reference_.store(address, bytes, value);
  }

  /// The guest has changed tables: the shadow knows, the virtual TLB is told by a flush or by INVLPG of all pages.
  void flush() {
    if (GetParam().shadow) return;
    if (random_() % 2 == 0) {
      reload_root();
    } else {
      for (u64 i = 0; i < addresses(); ++i) mode_->invalidate(Linear(address_of(i)));
    }
  }

  void change_controls() {
    bool& control = *std::array{&controls_.write_protect, &controls_.no_execute, &controls_.smep, &controls_.smap,
                                &controls_.alignment_check}[random_() % 5];
    control = !control;
    set_controls();
    if (&control == &controls_.alignment_check) return;
    if (&control != &controls_.no_execute) return reload_root();
    reference_.load_root(cr3_);
    ASSERT_TRUE(mode_->controls_written());
  }

  /// The hardware on the tables that the mode made: WP and NXE are set, SMEP, SMAP and AC the guest's. `fault`: error code.
  std::optional<u64> walk_hardware(const GuestReach& a, u32& fault) {
    u64 table = processor_.root.value;
    const int count = GetParam().format == TableFormat::FourLevel ? 4 : 3;
    bool w = true, u = true, x = true;
    fault = (a.write ? 2u : 0u) | (a.by_user ? 4u : 0u) | (a.execute ? 16u : 0u);
    for (int level = count; level >= 1; --level) {
      const u64 entry = machine_.load(HostPhysical(table + (a.linear >> (12 + 9 * (level - 1)) & 511) * 8), 8);
      if ((entry & present) == 0) return {};
      EXPECT_EQ(entry >> 52 & 0x7ff, 0u);
      if (level < 3 || count == 4) {
        constexpr u64 beyond_memory = u64{0xfff} << 40;
        if ((entry & beyond_memory) != 0) {
          fault |= 9;
          return {};
        }
      }
      if (level == 3 && count == 3) {
        EXPECT_EQ(entry & 0xfff0'0000'0000'01e6, 0u);
      } else {
        w = w && (entry & writable) != 0;
        u = u && (entry & user) != 0;
        x = x && (entry & no_execute) == 0;
      }
      table = entry & frame;
    }
    fault |= 1;
    bool allowed = u || !a.by_user;
    if (a.execute) allowed = allowed && x && !(controls_.smep && u && !a.by_user);
    if (!a.execute && !a.by_user && controls_.smap && u && !controls_.alignment_check) allowed = false;
    if (!allowed || (a.write && !w)) return {};
    EXPECT_GE(table, guest_at);
    return table | (a.linear & 0xfff);
  }

  /// The access as a processor would make it, hidden faults and all. A write stores `value`.
  GuestOutcome perform(const GuestReach& a, u64 value) {
    for (unsigned attempt = 0; attempt < 4; ++attempt) {
      Exit exit;
      exit.reason = ExitReason::PageFault;
      exit.address = a.linear;
      if (const std::optional<u64> host = walk_hardware(a, exit.error_code)) {
        if (a.write) machine_.store(HostPhysical(*host), 8, value);
        return {*host - guest_at, 0};
      }
      // Where a guest is not told of fetches, a fetch exits whatever its cause.
      const bool tells_fetches = (controls_.no_execute && !narrow()) || controls_.smep;
      const u32 exits = 1 | (tells_fetches ? 0 : 16);
      if (GetParam().passes && (exit.error_code & exits) == 0) {
        ++passed_;
        return {{}, exit.error_code};
      }
      const FaultResult result = mode_->fault(exit);
      if (result.outcome == FaultOutcome::Inject) return {{}, result.error_code};
      if (result.outcome == FaultOutcome::Emulate) {
        if (a.write && memory_.store(result.address, 8, value)) mode_->memory_written(result.address, 8);
        return {result.address.value, 0};
      }
      EXPECT_EQ(result.outcome, FaultOutcome::Resume);
    }
    ADD_FAILURE() << "an access never came to an end";
    return {};
  }

  /// Accessed and dirty bits included.
  bool tables_agree() {
    std::array<u8, page_size> page;
    for (unsigned i = 0; i < tables; ++i) {
      const u64 at = first_table + i * page_size;
      memory_.read(GuestPhysical(at), page);
      if (!std::equal(page.begin(), page.end(), reference_.memory.begin() + static_cast<std::ptrdiff_t>(at)))
        return false;
    }
    return true;
  }

  void change_table() {
    const u64 at = first_table + random_() % tables * page_size + index(random_()) * entry_bytes();
    store_everywhere(at, entry_bytes(), random_entry());
    mode_->memory_written(GuestPhysical(at), entry_bytes());
    flush();
  }

  static bool is_table(u64 address) { return address >= first_table && address < first_table + tables * page_size; }

  /// Whether the access reached memory.
  bool access() {
    if (random_() % 2 == 0) page_ = address_of(random_() % addresses());
    GuestReach a{page_ | (random_() % page_size & ~u64{7}), random_() % 3 == 0, random_() % 2 == 0, false};
    a.execute = !a.write && random_() % 4 == 0;
    const u64 value = random_entry();
    const GuestOutcome expected = reference_.access(cr3_, controls_, a);
    if (a.write && expected.address) reference_.store(*expected.address, 8, value);
    const GuestOutcome got = perform(a, value);
    EXPECT_EQ(got.error, expected.error) << std::hex << a.linear;
    EXPECT_EQ(got.address, expected.address) << std::hex << a.linear;
    // It may have changed a table through the guest's own mapping.
    if (a.write && got.address && is_table(*got.address)) flush();
    return got.address.has_value();
  }

  HostMachine machine_{guest_at + guest_bytes};
  PagePool pool_{machine_};
  GuestMemory memory_{machine_, HostPhysical(guest_at), guest_bytes};
  GuestTablesReference reference_{guest_bytes};
  StillProcessor processor_;
  GuestControls controls_;
  std::unique_ptr<ShadowPaging> shadow_;
  std::unique_ptr<VirtualTlb> vtlb_;
  GuestPaging* mode_ = nullptr;
  std::mt19937_64 random_{11};
  u64 cr3_ = 0;
  u64 page_ = 0;  ///< of the latest access
  unsigned passed_ = 0;
};

TEST_P(HiddenPaging, GivesWhatTheGuestsTablesSay) {
  constexpr unsigned rounds = 300'000;
  unsigned reached = 0;
  for (unsigned round = 0; round < rounds && !HasFailure(); ++round) {
    SCOPED_TRACE(round);
    const u64 what = random_() % 64;
    if (what < 4) {
      load_cr3(random_());
      reload_root();
    } else if (what == 4) {
      change_controls();
    } else if (what == 5) {
      mode_->give_up_table(GuestPhysical(first_table + random_() % tables * page_size));
    } else if (what < 20) {
      change_table();
    } else {
      reached += access() ? 1 : 0;
    }
    if (round % 64 == 0) {
      ASSERT_TRUE(tables_agree()) << "accessed or dirty bits";
    }
  }
  EXPECT_GT(reached, rounds / 50);
  EXPECT_EQ(passed_ > rounds / 1000, GetParam().passes) << passed_;
}

/// A guest of 6 MiB whose tables a test writes before it starts.
struct ShadowedGuest {
  ShadowedGuest() { pool.add(0x1000, 16 << 20); }
  void load(u64 cr3) {
    processor.set(StateField::cr3, cr3);
    ASSERT_TRUE(paging.root_written());
  }
  /// As after a page fault that a mode keeps to itself.
  void use(u64 linear) {
    Exit exit;
    exit.reason = ExitReason::PageFault;
    exit.address = linear;
    EXPECT_EQ(paging.fault(exit).outcome, FaultOutcome::Resume);
  }

  HostMachine machine{64 << 20};
  PagePool pool{machine};
  GuestMemory memory{machine, HostPhysical(32 << 20), 6 << 20};
  StillProcessor processor;
  ShadowPaging paging{{machine, pool, memory, processor, 40}};
};

TEST(ShadowPaging, ALoadOfCr3FindsWhatItLedToLastTime) {
  ShadowedGuest g;
  constexpr u64 first = 0x10'0000, second = 0x20'0000;
  for (const u64 directory : {first, second}) {
    g.memory.store(GuestPhysical(directory), 4, (directory + page_size) | present | writable);
    g.memory.store(GuestPhysical(directory + page_size), 4, 0x30'0000 | present | writable);
  }
  g.processor.set(StateField::cr0, cr0::PE | cr0::PG);
  g.processor.set(StateField::cr3, first);
  ASSERT_TRUE(g.paging.start());
  const auto linked = [&] { return (g.machine.load(g.processor.root, 8) & present) != 0; };
  EXPECT_FALSE(linked());
  g.use(0);
  EXPECT_TRUE(linked());
  g.load(second);
  EXPECT_FALSE(linked());
  g.load(first);
  EXPECT_TRUE(linked());
}

/// Where Meltdown is to be kept out, Xen copies the root that its guests see at every switch of address spaces. All that
/// was below went with it: most exits of a dom0 were for what it had just had.
TEST(ShadowPaging, WhatARootLedToOutlastsItsBeingWrittenOver) {
  ShadowedGuest g;
  constexpr u64 root = 0x10'0000, other = 0x20'0000, near = 0, far = 64 * page_size;
  for (unsigned level = 0; level < 3; ++level) {
    g.memory.store(GuestPhysical(root + level * page_size), 8, (root + (level + 1) * page_size) | present | writable);
  }
  for (const u64 page : {near, far}) {
    g.memory.store(GuestPhysical(root + 3 * page_size + page / page_size * 8), 8,
                   (0x30'0000 + page) | present | writable);
  }
  g.processor.set(StateField::cr0, cr0::PE | cr0::PG);
  g.processor.set(StateField::cr4, cr4::PAE);
  g.processor.set(StateField::efer, efer::LME | efer::LMA);
  g.processor.set(StateField::cr3, root);
  ASSERT_TRUE(g.paging.start());
  const auto mapped = [&](u64 linear) {
    u64 entry = g.processor.root.value;
    for (unsigned level = 4; level >= 1; --level) {
      entry = g.machine.load(HostPhysical((entry & frame) + 8 * shadow::index_of(linear, level)), 8);
      if ((entry & present) == 0) return false;
    }
    return true;
  };
  g.use(near);
  g.use(far);
  g.load(other);
  ASSERT_TRUE(g.paging.overwritten(GuestPhysical(root)));
  g.load(root);
  EXPECT_FALSE(mapped(far));
  g.use(near);
  EXPECT_TRUE(mapped(far));
}

std::string case_name(const testing::TestParamInfo<Case>& chosen) {
  constexpr const char* formats[] = {"TwoLevel", "Pae", "FourLevel"};
  return std::string(chosen.param.shadow ? "Shadow" : "Vtlb") + formats[static_cast<unsigned>(chosen.param.format)] +
         (chosen.param.passes ? "WithMissingPagesPassed" : "");
}

INSTANTIATE_TEST_SUITE_P(Modes, HiddenPaging,
                         testing::Values(Case{false, TableFormat::FourLevel}, Case{false, TableFormat::Pae},
                                         Case{false, TableFormat::TwoLevel}, Case{true, TableFormat::FourLevel},
                                         Case{true, TableFormat::Pae}, Case{true, TableFormat::TwoLevel},
                                         Case{true, TableFormat::FourLevel, true}, Case{true, TableFormat::Pae, true},
                                         Case{true, TableFormat::TwoLevel, true}),
                         case_name);

}  // namespace
}  // namespace bunshin::vmm
