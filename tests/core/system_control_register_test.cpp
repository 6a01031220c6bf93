#include "core/system/control_registers.h"

#include "core/system/msr.h"
#include "system_fixture.h"

namespace bunshin {
namespace {

constexpr u64 global = 0x100, no_flush = u64{1} << 63;

TEST(Cr0, ImpossibleCombinationsAreRefused) {
  for (const u64 value : {u64{cr0::PG}, u64{cr0::NW | cr0::PE}, u64{1} << 32 | cr0::PE}) {
    TestCore t;
    const u64 before = t.cpu.state.cr0;
    EXPECT_FALSE(write_cr0(t.cpu, value)) << std::hex << value;
    EXPECT_TRUE(t.raised(Vector::GP));
    EXPECT_EQ(t.cpu.state.cr0, before);
  }
}

TEST(ControlRegister, ThatDoesNotExistIsUndefinedAtAnyLevel) {
  TestCore t;
  t.cpu.state.cpl = 3;
  Record r;
  r.reg = 1;
  EXPECT_FALSE(semantics::mov_from_cr(t.cpu, r));
  EXPECT_TRUE(t.raised(Vector::UD));
  t.clear();
  r.reg = 0;
  EXPECT_FALSE(semantics::mov_to_cr(t.cpu, r));
  EXPECT_TRUE(t.raised(Vector::GP));
}

TEST(Cr0, ExtensionTypeCannotBeCleared) {
  TestCore t;
  ASSERT_TRUE(write_cr0(t.cpu, cr0::PE));
  EXPECT_EQ(t.cpu.state.cr0, cr0::PE | cr0::ET);
}

TEST(Cr0, PagingWithLmeActivatesLongMode) {
  TestCore t;
  t.cpu.state.cr4 = cr4::PAE;
  t.cpu.state.msr.efer = efer::LME;
  ASSERT_TRUE(write_cr0(t.cpu, cr0::PE | cr0::PG));
  EXPECT_TRUE(t.cpu.state.long_mode_active());
}

TEST(Cr0, LongModeNeedsPae) {
  TestCore t;
  t.cpu.state.msr.efer = efer::LME;
  EXPECT_FALSE(write_cr0(t.cpu, cr0::PE | cr0::PG));
}

TEST(Cr0, LongModeNeedsA32BitTss) {
  TestCore t;
  t.cpu.state.cr4 = cr4::PAE;
  t.cpu.state.msr.efer = efer::LME;
  t.cpu.state.tr.attributes = Segment::present | 3;
  EXPECT_FALSE(write_cr0(t.cpu, cr0::PE | cr0::PG));
}

TEST(Cr0, PagingCannotEndIn64BitCode) {
  TestCore t;
  t.enter_long_mode();
  EXPECT_FALSE(write_cr0(t.cpu, cr0::PE));
  t.clear();
  t.cpu.state.segment(Seg::CS).attributes &= ~Segment::long_mode;
  ASSERT_TRUE(write_cr0(t.cpu, cr0::PE));
  EXPECT_FALSE(t.cpu.state.long_mode_active());
}

TEST(Cr0, PaePagingLoadsItsFourPointers) {
  TestCore t;
  t.poke(0x5000, 0x6001);
  t.poke(0x5018, 0x7001);
  t.cpu.state.cr3 = 0x5000;
  t.cpu.state.cr4 = cr4::PAE;
  ASSERT_TRUE(write_cr0(t.cpu, cr0::PE | cr0::PG));
  EXPECT_EQ(t.cpu.state.pdpte[0], 0x6001u);
  EXPECT_EQ(t.cpu.state.pdpte[3], 0x7001u);
}

TEST(Cr0, ReservedBitInAPaePointerIsRefused) {
  TestCore t;
  t.poke(0x5000, 0x6003);
  t.cpu.state.cr3 = 0x5000;
  t.cpu.state.cr4 = cr4::PAE;
  EXPECT_FALSE(write_cr0(t.cpu, cr0::PE | cr0::PG));
  EXPECT_FALSE(t.cpu.state.paging());
}

TEST(Cr0, LmswSetsButNeverClearsPe) {
  TestCore t;
  Record r;
  r.rm = semantics::offset_of(RAX);
  t.set(RAX, cr0::PE | cr0::TS);
  ASSERT_TRUE(semantics::lmsw(t.cpu, r));
  t.set(RAX, 0);
  ASSERT_TRUE(semantics::lmsw(t.cpu, r));
  EXPECT_EQ(t.cpu.state.cr0 & 0xf, cr0::PE);
}

TEST(Cr4, BitsOutsideTheProfileAreReserved) {
  TestCore t(resolved_profile("GenuineIntel", {"fpu", "msr", "pae", "pse"}));
  EXPECT_TRUE(write_cr4(t.cpu, cr4::PAE | cr4::PSE));
  EXPECT_FALSE(write_cr4(t.cpu, cr4::PGE));
  EXPECT_FALSE(write_cr4(t.cpu, cr4::VMXE));
}

TEST(Cr4, PcideNeedsLongModeAndACleanCr3) {
  TestCore t;
  EXPECT_FALSE(write_cr4(t.cpu, cr4::PCIDE));
  t.clear();
  t.enter_long_mode();
  t.cpu.state.cr3 |= 8;
  EXPECT_FALSE(write_cr4(t.cpu, cr4::PAE | cr4::PCIDE));
  t.clear();
  t.cpu.state.cr3 &= ~u64{0xfff};
  EXPECT_TRUE(write_cr4(t.cpu, cr4::PAE | cr4::PCIDE));
}

TEST(Cr4, LongModeKeepsPaeAndLa57) {
  TestCore t;
  t.enter_long_mode();
  EXPECT_FALSE(write_cr4(t.cpu, 0));
  EXPECT_FALSE(write_cr4(t.cpu, cr4::PAE | cr4::LA57));
}

TEST(Cr3, AddressBeyondThePhysicalWidthIsRefusedInLongMode) {
  TestCore t;
  t.enter_long_mode();
  EXPECT_FALSE(write_cr3(t.cpu, u64{1} << t.profile.physical_bits));
  EXPECT_FALSE(write_cr3(t.cpu, 0x1000 | no_flush)) << "without PCIDE bit 63 is reserved";
  EXPECT_EQ(t.cpu.state.cr3, 0x1000u);
}

TEST(Cr8, IsTheApicsPriorityClass) {
  TestCore t;
  ASSERT_TRUE(write_cr8(t.cpu, 9));
  EXPECT_EQ(t.apic.task_priority_class(), 9);
  EXPECT_FALSE(write_cr8(t.cpu, 16));
}

/// Page 0 is an ordinary page, page 1 a global one; both are cached, then remapped: their translations are stale.
class Flush : public testing::Test {
 protected:
  Flush() {
    t.enter_long_mode();
    t.cpu.state.cr4 |= cr4::PGE;
    t.map(1, TestCore::frame(1), 7 | global);
    t.cpu.update_mode();
    cache_and_remap();
  }
  void cache_and_remap() {
    EXPECT_EQ(t.where(0), TestCore::frame(0));
    EXPECT_EQ(t.where(1), TestCore::frame(1));
    t.map(0, TestCore::frame(8));
    t.map(1, TestCore::frame(9), 7 | global);
  }
  void use_pcids() { ASSERT_TRUE(write_cr4(t.cpu, t.cpu.state.cr4 | cr4::PCIDE)); }
  bool page_stale() { return t.where(0) == TestCore::frame(0); }
  bool global_stale() { return t.where(1) == TestCore::frame(1); }

