#include "tests/core/virt/vmx_fixture.h"

namespace bunshin::vmx {
namespace {

TEST(VmxInstructions, VmxonEntersOperation) {
  VmxMachine m;
  m.vmxon();
  EXPECT_TRUE(m.succeeded());
  EXPECT_TRUE(m.vmx().in_operation());
}

TEST(VmxInstructions, VmxonRefusesARegionOfAnotherRevision) {
  VmxMachine m;
  m.poke<u32>(VmxMachine::vmxon_region, 0x1234);
  m.vmxon();
  EXPECT_TRUE(m.failed_invalid());
  EXPECT_FALSE(m.vmx().in_operation());
}

TEST(VmxInstructions, VmxonRefusesAnUnalignedRegion) {
  VmxMachine m;
  m.vmxon(VmxMachine::vmxon_region + 8);
  EXPECT_TRUE(m.failed_invalid());
}

TEST(VmxInstructions, VmxonTwiceFails) {
  VmxMachine m;
  m.vmxon();
  m.vmclear();
  m.vmptrld();
  m.vmxon();
  EXPECT_EQ(m.error(), static_cast<u64>(InstructionError::VmxonInRoot));
}

TEST(VmxInstructions, AreUndefinedOutsideOperation) {
  VmxMachine m;
  m.write(0x12000, {0xf4});
  m.state().idtr = {0x70000, 0xfff};
  // #UD's gate, to 8:12000.
  m.poke<u64>(0x70000 + 6 * 16, 0x0001'8e00'0008'2000);
  m.poke<u64>(0x70000 + 6 * 16 + 8, 0);
  m.vmptrld();
  EXPECT_NE(m.state().rip, VmxMachine::host_code + 3);
}

TEST(VmxInstructions, ControlRegistersKeepTheirFixedBitsInOperation) {
  VmxMachine m;
  m.vmxon();
  EXPECT_FALSE(m.vmx().cr4_allowed(m.state().cr4 & ~cr4::VMXE));
  EXPECT_FALSE(m.vmx().cr0_allowed(m.state().cr0 & ~cr0::PG));
  m.run_host({0x0f, 0x01, 0xc4});
  EXPECT_TRUE(m.vmx().cr4_allowed(0));
}

TEST(VmxInstructions, VmptrldChecksPointerAndRevision) {
  VmxMachine m;
  m.vmxon();
  m.vmclear();
  m.vmptrld();
  ASSERT_TRUE(m.succeeded());
  m.vmptrld(VmxMachine::vmxon_region);
  EXPECT_EQ(m.error(), static_cast<u64>(InstructionError::VmptrldVmxonPointer));
  m.vmptrld(VmxMachine::vmcs_region + 1);
  EXPECT_EQ(m.error(), static_cast<u64>(InstructionError::VmptrldAddress));
  m.vmptrld(VmxMachine::bitmap_page);
  EXPECT_EQ(m.error(), static_cast<u64>(InstructionError::VmptrldRevision));
}

TEST(VmxInstructions, VmclearForgetsTheCurrentVmcs) {
  VmxMachine m;
  m.vmxon();
  m.vmclear();
  m.vmptrld();
  m.vmclear();
  m.vmlaunch();
  EXPECT_TRUE(m.failed_invalid());
}

TEST(VmxInstructions, VmptrstStoresTheCurrentPointer) {
  VmxMachine m;
  m.vmxon();
  m.run_host({0x0f, 0xc7, 0x3b});
  EXPECT_EQ(m.peek<u64>(VmxMachine::pointer), no_vmcs);
  m.vmptrld();
  m.run_host({0x0f, 0xc7, 0x3b});
  EXPECT_EQ(m.peek<u64>(VmxMachine::pointer), VmxMachine::vmcs_region);
}

/// vmread rcx, rax and vmwrite rax, rcx.
constexpr std::initializer_list<u8> read_register = {0x0f, 0x78, 0xc1}, write_register = {0x0f, 0x79, 0xc1};

TEST(VmxInstructions, VmwriteAndVmreadMoveFields) {
  VmxMachine m;
  m.prepare();
  m.state().gpr[RAX] = 0x6816;
  m.state().gpr[RCX] = 0x1234'5678'9abc;
  m.run_host(write_register);
  EXPECT_TRUE(m.succeeded());
  EXPECT_EQ(m.vmcs().read(Field::GuestGdtrBase), 0x1234'5678'9abcu);
  m.state().gpr[RCX] = 0;
  m.run_host(read_register);
  EXPECT_EQ(m.state().gpr[RCX], 0x1234'5678'9abcu);
}

TEST(VmxInstructions, VmwriteOfAHighHalfKeepsTheLow) {
  VmxMachine m;
  m.prepare();
  m.set(Field::TscOffset, 0x1111'2222);
  m.state().gpr[RAX] = 0x2011;
  m.state().gpr[RCX] = 0x3333'4444;
  m.run_host(write_register);
  EXPECT_EQ(m.vmcs().read(Field::TscOffset), 0x3333'4444'1111'2222u);
}

TEST(VmxInstructions, VmwriteOfAReadOnlyFieldFailsOnOldParts) {
  VmxMachine m(resolved_profile("GenuineIntel", {"msr", "fpu", "fxsr", "sse", "sse2", "lm", "pae", "vmx", "tsc"}));
  m.prepare();
  m.state().gpr[RAX] = 0x4402;
  m.run_host(write_register);
  EXPECT_EQ(m.error(), static_cast<u64>(InstructionError::ReadOnlyField));
}

TEST(VmxInstructions, UnsupportedFieldsFail) {
  VmxMachine m;
  m.prepare();
  m.state().gpr[RAX] = 0x7000;
  m.run_host(read_register);
  EXPECT_EQ(m.error(), static_cast<u64>(InstructionError::UnsupportedField));
}

TEST(VmxInstructions, LaunchStateDecidesBetweenLaunchAndResume) {
  VmxMachine m;
  m.prepare({0x0f, 0xa2, 0x0f, 0xa2});
  m.vmresume();
  EXPECT_EQ(m.error(), static_cast<u64>(InstructionError::ResumeNotLaunched));
  m.launch_until_exit();
  ASSERT_FALSE(m.in_guest());
  m.vmlaunch();
  EXPECT_EQ(m.error(), static_cast<u64>(InstructionError::LaunchNotClear));
  m.vmresume();
  EXPECT_TRUE(m.in_guest());
}

TEST(VmxInstructions, EntryIsBlockedBehindMovSs) {
  VmxMachine m;
  m.prepare();
  m.state().interrupt_shadow = m.state().debug_shadow = true;
  m.vmlaunch();
  EXPECT_EQ(m.error(), static_cast<u64>(InstructionError::BlockedByMovSs));
}

TEST(VmxInstructions, VmcallInRootFails) {
  VmxMachine m;
  m.prepare();
  m.run_host({0x0f, 0x01, 0xc1});
  EXPECT_EQ(m.error(), static_cast<u64>(InstructionError::VmcallInRoot));
}

struct Invalidation {
  std::initializer_list<u8> code;
  u64 type, low, high;
  bool good;
};

TEST(VmxInstructions, InvalidationsCheckTypeAndDescriptor) {
  const std::initializer_list<u8> invept = {0x66, 0x0f, 0x38, 0x80, 0x0b}, invvpid = {0x66, 0x0f, 0x38, 0x81, 0x0b};
  constexpr u64 good_eptp = 0x60000 | 3 << 3 | 6, not_canonical = u64{1} << 62;
  const Invalidation table[] = {
      {invept, 0, 0, 0, false},
      {invept, 1, good_eptp, 0, true},
      {invept, 1, good_eptp | 7, 0, false},
      {invept, 2, 0, 0, true},
      {invept, 3, 0, 0, false},
      {invvpid, 0, 1, 0x1000, true},
      {invvpid, 0, 1, not_canonical, false},
      {invvpid, 0, 0, 0x1000, false},
      {invvpid, 1, 1, 0, true},
      {invvpid, 1, 0, 0, false},
      {invvpid, 1, 0x10001, 0, false},
      {invvpid, 2, 0, 0, true},
      {invvpid, 3, 1, 0, true},
      {invvpid, 3, 0, 0, false},
      {invvpid, 4, 1, 0, false},
  };
  VmxMachine m;
  m.prepare();
  for (const Invalidation& i : table) {
    m.poke<u64>(VmxMachine::pointer + 8, i.high);
    m.state().gpr[RCX] = i.type;
    m.run_host(i.code, i.low);
    EXPECT_EQ(m.error(), i.good ? 0u : 28u) << "type " << i.type << " descriptor " << std::hex << i.low;
  }
}

}  // namespace
}  // namespace bunshin::vmx
