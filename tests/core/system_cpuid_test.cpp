#include "core/system/cpuid.h"

#include <set>

#include "core/system/msr.h"
#include "system_fixture.h"

namespace bunshin {
namespace {

u32 register_value(const CpuidResult& r, Gpr reg) {
  return reg == RAX ? r.eax : reg == RBX ? r.ebx : reg == RCX ? r.ecx : r.edx;
}

bool shows(const Cpu& cpu, const CpuidFeatureBit& f) {
  return (register_value(cpuid_leaf(cpu, f.leaf, f.subleaf), f.reg) >> f.bit & 1) != 0;
}

TEST(Cpuid, EveryFeatureBitFollowsTheProfile) {
  for (const CpuidFeatureBit& f : cpuid_feature_bits()) {
    const bool amd = f.leaf == 0x8000'000a || f.feature == Feature::Svm || f.feature == Feature::Skinit;
    CpuProfile with = resolved_profile(amd ? "AuthenticAMD" : "GenuineIntel");
    with.features.set(static_cast<unsigned>(f.feature));
    CpuProfile without = with;
    without.features.reset(static_cast<unsigned>(f.feature));
    TestCore on(with);
    TestCore off(without);
    on.enter_long_mode();
    off.enter_long_mode();
    EXPECT_TRUE(shows(on.cpu, f)) << feature_name(f.feature);
    EXPECT_FALSE(shows(off.cpu, f)) << feature_name(f.feature);
  }
}

/// VT-x tells of its parts by capability MSRs.
TEST(Cpuid, EveryFeatureButTheBaseAndPartsOfVmxHasABit) {
  constexpr unsigned first_part = static_cast<unsigned>(Feature::VirtualNmis);
  std::set<Feature> told;
  for (const CpuidFeatureBit& f : cpuid_feature_bits()) told.insert(f.feature);
  EXPECT_EQ(told.size(), first_part - 1);
  for (const Feature f : told) EXPECT_LT(static_cast<unsigned>(f), first_part) << feature_name(f);
}

TEST(Cpuid, TellsAmdsCachesAndTopologyWithTheirFeature) {
  CpuProfile amd = resolved_profile("AuthenticAMD");
  amd.cores = amd.l3.cores = 4;
  TestCore t(amd);
  EXPECT_GE(cpuid_leaf(t.cpu, 0x8000'0000, 0).eax, 0x8000'001eu);
  const CpuidResult l3 = cpuid_leaf(t.cpu, 0x8000'001d, 3);
  EXPECT_EQ(l3.eax, 3u | 3u << 5 | 1u << 8 | 3u << 14);
  EXPECT_EQ((l3.ebx >> 22) + 1, 16u);
  EXPECT_EQ(cpuid_leaf(t.cpu, 0x8000'001d, 4).eax, 0u);
  EXPECT_EQ(cpuid_leaf(t.cpu, 0x8000'001e, 0).ebx, 0u);
  amd.features.reset(static_cast<unsigned>(Feature::Topoext));
  TestCore without(amd);
  EXPECT_EQ(cpuid_leaf(without.cpu, 0x8000'001d, 0).eax, 0u);
}

struct Told {
  u32 level, type, kib, ways, sharing;
  bool operator==(const Told&) const = default;
};

Told told(const CpuidResult& r) {
  const u32 ways = (r.ebx >> 22) + 1;
  return {r.eax >> 5 & 7, r.eax & 31, ways * (r.ecx + 1) * 64 / 1024, ways, (r.eax >> 14 & 0xfff) + 1};
}

TEST(Cpuid, CacheLeavesTellTheConfiguredCaches) {
  for (const std::string vendor : {"GenuineIntel", "AuthenticAMD"}) {
    CpuProfile p = resolved_profile(vendor);
    p.cores = 4;
    p.l1d = {24 << 10, 6};
    p.l1i = {64 << 10, 2};
    p.l2 = {6 << 20, 24, 2, true};
    p.l3 = {2 << 20, 32, 4};
    TestCore t(p);
    const u32 leaf = p.intel() ? 4 : 0x8000'001d;
    EXPECT_EQ(told(cpuid_leaf(t.cpu, leaf, 0)), (Told{1, 1, 24, 6, 1}));
    EXPECT_EQ(told(cpuid_leaf(t.cpu, leaf, 1)), (Told{1, 2, 64, 2, 1}));
    EXPECT_EQ(told(cpuid_leaf(t.cpu, leaf, 2)), (Told{2, 3, 6144, 24, 2}));
    EXPECT_EQ(told(cpuid_leaf(t.cpu, leaf, 3)), (Told{3, 3, 2048, 32, 4}));
    EXPECT_EQ(cpuid_leaf(t.cpu, leaf, 2).edx, 2u) << "inclusive";
    EXPECT_EQ(cpuid_leaf(t.cpu, leaf, 3).edx, 0u);
    EXPECT_EQ(cpuid_leaf(t.cpu, 0x8000'0006, 0).ecx >> 16, 6144u);
  }
}

TEST(Cpuid, AmdsOldLeavesTellTheConfiguredCaches) {
  CpuProfile p = resolved_profile("AuthenticAMD");
  p.l1d = {64 << 10, 2};
  p.l2 = {512 << 10, 16};
  p.l3 = {2 << 20, 32};
  TestCore t(p);
  EXPECT_EQ(cpuid_leaf(t.cpu, 0x8000'0005, 0).ecx, 0x40020140u);
  EXPECT_EQ(cpuid_leaf(t.cpu, 0x8000'0006, 0).ecx, 0x02008140u);
  EXPECT_EQ(cpuid_leaf(t.cpu, 0x8000'0006, 0).edx, 0x0010a140u);
  p.l3.size = 0;
  TestCore without(p);
  EXPECT_EQ(cpuid_leaf(without.cpu, 0x8000'0006, 0).edx, 0u);
  EXPECT_EQ(cpuid_leaf(without.cpu, 0x8000'001d, 3).eax, 0u);
}

TEST(Cpuid, DescriptorsTellTheCachesWhereThereIsNoLeafFour) {
  CpuProfile p = resolved_profile();
  p.highest_leaf = 2;
  p.l1d = {8 << 10, 4};
  p.l1i = {16 << 10, 8};
  p.l2 = {512 << 10, 8};
  p.l3.size = 0;
  TestCore t(p);
  EXPECT_EQ(cpuid_leaf(t.cpu, 0, 0).eax, 2u);
  EXPECT_EQ(cpuid_leaf(t.cpu, 2, 0).eax, 0x70406601u);
  EXPECT_EQ(cpuid_leaf(t.cpu, 2, 0).edx, 0x7bu);
  EXPECT_EQ(cpuid_leaf(t.cpu, 4, 0).edx, 0x7bu) << "beyond the highest leaf: as the highest";
}

TEST(Cpuid, DescriptorsAndAmdsLeavesTellTheTlbs) {
  CpuProfile p = resolved_profile();
  p.l1d_tlb = {{64, 4}, {32, 4}, {4, 4}};
  p.l1i_tlb = {{128, 8}, {8, 8}, {}};
  p.l2_tlb = {{1536, 12}, {1536, 12}, {16, 4}};
  TestCore skylake(p);
  const CpuidResult r = cpuid_leaf(skylake.cpu, 2, 0);
  EXPECT_EQ(r.eax, 0x76b6ff01u) << "ask leaf 4, ITLBs";
  EXPECT_EQ(r.edx, 0x00c36303u) << "DTLBs and the second level";

  CpuProfile northwood = p;
  northwood.highest_leaf = 2;
  northwood.l1d = {8 << 10, 4};
  northwood.l1i = {16 << 10, 8};
  northwood.l2 = {512 << 10, 8};
  northwood.l3.size = 0;
  northwood.l1d_tlb = {{64, 64}, {64, 64}, {}};
  TestCore t(northwood);
  EXPECT_EQ(cpuid_leaf(t.cpu, 2, 0).eax, 0x665b5101u) << "as the part says it";
  EXPECT_EQ(cpuid_leaf(t.cpu, 2, 0).edx, 0x007b7040u);

  CpuProfile amd = resolved_profile("AuthenticAMD");
  amd.l1d_tlb = {{48, 48}, {48, 48}, {}};
  amd.l1i_tlb = {{32, 32}, {16, 16}, {}};
  amd.l2_tlb = {{512, 4}, {128, 2}, {}};
  TestCore barcelona(amd);
  EXPECT_EQ(cpuid_leaf(barcelona.cpu, 0x8000'0005, 0).eax, 0xff30ff10u);
  EXPECT_EQ(cpuid_leaf(barcelona.cpu, 0x8000'0005, 0).ebx, 0xff30ff20u);
  EXPECT_EQ(cpuid_leaf(barcelona.cpu, 0x8000'0006, 0).ebx, 0x42004200u);
}

TEST(Cpuid, HighestExtendedLeafFollowsTheProfile) {
  CpuProfile p = resolved_profile();
  p.highest_extended_leaf = 0x8000'0004;
  TestCore t(p);
  EXPECT_EQ(cpuid_leaf(t.cpu, 0x8000'0000, 0).eax, 0x80000004u);
  EXPECT_EQ(cpuid_leaf(t.cpu, 0x8000'0008, 0).eax, cpuid_leaf(t.cpu, 0x16, 0).eax);
}

TEST(Cpuid, VendorStringReadsInOrderBxDxCx) {
  TestCore t;
  const CpuidResult r = cpuid_leaf(t.cpu, 0, 0);
  EXPECT_EQ(r.ebx, 0x756e6547u);
  EXPECT_EQ(r.edx, 0x49656e69u);
  EXPECT_EQ(r.ecx, 0x6c65746eu);
}

TEST(Cpuid, SignatureSplitsExtendedFamilyAndModel) {
  CpuProfile p = resolved_profile("AuthenticAMD");
  p.family = 25;
  p.model = 0x21;
  p.stepping = 2;
  TestCore t(p);
  EXPECT_EQ(cpuid_leaf(t.cpu, 1, 0).eax, 0x00a20f12u);
}

TEST(Cpuid, OsxsaveFollowsCr4) {
  TestCore t;
  EXPECT_EQ(cpuid_leaf(t.cpu, 1, 0).ecx >> 27 & 1, 0u);
  t.cpu.state.cr4 |= cr4::OSXSAVE;
  EXPECT_EQ(cpuid_leaf(t.cpu, 1, 0).ecx >> 27 & 1, 1u);
}

TEST(Cpuid, OspkeFollowsCr4) {
  TestCore t;
  EXPECT_EQ(cpuid_leaf(t.cpu, 7, 0).ecx >> 4 & 1, 0u);
  t.cpu.state.cr4 |= cr4::PKE;
  EXPECT_EQ(cpuid_leaf(t.cpu, 7, 0).ecx >> 4 & 1, 1u);
}

TEST(Cpuid, ApicBitFollowsItsGlobalEnable) {
  TestCore t;
  EXPECT_EQ(cpuid_leaf(t.cpu, 1, 0).edx >> 9 & 1, 1u);
  ASSERT_TRUE(write_msr(t.cpu, 0x1b, 0xfee00000));
  EXPECT_EQ(cpuid_leaf(t.cpu, 1, 0).edx >> 9 & 1, 0u);
}

TEST(Cpuid, IntelHidesSyscallOutside64BitMode) {
  TestCore t;
  EXPECT_EQ(cpuid_leaf(t.cpu, 0x80000001, 0).edx >> 11 & 1, 0u);
  t.enter_long_mode();
  EXPECT_EQ(cpuid_leaf(t.cpu, 0x80000001, 0).edx >> 11 & 1, 1u);
}

TEST(Cpuid, TscLeafGivesTheFrequencyExactly) {
  CpuProfile p = resolved_profile();
  p.frequency = 2'345'678'901;
  p.crystal = 25'000'000;
  TestCore t(p);
  const CpuidResult r = cpuid_leaf(t.cpu, 0x15, 0);
  ASSERT_NE(r.eax, 0u);
  EXPECT_EQ(u64{r.ecx} * r.ebx / r.eax, p.frequency);
}

TEST(Cpuid, TopologyCountsCoresAndWidthOfTheirIds) {
  CpuProfile p = resolved_profile();
  p.cores = 6;
  TestCore t(p);
  EXPECT_EQ(cpuid_leaf(t.cpu, 0xb, 0).ebx, 1u);
  EXPECT_EQ(cpuid_leaf(t.cpu, 0xb, 1).eax, 3u);
  EXPECT_EQ(cpuid_leaf(t.cpu, 0xb, 1).ebx, 6u);
  EXPECT_EQ(cpuid_leaf(t.cpu, 0xb, 2).ebx, 0u);
}

TEST(Cpuid, XsaveAreaCoversWhatXcr0Enables) {
  TestCore t;
  t.cpu.state.xcr0 = 3;
  EXPECT_EQ(cpuid_leaf(t.cpu, 0xd, 0).ebx, 576u);
  t.cpu.state.xcr0 = 3 | 1u << 9;
  EXPECT_EQ(cpuid_leaf(t.cpu, 0xd, 0).ebx, 2696u);
  EXPECT_EQ(cpuid_leaf(t.cpu, 0xd, 1).ebx, 584u);
}

TEST(Cpuid, UnknownLeafRepeatsTheHighestOnIntelAndIsZeroOnAmd) {
  TestCore intel;
  EXPECT_EQ(cpuid_leaf(intel.cpu, 0x40000000, 0).eax, cpuid_leaf(intel.cpu, 0x16, 0).eax);
  TestCore amd(resolved_profile("AuthenticAMD"));
  EXPECT_EQ(cpuid_leaf(amd.cpu, 0x40000000, 0).eax, 0u);
}

TEST(Cpuid, AmdRepeatsOldFeatureBits) {
  TestCore t(resolved_profile("AuthenticAMD"));
  EXPECT_EQ(cpuid_leaf(t.cpu, 0x80000001, 0).edx & 0x0183f3ff, cpuid_leaf(t.cpu, 1, 0).edx & 0x0183f3ff);
}

TEST(Cpuid, LimitHidesLeavesAboveTwo) {
  TestCore t;
  ASSERT_TRUE(write_msr(t.cpu, 0x1a0, misc_enable::limit_cpuid));
  EXPECT_EQ(cpuid_leaf(t.cpu, 0, 0).eax, 2u);
}

TEST(Cpuid, InstructionClearsUpperHalves) {
  TestCore t;
  t.set(RAX, 0xffffffff00000000);
  t.set(RBX, ~u64{0});
  ASSERT_TRUE(semantics::cpuid(t.cpu, Record{}));
  EXPECT_EQ(t.get(RAX), 0x16u);
  EXPECT_EQ(t.get(RBX), 0x756e6547u);
}

}  // namespace
}  // namespace bunshin