  TestCore t;
};

TEST_F(Flush, NothingHappensUnasked) {
  EXPECT_TRUE(page_stale());
  EXPECT_TRUE(global_stale());
}

TEST_F(Flush, Cr3DropsAllButGlobals) {
  ASSERT_TRUE(write_cr3(t.cpu, 0x1000));
  EXPECT_FALSE(page_stale());
  EXPECT_TRUE(global_stale());
}

TEST_F(Flush, Cr3WithBit63KeepsEverything) {
  use_pcids();
  ASSERT_TRUE(write_cr3(t.cpu, 0x1000 | no_flush));
  EXPECT_TRUE(page_stale());
  EXPECT_TRUE(global_stale());
  EXPECT_EQ(t.cpu.state.cr3, 0x1000u) << "bit 63 is not stored";
}

TEST_F(Flush, Cr3OfAnotherPcidLeavesThisOnesTranslations) {
  use_pcids();
  ASSERT_TRUE(write_cr3(t.cpu, 0x1005));
  EXPECT_FALSE(page_stale()) << "not this PCID's";
  ASSERT_TRUE(write_cr3(t.cpu, 0x1000 | no_flush));
  EXPECT_TRUE(page_stale());
}

TEST_F(Flush, Cr3DropsTheNewPcidOnly) {
  use_pcids();
  ASSERT_TRUE(write_cr3(t.cpu, 0x1005));
  ASSERT_TRUE(write_cr3(t.cpu, 0x1000));
  EXPECT_FALSE(page_stale());
}

TEST_F(Flush, TogglingPgeDropsGlobals) {
  ASSERT_TRUE(write_cr4(t.cpu, t.cpu.state.cr4 & ~cr4::PGE));
  EXPECT_FALSE(page_stale());
  EXPECT_FALSE(global_stale());
}

TEST_F(Flush, ClearingPcideDropsEverything) {
  use_pcids();
  ASSERT_TRUE(write_cr4(t.cpu, t.cpu.state.cr4 & ~cr4::PCIDE));
  EXPECT_FALSE(page_stale());
  EXPECT_FALSE(global_stale());
}

TEST_F(Flush, RaisingSmepDropsTranslations) {
  ASSERT_TRUE(write_cr4(t.cpu, t.cpu.state.cr4 | cr4::SMEP));
  EXPECT_FALSE(page_stale());
}

TEST_F(Flush, OtherCr4BitsDropNothing) {
  ASSERT_TRUE(write_cr4(t.cpu, t.cpu.state.cr4 | cr4::OSFXSR | cr4::UMIP));
  EXPECT_TRUE(page_stale());
}

TEST_F(Flush, Cr0WithoutPgChangeDropsNothing) {
  ASSERT_TRUE(write_cr0(t.cpu, t.cpu.state.cr0 | cr0::WP));
  EXPECT_TRUE(page_stale());
}

class Invalidate : public Flush {
 protected:
  /// The record of an instruction whose memory operand is [RBX].
  Record operand(u64 address) {
    Record r;
    r.base = semantics::offset_of(RBX);
    r.index = static_cast<u8>(CpuState::zero_slot * 8);
    r.reg = semantics::offset_of(RAX);
    r.prefixes = static_cast<u8>(2 << 2 | 3 | prefix::memory);
    r.segment = static_cast<u8>(Seg::DS) & 0xf;
    t.set(RBX, address);
    return r;
  }
  /// INVPCID with its descriptor in page 4.
  bool invpcid(u64 type, u64 pcid, u64 linear = 0) {
    t.poke(TestCore::frame(4), pcid);
    t.poke(TestCore::frame(4) + 8, linear);
    t.set(RAX, type);
    return semantics::invpcid(t.cpu, operand(0x204000));
  }
};

TEST_F(Invalidate, InvlpgDropsOnePageGlobalOrNot) {
  ASSERT_TRUE(semantics::invlpg(t.cpu, operand(0x201000)));
  EXPECT_TRUE(page_stale());
  EXPECT_FALSE(global_stale());
}

TEST_F(Invalidate, InvlpgOfANonCanonicalAddressDoesNothing) {
  ASSERT_TRUE(semantics::invlpg(t.cpu, operand(u64{1} << 60)));
  EXPECT_TRUE(page_stale());
}

TEST_F(Invalidate, InvpcidOneAddressKeepsGlobals) {
  ASSERT_TRUE(invpcid(0, 0, 0x200000));
  ASSERT_TRUE(invpcid(0, 0, 0x201000));
  EXPECT_FALSE(page_stale());
  EXPECT_TRUE(global_stale());
}

TEST_F(Invalidate, InvpcidOneContextKeepsGlobals) {
  ASSERT_TRUE(invpcid(1, 0));
  EXPECT_FALSE(page_stale());
  EXPECT_TRUE(global_stale());
}

TEST_F(Invalidate, InvpcidAllDropsGlobalsToo) {
  ASSERT_TRUE(invpcid(2, 0));
  EXPECT_FALSE(page_stale());
  EXPECT_FALSE(global_stale());
}

TEST_F(Invalidate, InvpcidAllButGlobalsKeepsThem) {
  ASSERT_TRUE(invpcid(3, 0));
  EXPECT_FALSE(page_stale());
  EXPECT_TRUE(global_stale());
}

TEST_F(Invalidate, InvpcidRefusesWhatTheManualReserves) {
  EXPECT_FALSE(invpcid(4, 0)) << "type";
  EXPECT_TRUE(t.raised(Vector::GP));
  t.clear();
  EXPECT_FALSE(invpcid(2, 0x1000)) << "descriptor bits 63:12";
  t.clear();
  EXPECT_FALSE(invpcid(1, 5)) << "a PCID without CR4.PCIDE";
  t.clear();
  EXPECT_FALSE(invpcid(0, 0, u64{1} << 60)) << "non-canonical";
}

}  // namespace
}  // namespace bunshin
