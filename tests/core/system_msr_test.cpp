#include "core/system/msr.h"

#include "system_fixture.h"

namespace bunshin {
namespace {

u64 value_of(TestCore& t, u32 index) {
  u64 value = 0xdead;
  EXPECT_TRUE(read_msr(t.cpu, index, value)) << std::hex << index;
  return value;
}

bool exists(TestCore& t, u32 index) {
  u64 value = 0;
  return read_msr(t.cpu, index, value);
}

struct Case {
  u32 index;
  u64 value;
  bool accepted;
};

class MsrWrite : public testing::TestWithParam<Case> {};

/// A refused value changes nothing, an accepted one reads back.
TEST_P(MsrWrite, IsAcceptedOrRefused) {
  TestCore t;
  const Case c = GetParam();
  const u64 before = value_of(t, c.index);
  EXPECT_EQ(write_msr(t.cpu, c.index, c.value), c.accepted);
  EXPECT_EQ(value_of(t, c.index), c.accepted ? c.value : before);
}

constexpr u64 non_canonical = 0x0200'0000'0000'0000;

INSTANTIATE_TEST_SUITE_P(
    Values, MsrWrite,
    testing::Values(
        // PAT: types 0, 1, 4-7 in every byte.
        Case{0x277, 0x0706050401000706, true}, Case{0x277, 0x02, false}, Case{0x277, 0x0300000000000000, false},
        Case{0x277, 0x08, false},
        // Fixed MTRRs: no UC-.
        Case{0x250, 0x0606060606060606, true}, Case{0x258, 0x07, false}, Case{0x26f, 0x0200000000000000, false},
        // Variable MTRRs: base with type, mask with valid bit, within the physical address width.
        Case{0x200, 0x80000006, true}, Case{0x200, 0x80000002, false}, Case{0x200, 0x80000106, false},
        Case{0x200, u64{1} << 46 | 6, false}, Case{0x201, 0x3fff80000800, true}, Case{0x201, 0x400, false},
        Case{0x20f, u64{1} << 47, false},
        // MTRR default type.
        Case{0x2ff, 0xc06, true}, Case{0x2ff, 0xc07, false}, Case{0x2ff, 0x100, false}, Case{0x2ff, 0x1000, false},
        // EFER: only what the profile has; LMA is not software's.
        Case{0xc0000080, efer::SCE | efer::LME | efer::NXE, true}, Case{0xc0000080, efer::SVME, false},
        Case{0xc0000080, 2, false},
        // Addresses must be canonical (for five-level paging here).
        Case{0xc0000082, 0xffff800000000000, true}, Case{0xc0000082, non_canonical, false},
        Case{0xc0000100, non_canonical, false}, Case{0xc0000102, non_canonical, false},
        Case{0x175, non_canonical, false},
        // 32-bit registers.
        Case{0xc0000103, 0xffffffff, true}, Case{0xc0000103, u64{1} << 32, false},
        Case{0xc0000084, u64{1} << 32, false}, Case{0x174, u64{1} << 32, false},
        // Machine check: status registers may only be cleared, controls are storage.
        Case{0x400, ~u64{0}, true}, Case{0x400, non_canonical, false}, Case{0x401, 1, false}, Case{0x40d, 0, true},
        Case{0x17a, 8, false}, Case{0x1d9, 2, true}, Case{0x1d9, 0x40, false}, Case{0x48, 1, true},
        Case{0x48, 2, false}, Case{0x3a, 1, false}, Case{0x179, 0, false}, Case{0xfe, 0, false}));

TEST(Msr, UnknownRegistersDoNotExist) {
  TestCore t;
  for (const u32 index : {0x2u, 0x186u, 0x38fu, 0x410u, 0x210u, 0x26au + 0x10u, 0x4000'0000u, 0xc001'0200u}) {
    EXPECT_FALSE(exists(t, index)) << std::hex << index;
    EXPECT_FALSE(write_msr(t.cpu, index, 0)) << std::hex << index;
  }
}

TEST(Msr, RdmsrOfAnUnknownRegisterIsGeneralProtection) {
  TestCore t;
  t.set(RCX, 0x4000'0000);
  EXPECT_FALSE(semantics::rdmsr(t.cpu, Record{}));
  EXPECT_TRUE(t.raised(Vector::GP));
}

TEST(Msr, VendorDecidesWhoseRegistersExist) {
  TestCore intel;
  TestCore amd(resolved_profile("AuthenticAMD"));
  EXPECT_TRUE(exists(intel, 0x1a0));
  EXPECT_FALSE(exists(amd, 0x1a0));
  EXPECT_FALSE(exists(intel, 0xc0010010));
  EXPECT_TRUE(exists(amd, 0xc0010010));
}

TEST(Msr, FeatureDecidesWhetherARegisterExists) {
  TestCore t(resolved_profile("GenuineIntel", {"msr", "tsc", "apic"}));
  EXPECT_TRUE(exists(t, 0x10));
  EXPECT_FALSE(exists(t, 0x3b));
  EXPECT_FALSE(exists(t, 0x277));
  EXPECT_FALSE(exists(t, 0xc0000080));
}

TEST(Msr, LmeCannotChangeWhilePaging) {
  TestCore t;
  t.enter_long_mode();
  EXPECT_FALSE(write_msr(t.cpu, 0xc0000080, 0));
  EXPECT_TRUE(write_msr(t.cpu, 0xc0000080, efer::LME | efer::NXE));
  EXPECT_TRUE(t.cpu.state.long_mode_active()) << "LMA survives";
}

TEST(Msr, MiscEnableKeepsWhatSoftwareMaySet) {
  TestCore t;
  constexpr u64 value = 0x4'00c5'0809;  // all that is writable, and one read-only bit
  ASSERT_TRUE(write_msr(t.cpu, 0x1a0, value));
  EXPECT_EQ(value_of(t, 0x1a0), value | misc_enable::pebs_unavailable);
  EXPECT_FALSE(write_msr(t.cpu, 0x1a0, 2));
}

TEST(Msr, MachineCheckAddressIsStorage) {
  TestCore t;
  ASSERT_TRUE(write_msr(t.cpu, 0x402, 0xaaaa'0000'0000'0000));
  EXPECT_EQ(value_of(t, 0x402), 0xaaaa'0000'0000'0000u);
  EXPECT_EQ(value_of(t, 0x406), 0u);
}

TEST(Msr, XdDisableForbidsNxe) {
  TestCore t;
  ASSERT_TRUE(write_msr(t.cpu, 0x1a0, misc_enable::xd_disable));
  EXPECT_FALSE(write_msr(t.cpu, 0xc0000080, efer::NXE));
}

TEST(Msr, WritingTheTscMovesTscAdjustByTheSame) {
  TestCore t;
  t.cpu.deadline = 1000;
  ASSERT_TRUE(write_msr(t.cpu, 0x10, 5000));
  EXPECT_EQ(value_of(t, 0x10), 5000u);
  EXPECT_EQ(value_of(t, 0x3b), 4000u);
}

TEST(Msr, WritingTscAdjustMovesTheTsc) {
  TestCore t;
  t.cpu.deadline = 1000;
  ASSERT_TRUE(write_msr(t.cpu, 0x3b, ~u64{0}));
  EXPECT_EQ(value_of(t, 0x10), 999u);
}

class Deadline : public testing::Test {
 protected:
  Deadline() {
    t.cpu.deadline = 1000;
    // Software enabled, timer LVT in TSC-deadline mode.
    t.apic.write(0, LocalApic::svr_register, 4, 0x1ff);
    t.apic.write(0, LocalApic::lvt_timer_register, 4, 2u << 17 | 0x30);
  }
  TestCore t;
};

TEST_F(Deadline, ArmsTheCycleAtWhichTheTscReachesIt) {
  ASSERT_TRUE(write_msr(t.cpu, 0x6e0, 3000));
  EXPECT_EQ(t.host.alarm, Clock{t.profile.frequency}.at(3000));
}

TEST_F(Deadline, MovesWithTheTsc) {
  ASSERT_TRUE(write_msr(t.cpu, 0x6e0, 3000));
  ASSERT_TRUE(write_msr(t.cpu, 0x3b, 500));
  EXPECT_EQ(t.host.alarm, Clock{t.profile.frequency}.at(2500));
}

TEST_F(Deadline, BeyondSimulatedTimeNeverComes) {
  ASSERT_TRUE(write_msr(t.cpu, 0x6e0, ~u64{0}));
  EXPECT_EQ(t.host.alarm, SimTime::never());
}

TEST(Msr, X2apicRangeNeedsX2apicMode) {
  TestCore t;
  EXPECT_FALSE(exists(t, 0x802));
  ASSERT_TRUE(write_msr(t.cpu, 0x1b, value_of(t, 0x1b) | 1u << 10));
  EXPECT_EQ(value_of(t, 0x802), 0u);
}

TEST(Msr, VariableMtrrCountIsWhatTheCapabilitySays) {
  TestCore t;
  const u32 count = static_cast<u32>(value_of(t, 0xfe) & 0xff);
  EXPECT_TRUE(exists(t, 0x200 + 2 * count - 1));
  EXPECT_FALSE(exists(t, 0x200 + 2 * count));
}

TEST(Msr, MtrrWritesDropTranslations) {
  TestCore t;
  t.enter_long_mode();
  ASSERT_EQ(t.where(0), TestCore::frame(0));
  t.map(0, TestCore::frame(9));
  ASSERT_EQ(t.where(0), TestCore::frame(0)) << "stale";
  ASSERT_TRUE(write_msr(t.cpu, 0x2ff, 0xc06));
  EXPECT_EQ(t.where(0), TestCore::frame(9));
}

}  // namespace
}  // namespace bunshin
