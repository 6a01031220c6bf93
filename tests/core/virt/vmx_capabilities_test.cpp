#include "core/system/msr.h"
#include "tests/core/virt/vmx_fixture.h"

namespace bunshin::vmx {
namespace {

const std::vector<std::string> first_parts{"msr", "lm", "pae", "vmx", "vtpr"};

std::optional<u64> read(VmxMachine& m, u32 index) {
  u64 value = 0;
  if (!bunshin::read_msr(m.cpu(), index, value)) return std::nullopt;
  return value;
}

TEST(VmxCapabilities, AreEnabledAndLockedByFirmware) {
  VmxMachine m;
  EXPECT_EQ(read(m, 0x3a), 5u);
  EXPECT_FALSE(bunshin::write_msr(m.cpu(), 0x3a, 1));
}

TEST(VmxCapabilities, AllowWhatTheirMsrsSay) {
  VmxMachine m;
  for (const u32 index : {0x481u, 0x482u, 0x483u, 0x484u, 0x48du, 0x48eu, 0x48fu, 0x490u}) {
    const u64 value = read(m, index).value_or(0);
    EXPECT_EQ(static_cast<u32>(value) & ~static_cast<u32>(value >> 32), 0u) << "must be 1, and may not: " << index;
    EXPECT_NE(value, 0u) << index;
  }
}

TEST(VmxCapabilities, LetDefault1ControlsBeZeroOnlyInTheTrueMsrs) {
  VmxMachine m;
  EXPECT_EQ(*read(m, 0x482) & primary::cr3_load, primary::cr3_load);
  EXPECT_EQ(*read(m, 0x48e) & primary::cr3_load, 0u);
  EXPECT_EQ(*read(m, 0x483) & exit_control::save_debug, exit_control::save_debug);
  EXPECT_EQ(*read(m, 0x48f) & exit_control::save_debug, 0u);
}

TEST(VmxCapabilities, OfTheFirstPartsHaveNoLaterMsr) {
  const CpuProfile profile = resolved_profile("GenuineIntel", first_parts);
  const Capabilities c(profile);
  u64 value = 0;
  EXPECT_TRUE(c.read_msr(profile, 0x480, value));
  EXPECT_EQ(value >> 55 & 1, 0u) << "true controls";
  for (const u32 index : {0x48bu, 0x48cu, 0x48du, 0x490u, 0x491u}) EXPECT_FALSE(c.read_msr(profile, index, value));
  EXPECT_FALSE(c.primary.allows(c.primary.must | primary::secondary));
  EXPECT_FALSE(c.primary.allows(c.primary.must & ~primary::cr3_load));
}

TEST(VmxCapabilities, TellOfEptByFeature) {
  const CpuProfile nehalem =
      resolved_profile("GenuineIntel", {"msr", "lm", "pae", "vmx", "vmx_secondary_ctls", "ept", "ept_x_only"});
  const u64 value = Capabilities(nehalem).ept_vpid;
  EXPECT_NE(value & ept_vpid_cap::execute_only, 0u);
  EXPECT_EQ(value & (ept_vpid_cap::accessed_dirty | ept_vpid_cap::gigabyte_pages | ept_vpid_cap::invvpid), 0u);
}

TEST(VmxCapabilities, DoNotExistWithoutVmx) {
  const CpuProfile profile = resolved_profile("GenuineIntel", {"msr"});
  TestCore core(profile);
  u64 value = 0;
  EXPECT_FALSE(bunshin::read_msr(core.cpu, 0x480, value));
  ASSERT_TRUE(bunshin::read_msr(core.cpu, 0x3a, value));
  EXPECT_EQ(value, 1u);
}

TEST(VmxCapabilities, NeedTheirPrerequisites) {
  EXPECT_THROW(resolved_profile("GenuineIntel", {"msr", "ept"}), std::runtime_error);
  EXPECT_THROW(resolved_profile("GenuineIntel", {"msr", "vmx", "vmx_secondary_ctls", "unrestricted_guest"}),
               std::runtime_error);
}

}  // namespace
}  // namespace bunshin::vmx
