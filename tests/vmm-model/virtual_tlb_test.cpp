// What the virtual TLB holds, and when it loses it: as a processor's TLB would.

#include <gtest/gtest.h>

#include "host_machine.h"
#include "vmm-model/paging/virtual_tlb.h"

namespace bunshin::vmm {
namespace {

constexpr u64 user_page = pte::P | pte::RW | pte::US | pte::A | pte::D;

class VirtualTlbTest : public testing::Test {
 protected:
  static constexpr u64 guest_bytes = 64 << 20, guest_at = 32 << 20, leaves = 0x10'4000;

  /// Four levels whose lowest table maps linear 0 to 2 MiB, all upper entries used.
  void SetUp() override {
    pool_.add(0x1000, guest_at);
    processor_.set(StateField::cr0, cr0::PE | cr0::PG | cr0::WP);
    processor_.set(StateField::cr4, cr4::PAE | cr4::PGE);
    processor_.set(StateField::efer, efer::LME | efer::LMA | efer::NXE);
    processor_.set(StateField::cr3, 0x10'1000);
    for (u64 table = 0x10'1000; table < leaves; table += page_size) {
      memory_.store(GuestPhysical(table), 8, (table + page_size) | user_page);
    }
    ASSERT_TRUE(tlb_.start());
  }

  void map(u64 page, u64 flags) { memory_.store(GuestPhysical(leaves + 8 * page), 8, (page << 12) | flags); }
  static Linear address_of(u64 page) { return Linear(page << 12); }
  FaultOutcome touch(u64 linear) {
    Exit exit;
    exit.reason = ExitReason::PageFault;
    exit.address = linear;
    exit.error_code = page_fault::U;
    return tlb_.fault(exit).outcome;
  }
  /// The entry that the hardware finds; 0: none.
  u64 held(u64 page) {
    u64 entry = processor_.root.value;
    for (unsigned level = 4; level >= 1; --level) {
      entry = machine_.load(HostPhysical(entry & entry_address_bits) + 8 * (page >> 9 * (level - 1) & 511), 8);
      if ((entry & pte::P) == 0) return 0;
    }
    return entry;
  }

  HostMachine machine_{guest_at + guest_bytes};
  PagePool pool_{machine_};
  GuestMemory memory_{machine_, HostPhysical(guest_at), guest_bytes};
  StillProcessor processor_;
  VirtualTlb tlb_{PagingContext{machine_, pool_, memory_, processor_, 40}};
};

TEST_F(VirtualTlbTest, GlobalPagesOutliveALoadOfCr3AndNothingElseDoes) {
  map(8, user_page | pte::G);
  map(9, user_page);
  map(16, user_page);
  for (const u64 page : {8, 9, 16}) ASSERT_EQ(touch(page << 12), FaultOutcome::Resume);
  ASSERT_TRUE(tlb_.root_written());
  EXPECT_NE(held(8), 0u);
  EXPECT_EQ(held(9), 0u);
  EXPECT_EQ(held(16), 0u);
  EXPECT_GT(processor_.flushes, 0u);
}

TEST_F(VirtualTlbTest, GlobalPagesAreNoneWithoutPge) {
  processor_.set(StateField::cr4, cr4::PAE);
  map(8, user_page | pte::G);
  ASSERT_EQ(touch(8 << 12), FaultOutcome::Resume);
  ASSERT_TRUE(tlb_.root_written());
  EXPECT_EQ(held(8), 0u);
}

TEST_F(VirtualTlbTest, GlobalPagesLeaveWithInvlpgAndWithTheBitsThatGovernRights) {
  map(8, user_page | pte::G);
  for (const bool all : {false, true}) {
    ASSERT_EQ(touch(8 << 12), FaultOutcome::Resume);
    ASSERT_NE(held(8), 0u);
    if (all) {
      ASSERT_TRUE(tlb_.rights_written());
    } else {
      tlb_.invalidate(address_of(8));
    }
    EXPECT_EQ(held(8), 0u);
  }
}

// SDM vol. 3, 4.10.2.3: what is not accessed a processor may not cache, and what is clean it must not let write.
TEST_F(VirtualTlbTest, NeighboursThatTheGuestHasUsedAreFilledAlong) {
  map(8, user_page & ~pte::A);
  map(9, user_page);
  map(10, user_page & ~pte::A);
  map(11, user_page & ~pte::D);
  map(12, user_page & ~pte::P);
  map(13, user_page & ~pte::US);
  map(14, user_page | u64{1} << 45);
  map(16, user_page);
  ASSERT_EQ(touch(8 << 12), FaultOutcome::Resume);
  EXPECT_NE(held(8), 0u);
  EXPECT_EQ(held(9) & (pte::RW | pte::US), pte::RW | pte::US);
  EXPECT_EQ(held(9) & entry_address_bits, guest_at + 0x9000);
  EXPECT_EQ(held(10), 0u);
  EXPECT_EQ(held(11) & (pte::P | pte::RW), pte::P);
  EXPECT_EQ(held(12), 0u);
  EXPECT_EQ(held(13) & (pte::P | pte::US), pte::P);
  EXPECT_EQ(held(14), 0u);
  EXPECT_EQ(held(16), 0u) << "another line";
  // Reading them has set no bit.
  u64 entry = 0;
  memory_.load(GuestPhysical(leaves + 8 * 10), 8, entry);
  EXPECT_EQ(entry & pte::A, 0u);
}

// What fills and empties the same entries for ever must not take memory for ever.
TEST_F(VirtualTlbTest, TakesNoMoreMemoryForTheSameWork) {
  map(8, user_page | pte::G);
  map(9, user_page);
  const auto work = [&] {
    for (unsigned i = 0; i < 2000; ++i) {
      for (const u64 page : {8, 9}) {
        ASSERT_EQ(touch(page << 12), FaultOutcome::Resume);
        if (i % 3 != 0) tlb_.invalidate(address_of(page));
      }
      if (i % 4 == 0) {
        ASSERT_TRUE(tlb_.root_written());
      }
    }
  };
  work();
  const u64 before = tlb_.counters().table_pages;
  work();
  EXPECT_EQ(tlb_.counters().table_pages, before);
}

TEST_F(VirtualTlbTest, KeepsFewEmptyTables) {
  // Each entry of the root leads to the same tables.
  for (u64 i = 1; i < 256; ++i) memory_.store(GuestPhysical(0x10'1000 + 8 * i), 8, 0x10'2000 | user_page);
  map(8, user_page);
  for (u64 i = 0; i < 256; ++i) {
    ASSERT_EQ(touch(i << 39 | 8 << 12), FaultOutcome::Resume);
    if (i % 8 == 7) {
      ASSERT_TRUE(tlb_.root_written());
    }
  }
  EXPECT_LT(tlb_.counters().most_pages, 320u);
}

}  // namespace
}  // namespace bunshin::vmm
