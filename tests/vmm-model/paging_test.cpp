// The paging modes against a guest's tables: whatever the guest builds and however it changes it, the tables that the hardware
// walks give what an independent reading of the guest's tables gives.

#include <memory>
#include <optional>
#include <random>

#include <gtest/gtest.h>

#include "host_machine.h"
#include "vmm-model/paging/nested_paging.h"
#include "vmm-model/paging/shadow_paging.h"
#include "vmm-model/paging/virtual_tlb.h"

namespace bunshin::vmm {
namespace {

constexpr u64 present = 1, writable = 2, user = 4, dirty = 0x40, large = 0x80, no_execute = u64{1} << 63;
constexpr u64 frame = 0x000f'ffff'ffff'f000;

struct Access {
  u64 linear = 0;
  bool write = false, by_user = false, execute = false;
};

/// What a guest's access comes to: a physical address, or the error code of a page fault.
struct Outcome {
  std::optional<u64> address;
  u32 error = 0;
  bool operator==(const Outcome&) const = default;
};

/// The second opinion: 4-level, 32-bit, as a manual reads it aloud. NXE and WP as the test sets them.
class Reference {
 public:
  Reference(const GuestMemory& memory, bool long_mode, bool write_protect)
      : memory_(memory), long_mode_(long_mode), write_protect_(write_protect) {}

