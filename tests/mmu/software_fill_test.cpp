// The registers by which a hypervisor fills the TLB (docs/translation_schemes.md), one question at a time.

#include <gtest/gtest.h>

#include "mmu/software_fill.h"

namespace bunshin {
namespace {

constexpr u64 root = 0x5000, present = 1, writable = 2, user = 4, dirty = 0x40;

class SoftwareFills : public testing::Test {
 protected:
  void SetUp() override {
    EXPECT_TRUE(fill_.write(fill_msr::root, root));
    guest_.mode = PagingMode::FourLevel;
    guest_.root = root;
    guest_.guest_tag = 3;
    guest_.write_protect = guest_.no_execute = true;
  }
  WalkResult miss(u64 address, AccessKind kind = AccessKind::Read, bool by_user = false) {
    return fill_.miss(Linear(address), {kind, by_user, false}, guest_);
  }
  u64 missed_address() const {
    u64 value = 0;
    EXPECT_TRUE(fill_.read(fill_msr::address, value));
    return value;
  }

  SoftwareFill fill_;
  PagingContext guest_;
};

TEST_F(SoftwareFills, ConcernGuestsWhoseCr3NamesTheRoot) {
  EXPECT_TRUE(fill_.concerns(guest_));
  PagingContext other = guest_;
  other.root = 0x6000;
  EXPECT_FALSE(fill_.concerns(other));
  other = guest_;
  other.guest_tag = 0;
  EXPECT_FALSE(fill_.concerns(other));
  EXPECT_TRUE(fill_.write(fill_msr::root, 0));
  EXPECT_FALSE(fill_.concerns(guest_));
  EXPECT_FALSE(fill_.write(fill_msr::root, 0x5008));
}

TEST_F(SoftwareFills, AMissIsAPageFaultThatSaysWhatWasTried) {
  const WalkResult fetch = miss(0x1234'5678, AccessKind::Execute, true);
  EXPECT_EQ(fetch.outcome, WalkOutcome::PageFault);
  EXPECT_EQ(fetch.error_code, page_fault::U | page_fault::ID);
  EXPECT_EQ(missed_address(), 0x1234'5678u);
  EXPECT_EQ(miss(0x1000, AccessKind::Write).error_code, page_fault::W);
}

TEST_F(SoftwareFills, AnEntryIsFoundByTheGuestThatMissed) {
  miss(0x7fff'1234);
  fill_.write(fill_msr::entry, 0xabc000 | present | user);
  const WalkResult found = miss(0x7fff'1ff8, AccessKind::Read, true);
  ASSERT_EQ(found.outcome, WalkOutcome::Translated);
  EXPECT_EQ(found.translation.page.value, 0xabc000u);
  guest_.guest_tag = 4;
  EXPECT_EQ(miss(0x7fff'1ff8).outcome, WalkOutcome::PageFault);
}

TEST_F(SoftwareFills, RightsAreTheEntrys) {
  miss(0x1000);
  fill_.write(fill_msr::entry, 0xabc000 | present | writable | pte::XD);
  EXPECT_EQ(miss(0x1000, AccessKind::Read, true).outcome, WalkOutcome::PageFault) << "a supervisor's page";
  for (const AccessKind refused : {AccessKind::Execute, AccessKind::Write}) {
    fill_.write(fill_msr::entry, 0xabc000 | present | writable | pte::XD);
    EXPECT_EQ(miss(0x1000).outcome, WalkOutcome::Translated);
    EXPECT_EQ(miss(0x1000, refused).outcome, WalkOutcome::PageFault) << "no execution, and D is clear";
  }
  fill_.write(fill_msr::entry, 0xabc000 | present | writable | dirty);
  EXPECT_EQ(miss(0x1000, AccessKind::Write).outcome, WalkOutcome::Translated);
}

TEST_F(SoftwareFills, LargePagesAreOf2MiB) {
  miss(0x4567'89ab);
  fill_.write(fill_msr::large_entry, 0x1240'0000 | present);
  const WalkResult found = miss(0x4560'0000);
  ASSERT_EQ(found.outcome, WalkOutcome::Translated);
  EXPECT_EQ(found.translation.shift, 21);
  EXPECT_EQ(found.translation.page.value, 0x1240'0000u);
  EXPECT_EQ(miss(0x4580'0000).outcome, WalkOutcome::PageFault);
}

TEST_F(SoftwareFills, TheLast32AreThere) {
  for (u64 page = 1; page <= 33; ++page) {
    miss(page << 12);
    fill_.write(fill_msr::entry, page << 12 | present);
  }
  for (u64 page = 2; page <= 33; ++page) EXPECT_EQ(miss(page << 12).outcome, WalkOutcome::Translated) << page;
  EXPECT_EQ(miss(1 << 12).outcome, WalkOutcome::PageFault);
  fill_.flush();
  EXPECT_EQ(miss(33 << 12).outcome, WalkOutcome::PageFault);
}

TEST_F(SoftwareFills, AnEntryThatIsNotPresentIsNone) {
  miss(0x1000);
  fill_.write(fill_msr::entry, 0xabc000);
  EXPECT_EQ(miss(0x1000).outcome, WalkOutcome::PageFault);
}

TEST_F(SoftwareFills, OtherRegistersAreNone) {
  u64 value = 0;
  EXPECT_FALSE(fill_.read(fill_msr::entry, value));
  EXPECT_FALSE(fill_.write(fill_msr::root + fill_msr::count, 0));
}

}  // namespace
}  // namespace bunshin
