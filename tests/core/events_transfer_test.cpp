// Far JMP, CALL and RET, IRET, fast system calls and flag instructions.

#include "events_fixture.h"

namespace bunshin {
namespace {

using namespace semantics;

/// Puts 4-byte words on the stack, the first on top.
void push_words(EventMachine& m, std::initializer_list<u32> words) {
  m.cpu.state.gpr[RSP] -= 4 * words.size();
  u64 address = m.cpu.state.gpr[RSP];
  for (const u32 word : words) {
    m.poke32(address, word);
    address += 4;
  }
}

void push_quads(EventMachine& m, std::initializer_list<u64> words) {
  m.cpu.state.gpr[RSP] -= 8 * words.size();
  u64 address = m.cpu.state.gpr[RSP];
  for (const u64 word : words) {
    m.poke(address, word);
    address += 8;
  }
}

TEST(FarJump, RealModeLoadsCs) {
  EventMachine m;
  m.cpu.state.segment(Seg::CS).limit = 0xffff;
  ASSERT_TRUE(far_jump(m.cpu, 0x1000, 0x20));
  EXPECT_EQ(m.cpu.state.segment(Seg::CS).base, 0x10000u);
  EXPECT_EQ(m.cpu.state.rip, 0x20u);
}

TEST(FarJump, EntersProtectedModeCode) {
  EventMachine m;
  m.cpu.state.cr0 |= cr0::PE;
  m.cpu.update_mode();
  ASSERT_TRUE(far_jump(m.cpu, m.kernel_code, 0x8000'0000));
  EXPECT_EQ(m.cpu.mode.bits, 32);
  EXPECT_EQ(m.cpu.state.rip, 0x8000'0000u);
}

TEST(FarJump, KeepsCplInConformingCode) {
  EventMachine m;
  m.enter_protected(3);
  m.set_descriptor(m.spare, make_descriptor(0, 0xfffff, kind::code32 | kind::conforming));
  ASSERT_TRUE(far_jump(m.cpu, m.spare, 0x40));
  EXPECT_EQ(m.selector(Seg::CS), m.spare | 3);
}

TEST(FarJump, ChecksPrivilegePresenceAndLimit) {
  EventMachine m;
  m.enter_protected(3);
  m.expect_fault(far_jump(m.cpu, m.kernel_code, 0), Vector::GP, m.kernel_code);
  m.expect_fault(far_jump(m.cpu, 0, 0), Vector::GP, 0);
  m.set_descriptor(m.spare, make_descriptor(0, 0xfffff, (kind::code32 | kind::dpl3) & ~0x80u));
  m.expect_fault(far_jump(m.cpu, m.spare | 3, 0), Vector::NP, m.spare);
  m.set_descriptor(m.spare, make_descriptor(0, 0xff, kind::code16 | kind::dpl3));
  m.expect_fault(far_jump(m.cpu, m.spare | 3, 0x100), Vector::GP, 0);
}

TEST(FarCall, ThroughAGateCopiesParametersToTheInnerStack) {
  EventMachine m;
  m.enter_protected(3);
  m.set_descriptor(m.spare, make_gate(m.kernel_code, m.handler, 0xc, 3, 2));
  push_words(m, {0x1111, 0x2222});
  m.cpu.state.rip = 0x1007;
  ASSERT_TRUE(far_call(m.cpu, m.spare | 3, 0xdead, 4));
  EXPECT_EQ(m.cpu.state.cpl, 0);
  EXPECT_EQ(m.cpu.state.rip, m.handler);
  EXPECT_EQ(m.get(RSP), m.kernel_stack - 24);
  EXPECT_EQ(m.stacked(0), 0x1007u);
  EXPECT_EQ(m.stacked(1), m.user_code);
  EXPECT_EQ(m.stacked(2), 0x1111u);
  EXPECT_EQ(m.stacked(3), 0x2222u);
  EXPECT_EQ(m.stacked(4), m.user_stack - 8);
  EXPECT_EQ(m.stacked(5), m.user_data);
}

TEST(FarCall, AndReturnReleaseTheParametersOfBothStacks) {
  EventMachine m;
  m.enter_protected(3);
  m.set_descriptor(m.spare, make_gate(m.kernel_code, m.handler, 0xc, 3, 2));
  push_words(m, {0x1111, 0x2222});
  m.cpu.state.rip = 0x1007;
  ASSERT_TRUE(far_call(m.cpu, m.spare | 3, 0, 4));
  ASSERT_TRUE(load_segment(m.cpu, Seg::FS, m.kernel_data));
  ASSERT_TRUE(far_return(m.cpu, 4, 8));
  EXPECT_EQ(m.cpu.state.cpl, 3);
  EXPECT_EQ(m.cpu.state.rip, 0x1007u);
  EXPECT_EQ(m.get(RSP), m.user_stack);
  EXPECT_EQ(m.selector(Seg::SS), m.user_data);
  EXPECT_TRUE(m.cpu.state.segment(Seg::FS).is_null());   // the kernel's
  EXPECT_FALSE(m.cpu.state.segment(Seg::DS).is_null());  // the user's
}

TEST(FarCall, LongModeGatesPushFourQuadwords) {
  EventMachine m;
  m.enter_long(3);
  m.set_descriptor(m.spare, make_gate(m.kernel_code, m.handler, 0xc, 3));
  m.poke(m.gdt + m.spare + 8, 0xffff8000);
  m.cpu.state.rip = 0x1007;
  ASSERT_TRUE(far_call(m.cpu, m.spare | 3, 0, 4));
  EXPECT_EQ(m.cpu.state.rip, 0xffff8000'00000000 + m.handler);
  EXPECT_EQ(m.get(RSP), m.kernel_stack - 32);
  EXPECT_EQ(m.stacked64(0), 0x1007u);
  EXPECT_EQ(m.stacked64(2), m.user_stack);
  EXPECT_EQ(m.selector(Seg::SS), 0);
}

TEST(FarCall, GateNeedsPrivilege) {
  EventMachine m;
  m.enter_protected(3);
  m.set_descriptor(m.spare, make_gate(m.kernel_code, m.handler, 0xc, 0));
  m.expect_fault(far_call(m.cpu, m.spare | 3, 0, 4), Vector::GP, m.spare);
}

TEST(FarReturn, NeverToAnInnerLevel) {
  EventMachine m;
  m.enter_protected(3);
  push_words(m, {0x1234, m.kernel_code});
  m.expect_fault(far_return(m.cpu, 4, 0), Vector::GP, m.kernel_code);
  EXPECT_EQ(m.get(RSP), m.user_stack - 8);
}

TEST(Iret, SameLevelRestoresFlagsOfLevelZero) {
  EventMachine m;
  m.enter_protected();
  m.cpu.state.nmi_blocked = true;
  push_words(m, {0x4321, m.kernel_code, static_cast<u32>(rflags::IF | rflags::IOPL | rflags::CF | 2)});
  ASSERT_TRUE(interrupt_return(m.cpu, 4));
  EXPECT_EQ(m.cpu.state.rip, 0x4321u);
  EXPECT_EQ(m.cpu.state.flags.value(), rflags::IF | rflags::IOPL | rflags::CF | 2);
  EXPECT_EQ(m.get(RSP), m.kernel_stack);
  EXPECT_FALSE(m.cpu.state.nmi_blocked);
}

TEST(Iret, UserCannotChangeIfOrIopl) {
  EventMachine m;
  m.enter_protected(3);
  push_words(m, {0x4321, m.user_code, static_cast<u32>(rflags::IF | rflags::IOPL | rflags::DF | 2)});
  ASSERT_TRUE(interrupt_return(m.cpu, 4));
  EXPECT_EQ(m.cpu.state.flags.value(), rflags::DF | 2);
}

TEST(Iret, OuterLevelLoadsTheStack) {
  EventMachine m;
  m.enter_protected();
  push_words(m, {0x4321, m.user_code, 0x202, 0x7000, m.user_data});
  ASSERT_TRUE(interrupt_return(m.cpu, 4));
  EXPECT_EQ(m.cpu.state.cpl, 3);
  EXPECT_EQ(m.get(RSP), 0x7000u);
  EXPECT_EQ(m.selector(Seg::SS), m.user_data);
  EXPECT_TRUE(m.cpu.state.segment(Seg::DS).is_null());
  EXPECT_NE(m.cpu.state.flags.system & rflags::IF, 0u);
}

TEST(Iret, AFaultingReturnLeavesTheStack) {
  EventMachine m;
  m.enter_protected();
  push_words(m, {0x4321, m.user_code, 0x202, 0x7000, m.kernel_data});
  m.expect_fault(interrupt_return(m.cpu, 4), Vector::GP, m.kernel_data);
  EXPECT_EQ(m.get(RSP), m.kernel_stack - 20);
  EXPECT_EQ(m.cpu.state.flags.value(), 2u);
}

TEST(Iret, AnAbsentStackIsNpOnIntelAndSsOnAmd) {
  for (const auto& [vendor, vector] : {std::pair("GenuineIntel", Vector::NP), std::pair("AuthenticAMD", Vector::SS)}) {
    EventMachine m(resolved_profile(vendor));
    m.enter_protected();
    m.set_descriptor(m.spare, make_descriptor(0, 0xfffff, (kind::data32 | kind::dpl3) & ~Segment::present));
    push_words(m, {0x4321, m.user_code, 0x202, 0x7000, m.spare | 3u});
    m.expect_fault(interrupt_return(m.cpu, 4), vector, m.spare);
  }
}

TEST(FarReturn, AnAbsentStackIsSs) {
  EventMachine m;
  m.enter_protected();
  m.set_descriptor(m.spare, make_descriptor(0, 0xfffff, (kind::data32 | kind::dpl3) & ~Segment::present));
  push_words(m, {0x4321, m.user_code, 0x7000, m.spare | 3u});
  m.expect_fault(far_return(m.cpu, 4, 0), Vector::SS, m.spare);
}

TEST(Iret, EntersVirtual8086Mode) {
  EventMachine m;
  m.enter_protected();
  push_words(m, {0x10, 0x200, static_cast<u32>(rflags::VM | rflags::IF | 2), 0x100, 0x300, 0x400, 0x500, 0x600, 0x700});
  ASSERT_TRUE(interrupt_return(m.cpu, 4));
  EXPECT_TRUE(m.cpu.state.v86());
  EXPECT_EQ(m.cpu.state.cpl, 3);
  EXPECT_EQ(m.cpu.state.segment(Seg::CS).base, 0x2000u);
  EXPECT_EQ(m.cpu.state.segment(Seg::SS).base, 0x3000u);
  EXPECT_EQ(m.cpu.state.segment(Seg::ES).base, 0x4000u);
  EXPECT_EQ(m.cpu.state.segment(Seg::GS).base, 0x7000u);
  EXPECT_EQ(m.cpu.mode.bits, 16);
}

TEST(Iret, Virtual8086NeedsIoplThreeOrVme) {
  EventMachine m;
  m.enter_v86(0);
  m.expect_fault(interrupt_return(m.cpu, 2), Vector::GP, 0);
  m.cpu.state.cr4 |= cr4::VME;
  const u64 stack = m.cpu.state.segment(Seg::SS).base + 0x800;
  m.poke16(stack, 0x77);
  m.poke16(stack + 2, 0x900);
  m.poke16(stack + 4, static_cast<u16>(rflags::IF | 2));
  ASSERT_TRUE(interrupt_return(m.cpu, 2));
  EXPECT_EQ(m.cpu.state.rip, 0x77u);
  EXPECT_NE(m.cpu.state.flags.system & rflags::VIF, 0u);
  EXPECT_EQ(m.cpu.state.flags.system & rflags::IF, 0u);
}

TEST(Iretq, ReturnsFromAnInterruptToUserCode) {
  EventMachine m;
  m.enter_long(3);
  m.cpu.state.flags.set_value(rflags::IF | rflags::ZF | 2);
  m.set_gate64(32, m.kernel_code, m.handler, 0xe, 0);
  deliver_interrupt(m.cpu, 32, EventKind::External);
  ASSERT_TRUE(interrupt_return(m.cpu, 8));
  EXPECT_EQ(m.cpu.state.cpl, 3);
  EXPECT_EQ(m.cpu.state.rip, 0x1000u);
  EXPECT_EQ(m.get(RSP), m.user_stack);
  EXPECT_EQ(m.selector(Seg::SS), m.user_data);
  EXPECT_EQ(m.cpu.state.flags.value(), rflags::IF | rflags::ZF | 2);
}

TEST(Iretq, SameLevelLoadsANullStack) {
  EventMachine m;
  m.enter_long(0);
  push_quads(m, {0x5000, m.kernel_code, 2, 0x7777, 0});
  ASSERT_TRUE(interrupt_return(m.cpu, 8));
  EXPECT_EQ(m.get(RSP), 0x7777u);
  EXPECT_TRUE(m.cpu.state.segment(Seg::SS).is_null());
}

TEST(Iretq, IgnoresTheRplOfANullStack) {
  EventMachine m;
  m.enter_long(0);
  push_quads(m, {0x5000, m.kernel_code, 2, 0x7777, 3});
  ASSERT_TRUE(interrupt_return(m.cpu, 8));
  EXPECT_EQ(m.selector(Seg::SS), 3u);
}

TEST(Iretq, RefusesANullStackForUserCodeAndNonCanonicalTargets) {
  EventMachine m;
  m.enter_long(0);
  push_quads(m, {0x5000, m.user_code, 2, 0x7777, 3});
  m.expect_fault(interrupt_return(m.cpu, 8), Vector::GP, 0);
  push_quads(m, {0x8000'0000'0000, m.user_code, 2, 0x7777, m.user_data});
  m.expect_fault(interrupt_return(m.cpu, 8), Vector::GP, 0);
}

TEST(Iretq, NestedTaskFlagIsAGeneralProtection) {
  EventMachine m;
  m.enter_long(0);
  m.cpu.state.flags.system |= rflags::NT;
  m.expect_fault(interrupt_return(m.cpu, 8), Vector::GP, 0);
}

TEST(Syscall, AndSysretRoundTrip) {
  EventMachine m;
  m.enter_long(3);
  CpuState& s = m.cpu.state;
  s.msr.star = u64{m.kernel_code} << 32 | u64{0x13} << 48;
  s.msr.lstar = 0xffff8000'00001234;
  s.msr.sfmask = rflags::IF | rflags::TF;
  s.flags.set_value(rflags::IF | rflags::CF | 2);
  s.rip = 0x2002;
  ASSERT_TRUE(syscall(m.cpu, record_of(4)));
  EXPECT_EQ(s.rip, s.msr.lstar);
  EXPECT_EQ(s.cpl, 0);
  EXPECT_EQ(s.gpr[RCX], 0x2002u);
  EXPECT_EQ(s.gpr[R11], rflags::IF | rflags::CF | 2);
  EXPECT_EQ(s.flags.value(), rflags::CF | 2);
  EXPECT_EQ(m.selector(Seg::CS), m.kernel_code);
  EXPECT_EQ(m.selector(Seg::SS), m.kernel_data);
  ASSERT_TRUE(sysret(m.cpu, record_of(8)));
  EXPECT_EQ(s.rip, 0x2002u);
  EXPECT_EQ(s.cpl, 3);
  EXPECT_EQ(m.selector(Seg::CS), 0x23);
  EXPECT_EQ(m.selector(Seg::SS), 0x1b);
  EXPECT_EQ(s.flags.value(), rflags::IF | rflags::CF | 2);
  EXPECT_EQ(m.cpu.mode.bits, 64);
}

TEST(Syscall, IsUndefinedWithoutSceAndInCompatibilityMode) {
  EventMachine m;
  m.enter_long(3);
  m.cpu.state.segment(Seg::CS).attributes = kind::code32 | kind::dpl3;
  m.cpu.update_mode();
  m.expect_fault(syscall(m.cpu, record_of(4)), Vector::UD, 0);
  m.enter_long(3);
  m.cpu.state.msr.efer &= ~efer::SCE;
  m.expect_fault(syscall(m.cpu, record_of(4)), Vector::UD, 0);
}

TEST(Syscall, CompatibilityModeOfAmdEntersAtCstar) {
  EventMachine m(resolved_profile("AuthenticAMD"));
  m.enter_long(3);
  m.cpu.state.segment(Seg::CS).attributes = kind::code32 | kind::dpl3;
  m.cpu.state.msr.cstar = 0x9999;
  m.cpu.update_mode();
  ASSERT_TRUE(syscall(m.cpu, record_of(4)));
  EXPECT_EQ(m.cpu.state.rip, 0x9999u);
  EXPECT_EQ(m.cpu.mode.bits, 64);
}

TEST(Sysret, RefusesANonCanonicalTargetWithKernelPrivilege) {
  EventMachine m;
  m.enter_long(0);
  m.set(RCX, 0x8000'0000'0000);
  m.expect_fault(sysret(m.cpu, record_of(8)), Vector::GP, 0);
  EXPECT_EQ(m.cpu.state.cpl, 0);
}

TEST(Sysret, TrapsAtOnceIfItSetsTf) {
  EventMachine m;
  m.enter_long(0);
  m.set(RCX, 0x2002);
  m.set(R11, rflags::TF | 2);
  ASSERT_TRUE(sysret(m.cpu, record_of(8)));
  EXPECT_EQ(m.cpu.state.pending_debug, u64{1} << 14);
}

TEST(Sysenter, AndSysexitRoundTrip) {
  EventMachine m;
  m.enter_protected(3);
  CpuState& s = m.cpu.state;
  m.expect_fault(sysenter(m.cpu, record_of(4)), Vector::GP, 0);
  s.msr.sysenter_cs = m.kernel_code;
  s.msr.sysenter_eip = 0x6000;
  s.msr.sysenter_esp = 0x9000;
  s.flags.system |= rflags::IF;
  ASSERT_TRUE(sysenter(m.cpu, record_of(4)));
  EXPECT_EQ(s.rip, 0x6000u);
  EXPECT_EQ(s.gpr[RSP], 0x9000u);
  EXPECT_EQ(s.cpl, 0);
  EXPECT_EQ(s.flags.system & rflags::IF, 0u);
  s.gpr[RCX] = 0xb000;
  s.gpr[RDX] = 0x1234;
  ASSERT_TRUE(sysexit(m.cpu, record_of(4)));
  EXPECT_EQ(s.rip, 0x1234u);
  EXPECT_EQ(s.gpr[RSP], 0xb000u);
  EXPECT_EQ(m.selector(Seg::CS), 0x1b);
  EXPECT_EQ(m.selector(Seg::SS), 0x23);
}

TEST(Popf, UserChangesNeitherIfNorIopl) {
  EventMachine m;
  m.enter_protected(3);
  push_words(m, {0xffff'ffff});
  ASSERT_TRUE(popf(m.cpu, record_of(4)));
  const u64 user = rflags::status | rflags::TF | rflags::DF | rflags::NT | rflags::AC | rflags::ID | 2;
  EXPECT_EQ(m.cpu.state.flags.value(), user);
}

TEST(Popf, SupervisorChangesAllButVmRfVifVip) {
  EventMachine m;
  m.enter_protected(0);
  push_words(m, {0xffff'ffff});
  ASSERT_TRUE(popf(m.cpu, record_of(4)));
  const u64 all =
      rflags::status | rflags::TF | rflags::DF | rflags::NT | rflags::AC | rflags::ID | rflags::IF | rflags::IOPL | 2;
  EXPECT_EQ(m.cpu.state.flags.value(), all);
}

TEST(Pushf, HidesRfAndVm) {
  EventMachine m;
  m.enter_v86(3);
  m.cpu.state.flags.system |= rflags::RF;
  ASSERT_TRUE(pushf(m.cpu, record_of(4)));
  EXPECT_EQ(m.peek(m.cpu.state.segment(Seg::SS).base + m.get(RSP)), 0x3002u);
}

TEST(Pushf, VmeShowsVifAsIf) {
  EventMachine m;
  m.enter_v86(0);
  m.cpu.state.flags.system |= rflags::VIF;
  m.expect_fault(pushf(m.cpu, record_of(2)), Vector::GP, 0);
  m.cpu.state.cr4 |= cr4::VME;
  ASSERT_TRUE(pushf(m.cpu, record_of(2)));
  EXPECT_EQ(m.peek<u16>(m.cpu.state.segment(Seg::SS).base + m.get(RSP)), 0x3202u);
}

TEST(Sti, ShadowsOnlyWhenItEnables) {
  EventMachine m;
  m.enter_protected();
  ASSERT_TRUE(sti(m.cpu, Record()));
  EXPECT_TRUE(m.cpu.state.interrupt_shadow);
  m.cpu.state.interrupt_shadow = false;
  ASSERT_TRUE(sti(m.cpu, Record()));
  EXPECT_FALSE(m.cpu.state.interrupt_shadow);
}

TEST(Sti, PviGivesUserCodeAVirtualFlag) {
  EventMachine m;
  m.enter_protected(3);
  m.expect_fault(sti(m.cpu, Record()), Vector::GP, 0);
  m.cpu.state.cr4 |= cr4::PVI;
  ASSERT_TRUE(sti(m.cpu, Record()));
  EXPECT_EQ(m.cpu.state.flags.system & (rflags::VIF | rflags::IF), rflags::VIF);
  ASSERT_TRUE(cli(m.cpu, Record()));
  EXPECT_EQ(m.cpu.state.flags.system & rflags::VIF, 0u);
  m.cpu.state.flags.system |= rflags::VIP;
  m.expect_fault(sti(m.cpu, Record()), Vector::GP, 0);
}

TEST(Stac, IsUndefinedForUserCode) {
  EventMachine m;
  m.enter_long(3);
  m.expect_fault(stac(m.cpu, Record()), Vector::UD, 0);
  m.enter_long(0);
  ASSERT_TRUE(stac(m.cpu, Record()));
  EXPECT_NE(m.cpu.state.flags.system & rflags::AC, 0u);
}

TEST(Bound, FaultsOutsideTheSignedBounds) {
  EventMachine m;
  m.enter_protected();
  m.poke32(0x7000, static_cast<u32>(-5));
  m.poke32(0x7004, 10);
  Record r = record_of(4);
  r.prefixes |= prefix::memory | 1 << 2;
  r.base = r.index = CpuState::zero_slot * 8;
  r.disp = 0x7000;
  r.segment = static_cast<u8>(Seg::DS) & 0xf;
  r.reg = RAX * 8;
  m.set(RAX, static_cast<u32>(-5));
  EXPECT_TRUE(bound(m.cpu, r));
  m.set(RAX, 11);
  m.expect_fault(bound(m.cpu, r), Vector::BR, 0);
}

}  // namespace
}  // namespace bunshin