  Outcome translate(u64 cr3, const Access& a) const {
    const u32 base = (a.write ? 2u : 0u) | (a.by_user ? 4u : 0u) | (a.execute && long_mode_ ? 16u : 0u);
    const unsigned bytes = long_mode_ ? 8 : 4, bits = long_mode_ ? 9 : 10;
    u64 table = cr3;
    bool w = true, u = true, x = true;
    for (int level = long_mode_ ? 4 : 2; level >= 1; --level) {
      const unsigned shift = 12 + bits * static_cast<unsigned>(level - 1);
      const u64 index = a.linear >> shift & ((1u << bits) - 1);
      u64 entry = 0;
      if (!memory_.load(GuestPhysical(table + index * bytes), bytes, entry)) entry = ~u64{0};
      if ((entry & present) == 0) return {{}, base};
      const bool leaf = level == 1 || ((entry & large) != 0 && (long_mode_ ? level <= 3 : level == 2));
      if (reserved(entry, level, leaf, shift)) return {{}, base | 9u};
      w = w && (entry & writable) != 0;
      u = u && (entry & user) != 0;
      x = x && (!long_mode_ || (entry & no_execute) == 0);
      const u64 mask = (u64{1} << shift) - 1;
      if (leaf) {
        const bool allowed = a.execute ? x && (u || !a.by_user)
                                       : (u || !a.by_user) && (!a.write || w || (!a.by_user && !write_protect_));
        if (!allowed) return {{}, base | 1u};
        return {(entry & (long_mode_ ? frame : 0xffff'f000) & ~mask) | (a.linear & mask), 0};
      }
      table = entry & (long_mode_ ? frame : 0xffff'f000);
    }
    return {};
  }

 private:
  bool reserved(u64 entry, int level, bool leaf, unsigned shift) const {
    if (!long_mode_) return false;
    if ((entry & frame) >> 40 != 0) return true;
    if (level == 4 && (entry & large) != 0) return true;
    return leaf && level > 1 && (entry & ((u64{1} << shift) - 1) & ~u64{0x1fff}) != 0;
  }

  const GuestMemory& memory_;
  bool long_mode_, write_protect_;
};

struct Case {
  bool shadow;
  bool long_mode;
  bool write_protect;
};

class HiddenPaging : public testing::TestWithParam<Case> {
 protected:
  static constexpr u64 guest_bytes = 8 << 20, guest_at = 16 << 20;
  static constexpr u64 first_table = 0x10'0000;
  static constexpr unsigned tables = 10;

  void SetUp() override {
    pool_.add(0x1000, guest_at);
    processor_.set(StateField::cr0, cr0::PE | cr0::PG | (GetParam().write_protect ? cr0::WP : 0));
    processor_.set(StateField::cr4, cr4::PSE | (GetParam().long_mode ? cr4::PAE : 0));
    processor_.set(StateField::efer, GetParam().long_mode ? efer::LME | efer::LMA | efer::NXE : 0);
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

  void load_cr3(u64 value) {
    cr3_ = first_table + value % tables * page_size;
    processor_.set(StateField::cr3, cr3_);
  }

  u64 random_entry() {
    u64 entry = (first_table + random_() % tables * page_size) & ~u64{0xfff};
    if (random_() % 3 == 0) entry = random_() % guest_bytes & ~u64{0xfff};
    if (random_() % 40 == 0) entry = u64{0x50} << 20;  // no RAM
    entry |= random_() & 0x67;
    if (random_() % 8 != 0) entry |= present;
    if (random_() % 4 != 0) entry |= user | writable;
    if (random_() % 12 == 0) entry = (entry & ~u64{0x1f'f000}) | large;
    if (GetParam().long_mode && random_() % 10 == 0) entry |= no_execute;
    if (GetParam().long_mode && random_() % 60 == 0) entry |= u64{1} << 45;
    return entry;
  }

  /// Few indices in each table, so that addresses meet.
  u64 random_address() {
    u64 address = random_() % page_size;
    const unsigned bits = GetParam().long_mode ? 9 : 10;
    for (unsigned level = 0; level < (GetParam().long_mode ? 4u : 2u); ++level) {
      address |= random_index() << (12 + bits * level);
    }
    return address;
  }
  u64 random_index() {
    constexpr u64 indices[] = {0, 1, 2, 255};
    return indices[random_() % std::size(indices)];
  }

  /// The hardware on the tables that the mode made. `fault`: error code.
  std::optional<u64> walk_hardware(const Access& a, u32& fault) {
    u64 table = processor_.root.value;
    const int levels = GetParam().long_mode ? 4 : 3;
    bool w = true, u = true, x = true;
    fault = (a.write ? 2u : 0u) | (a.by_user ? 4u : 0u) | (a.execute ? 16u : 0u);
    for (int level = levels; level >= 1; --level) {
      const u64 entry = machine_.load(HostPhysical(table + (a.linear >> (12 + 9 * (level - 1)) & 511) * 8), 8);
      if ((entry & present) == 0) return {};
      EXPECT_EQ(entry >> 52 & 0x7ff, 0u);
      if (level != 3 || levels == 4) {
        w = w && (entry & writable) != 0;
        u = u && (entry & user) != 0;
        x = x && (entry & no_execute) == 0;
      }
      table = entry & frame;
    }
    fault |= 1;
    const bool allowed = a.execute ? x && (u || !a.by_user) : (u || !a.by_user) && (!a.write || w);
    if (!allowed) return {};
    return table | (a.linear & 0xfff);
  }

  /// The access as a processor would make it, hidden faults and all. A write stores `value`.
  Outcome perform(const Access& a, u64 value) {
    for (unsigned attempt = 0; attempt < 4; ++attempt) {
      Exit exit;
      exit.reason = ExitReason::PageFault;
      exit.address = a.linear;
      if (const std::optional<u64> host = walk_hardware(a, exit.error_code)) {
        if (a.write) machine_.store(HostPhysical(*host), 8, value);
        return {*host - guest_at, 0};
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

  HostMachine machine_{guest_at + guest_bytes};
  PagePool pool_{machine_};
  GuestMemory memory_{machine_, HostPhysical(guest_at), guest_bytes};
  StillProcessor processor_;
  std::unique_ptr<ShadowPaging> shadow_;
  std::unique_ptr<VirtualTlb> vtlb_;
  GuestPaging* mode_ = nullptr;
  std::mt19937_64 random_{11};
  u64 cr3_ = 0;
};

TEST_P(HiddenPaging, GivesWhatTheGuestsTablesSay) {
  const Reference reference(memory_, GetParam().long_mode, GetParam().write_protect);
  const unsigned bytes = GetParam().long_mode ? 8 : 4;
  unsigned reached = 0;
  for (unsigned round = 0; round < 60'000; ++round) {
    const u64 what = random_() % 16;
    if (what == 0) {
      load_cr3(random_());
      ASSERT_TRUE(mode_->root_written());
    } else if (what < 5) {
      // The guest changes a table, tells the mode as the emulator would, and does INVLPG to all that might use it.
      const GuestPhysical at(first_table + random_() % tables * page_size + random_index() * bytes);
      memory_.store(at, bytes, random_entry());
      mode_->memory_written(at, bytes);
      if (!GetParam().shadow) {
        ASSERT_TRUE(mode_->root_written());
      }
    } else {
      Access a{random_address() & ~u64{7}, random_() % 3 == 0, random_() % 2 == 0, false};
      a.execute = !a.write && random_() % 4 == 0;
      const Outcome expected = reference.translate(cr3_, a);
      const u64 value = random_entry();
      const Outcome got = perform(a, value);
      ASSERT_EQ(got.error, expected.error) << "round " << round << " address " << std::hex << a.linear;
      ASSERT_EQ(got.address, expected.address) << "round " << round << " address " << std::hex << a.linear;
      reached += got.address.has_value();
      // A write may have changed a table through the guest's own mapping: the virtual TLB is told by the guest.
      if (a.write && got.address && !GetParam().shadow) {
        ASSERT_TRUE(mode_->root_written());
      }
    }
  }
  EXPECT_GT(reached, 3'000u);
}

TEST_P(HiddenPaging, SetsAccessedAndDirtyBits) {
  const unsigned bytes = GetParam().long_mode ? 8 : 4;
  const u64 flags = present | writable | user;
  const unsigned levels = GetParam().long_mode ? 4 : 2;
  for (unsigned i = 0; i < levels; ++i) {
    memory_.store(GuestPhysical(cr3_ + i * page_size), bytes, (cr3_ + (i + 1) * page_size) | flags);
    mode_->memory_written(GuestPhysical(cr3_ + i * page_size), bytes);
  }
  const GuestPhysical leaf_at(cr3_ + (levels - 1) * page_size);
  u64 leaf = 0;
  perform({0x10, false, true, false}, 0);
  memory_.load(leaf_at, bytes, leaf);
  EXPECT_EQ(leaf & 0x60, 0x20u);
  perform({0x10, true, true, false}, 5);
  memory_.load(leaf_at, bytes, leaf);
  EXPECT_EQ(leaf & 0x60, 0x60u);
}

INSTANTIATE_TEST_SUITE_P(Modes, HiddenPaging,
                         testing::Values(Case{false, true, true}, Case{false, true, false}, Case{false, false, true},
                                         Case{true, true, true}, Case{true, true, false}, Case{true, false, true}),
                         [](const testing::TestParamInfo<Case>& chosen) {
                           return std::string(chosen.param.shadow ? "Shadow" : "Vtlb") +
                                  (chosen.param.long_mode ? "64" : "32") + (chosen.param.write_protect ? "" : "NoWp");
                         });

TEST(NestedPages, MapTheGuestsMemoryAndNothingElse) {
  HostMachine machine(64 << 20);
  PagePool pool(machine);
  pool.add(0x1000, 16 << 20);
  for (const u64 page_bytes : {page_size, u64{2} << 20, u64{1} << 30}) {
    GuestMemory memory(machine, HostPhysical(32 << 20), 6 << 20);
    StillProcessor processor;
    NestedPaging paging({machine, pool, memory, processor, 40}, page_bytes);
    ASSERT_TRUE(paging.start());
    const auto fault = [&](u64 address) {
      Exit exit;
      exit.reason = ExitReason::SecondStageFault;
      exit.address = address;
      return paging.fault(exit).outcome;
    };
    EXPECT_EQ(fault(0x5f'f123), FaultOutcome::Resume);
    EXPECT_EQ(fault(0x1234), FaultOutcome::Resume);
    EXPECT_EQ(fault(0x60'0000), FaultOutcome::Emulate);
    EXPECT_EQ(fault(0xb8000), FaultOutcome::Emulate);
    EXPECT_EQ(fault(~u64{0}), FaultOutcome::Emulate);
    // Every leaf lies in the guest's memory.
    const auto check = [&](const auto& self, u64 table, unsigned level) -> void {
      for (unsigned i = 0; i < 512; ++i) {
        const u64 entry = machine.load(HostPhysical(table + 8 * i), 8);
        if ((entry & present) == 0) continue;
        if (level == 1 || (entry & large) != 0) {
          EXPECT_GE(entry & frame, u64{32} << 20);
          EXPECT_LE((entry & frame) + (u64{1} << (12 + 9 * (level - 1))), u64{38} << 20);
        } else {
          self(self, entry & frame, level - 1);
        }
      }
    };
    check(check, processor.root.value, 4);
  }
}

}  // namespace
}  // namespace bunshin::vmm
