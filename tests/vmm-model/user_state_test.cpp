// Guests in user state: events through the guest's own interrupt table against a second reading of the manual, and the
// instructions that are performed for its kernel.

#include <random>

#include <gtest/gtest.h>

#include "user_state_rig.h"

namespace bunshin::vmm {
namespace {

constexpr u8 general_protection = 13, not_present = 11;

/// SDM vol. 3, 6.12.1 and 6.13, for flat segments and a handler at level 0.
struct Expected {
  bool delivered = false;
  u8 vector = 0;  ///< of the fault that it meets
  u32 error = 0;
};

Expected expect(u64 gate, unsigned vector, bool software, unsigned level) {
  const unsigned type = gate >> 40 & 0x1f, dpl = gate >> 45 & 3;
  const bool there = (gate >> 47 & 1) != 0;
  const u32 error = vector * 8 + 2 + (software ? 0u : 1u);
  if (type != 14 && type != 15) return {false, general_protection, error};
  if (software && dpl < level) return {false, general_protection, error};
  if (!there) return {false, not_present, error};
  return {true};
}

TEST(UserState, DeliversEventsAsTheManualSays) {
  UserStateRig rig;
  std::mt19937_64 random(7);
  unsigned delivered = 0;
  for (unsigned round = 0; round < 5000; ++round) {
    const unsigned level = random() % 2 == 0 ? 0 : 3, vector = random() % 256;
    const bool software = random() % 3 == 0, coded = !software && random() % 2 == 0;
    const u32 handler = static_cast<u32>(random()), error = static_cast<u32>(random());
    const u64 types[] = {0x8e, 0x8f, 0xee, 0xef, 0x0e, 0x8c, 0x00}, type = types[random() % std::size(types)];
    const u64 gate = (handler & 0xffff) | u64{UserStateRig::kernel_code} << 16 | type << 40 | u64{handler >> 16} << 48;
    rig.store(UserStateRig::idt + 8 * vector, 8, gate);
    rig.at_level(level);
    const u64 flags = 0x2 | (random() & 0x4ad5) | (random() % 2 == 0 ? rflags::IF : 0);
    rig.execution.set(StateField::rflags, flags);
    const Expected expected = expect(gate, vector, software, level);
    rig.machine.in_user = [](const UserSpace&, UserState& state) { state.vector = 0x20; };
    rig.execution.inject(
        {software ? Event::Kind::Software : Event::Kind::Exception, static_cast<u8>(vector), coded, error});
    const bool double_fault = !software && vector == vector::DF;
    const Exit exit = rig.execution.enter();
    if (!expected.delivered) {
      if (double_fault) {
        EXPECT_EQ(exit.reason, ExitReason::Shutdown);
        continue;
      }
      ASSERT_EQ(exit.number, expected.vector);
      ASSERT_EQ(exit.error_code, expected.error);
      ASSERT_EQ(exit.interrupted.vector, vector);
      ASSERT_EQ(rig.execution.get(StateField::rip), UserStateRig::code);
      continue;
    }
    ++delivered;
    ASSERT_EQ(exit.reason, ExitReason::Interrupt);
    ASSERT_EQ(rig.execution.get(StateField::rip), handler);
    ASSERT_EQ(rig.execution.get(StateField::cpl), 0u);
    ASSERT_EQ(rig.execution.segment(SegmentName::cs).selector, UserStateRig::kernel_code);
    const u64 closed = (type & 1) == 0 ? rflags::IF : 0;
    ASSERT_EQ(rig.execution.get(StateField::rflags), flags & ~(closed | rflags::TF | 0x4000));
    const u32 top = level == 0 ? UserStateRig::stack : UserStateRig::kernel_stack;
    const u32 words = (level == 0 ? 3u : 5u) + (coded ? 1u : 0u);
    u32 at = top - 4 * words;
    ASSERT_EQ(rig.execution.registers[rsp], at);
    if (coded) {
      ASSERT_EQ(rig.load(at, 4), error);
      at += 4;
    }
    ASSERT_EQ(rig.load(at, 4), UserStateRig::code);
    ASSERT_EQ(rig.load(at + 4, 4), level == 0 ? UserStateRig::kernel_code : UserStateRig::user_code);
    ASSERT_EQ(rig.load(at + 8, 4), flags);
    if (level == 3) {
      ASSERT_EQ(rig.load(at + 12, 4), UserStateRig::stack);
      ASSERT_EQ(rig.load(at + 16, 4), UserStateRig::user_data);
    }
  }
  EXPECT_GT(delivered, 1000u);
}

/// The instruction at `code` faults in user state as on the machine, and is performed.
Event perform(UserStateRig& rig, std::initializer_list<u8> bytes, ExitReason* reason = nullptr) {
  rig.put_code(static_cast<u32>(rig.execution.get(StateField::rip)), std::vector<u8>(bytes));
  rig.machine.in_user = [](const UserSpace&, UserState& state) {
    state.vector = general_protection;
    state.error_code = 0;
  };
  const Exit exit = rig.execution.enter();
  if (reason != nullptr) *reason = exit.reason;
  return rig.execution.complete(exit);
}

TEST(UserState, KeepsTheInterruptFlagOfTheKernel) {
  UserStateRig rig;
  u32 seen = 0;
  EXPECT_FALSE(perform(rig, {0xfb}));  // STI
  EXPECT_NE(rig.execution.get(StateField::rflags) & rflags::IF, 0u);
  EXPECT_EQ(rig.execution.get(StateField::interrupt_shadow), 1u);
  EXPECT_FALSE(perform(rig, {0xfa}));  // CLI
  EXPECT_EQ(rig.execution.get(StateField::rflags) & rflags::IF, 0u);
  rig.machine.in_user = [&](const UserSpace&, UserState& state) {
    seen = state.eflags;
    state.vector = 0x20;
  };
  rig.execution.enter();
  EXPECT_NE(seen & rflags::IF, 0u) << "the machine's own interrupts stay on";
  EXPECT_EQ(seen & 0x3000, 0u) << "and ports closed";
}

TEST(UserState, ProgramsMayNotDoWhatTheirKernelMay) {
  UserStateRig rig;
  for (const std::initializer_list<u8> bytes : {std::initializer_list<u8>{0xfa},
                                                {0xf4},
                                                {0x0f, 0x01, 0x10},
                                                {0x0f, 0x22, 0xc0},
                                                {0xec},
                                                {0x0f, 0x32},
                                                {0x0f, 0x06}}) {
    rig.at_level(3);
    rig.put_code(UserStateRig::code, std::vector<u8>(bytes));
    rig.machine.in_user = [](const UserSpace&, UserState& state) { state.vector = general_protection; };
    EXPECT_EQ(rig.execution.enter().reason, ExitReason::GeneralProtection) << int(*bytes.begin());
  }
}

TEST(UserState, ReturnsToProgramsWithTheirSegmentsOnly) {
  UserStateRig rig;
  const u32 frame[] = {0x1234'5678, UserStateRig::user_code, 0x202, 0x7000, UserStateRig::user_data};
  for (unsigned i = 0; i < std::size(frame); ++i) rig.store(UserStateRig::stack + 4 * i, 4, frame[i]);
  rig.execution.set_segment(SegmentName::es, rig.segment(UserStateRig::user_data));
  ExitReason reason{};
  EXPECT_FALSE(perform(rig, {0xcf}, &reason));
  EXPECT_EQ(reason, ExitReason::SystemInstruction);
  EXPECT_EQ(rig.execution.get(StateField::rip), 0x1234'5678u);
  EXPECT_EQ(rig.execution.get(StateField::cpl), 3u);
  EXPECT_EQ(rig.execution.registers[rsp], 0x7000u);
  EXPECT_EQ(rig.execution.segment(SegmentName::ds).selector, 0u) << "the kernel's";
  EXPECT_EQ(rig.execution.segment(SegmentName::es).selector, UserStateRig::user_data);
  EXPECT_NE(rig.execution.get(StateField::rflags) & rflags::IF, 0u);
}

/// What the processor is given: selectors of tables in which nothing has a level but 3 or is not there.
TEST(UserState, TheProcessorNeverHasTheGuestsLevels) {
  UserStateRig rig;
  for (const unsigned level : {0u, 3u}) {
    rig.at_level(level);
    UserState seen;
    UserSpace space;
    rig.machine.in_user = [&](const UserSpace& where, UserState& state) {
      seen = state;
      space = where;
      state.vector = 0x20;
    };
    rig.execution.enter();
    EXPECT_EQ(seen.cs & 3, 3u);
    EXPECT_EQ(seen.ss & 3, 3u);
    EXPECT_EQ(space.gdt, switch_area::page(switch_area::first_guest_page + (level == 3 ? 1 : 0)));
    // The four entries of PAE lead to the switch area, which is the supervisor's.
    const u64 directory = rig.machine.load(space.root + 8 * (switch_area::linear >> 30), 8) & ~u64{0xfff};
    const u64 entry = rig.machine.load(HostPhysical(directory) + 8 * (switch_area::linear >> 21 & 511), 8);
    EXPECT_EQ(entry & ~u64{0xfff}, space.area_table.value);
    for (unsigned i = 0; i < 512; ++i) EXPECT_EQ(rig.machine.load(space.area_table + 8 * i, 8) & 4, 0u);
  }
}

// A 64-bit kernel's jump into its own mode did this on a 32-bit processor: the switch's IRET met the fault.
TEST(UserState, WhatTheSwitchCannotLoadIsTheGuestsFault) {
  UserStateRig rig;
  bool ran = false;
  rig.machine.in_user = [&ran](const UserSpace&, UserState& state) {
    ran = true;
    state.vector = 0x20;
  };
  const auto refused = [&] { return rig.execution.enter().reason == ExitReason::GeneralProtection && !ran; };
  SegmentState cs = rig.segment(UserStateRig::kernel_code);
  cs.limit = UserStateRig::code - 1;
  rig.execution.set_segment(SegmentName::cs, cs);
  EXPECT_TRUE(refused());
  rig.at_level(0);
  rig.execution.set_segment(SegmentName::ss, {});
  EXPECT_TRUE(refused());
  rig.at_level(0);
  EXPECT_FALSE(refused());
}

TEST(UserState, AnInstructionThatWasWrittenOverIsDecodedAgain) {
  UserStateRig rig;
  for (unsigned round = 0; round < 3; ++round) {
    for (const bool on : {true, false}) {
      rig.execution.set(StateField::rip, UserStateRig::code);
      EXPECT_FALSE(perform(rig, {static_cast<u8>(on ? 0xfb : 0xfa)}));
      EXPECT_EQ((rig.execution.get(StateField::rflags) & rflags::IF) != 0, on);
    }
  }
}

TEST(UserState, ADescriptorThatIsWrittenIsMadeAnewAndNoOther) {
  UserStateRig rig;
  HostPhysical table;
  u16 selector = 0;
  rig.machine.in_user = [&](const UserSpace& space, UserState& state) {
    const u64 at = 8 * (switch_area::first_guest_page + 1);
    table = HostPhysical(rig.machine.load(space.area_table + at, 8) & ~u64{0xfff});
    selector = static_cast<u16>(state.ds);
    state.vector = 0x20;
  };
  rig.at_level(3);
  rig.execution.enter();
  EXPECT_EQ(selector, UserStateRig::user_data);
  const u64 code_before = rig.machine.load(table + (UserStateRig::user_code & ~7u), 8),
            based = UserStateRig::flat(0xf3);
  const u32 at = UserStateRig::gdt + (UserStateRig::user_data & ~7u);
  rig.machine.store(table + (UserStateRig::user_code & ~7u), 8,
                    0);  // whoever makes all of it anew makes this good again
  rig.store(at, 8, based | u64{0x1234} << 16);
  rig.execution.memory_written(GuestPhysical(at), 8);
  rig.execution.enter();
  EXPECT_EQ(rig.machine.load(table + (UserStateRig::user_data & ~7u), 8), based | u64{0x1234} << 16);
  EXPECT_NE(selector, UserStateRig::user_data) << "DS holds what the descriptor was when it was loaded";
  EXPECT_EQ(rig.machine.load(table + (UserStateRig::user_code & ~7u), 8), 0u);
  EXPECT_NE(code_before, 0u);
}

TEST(UserState, TranslationsAreKeptAsATlbKeepsThem) {
  constexpr u32 directory = 0x2'0000, table = 0x2'1000, local = 0x5000, global = 0x6000;
  constexpr u64 present_writable = 3, global_page = 0x100;
  UserStateRig rig;
  rig.store(directory, 4, table | present_writable);
  const auto map = [&](u64 to) {
    rig.store(table + 4 * (local >> 12), 4, to | present_writable);
    rig.store(table + 4 * (global >> 12), 4, to | present_writable | global_page);
  };
  rig.execution.set(StateField::cr4, cr4::PGE);
  rig.execution.set(StateField::cr3, directory);
  rig.execution.set(StateField::cr0, cr0::PE | cr0::PG);
  deprivileged::LinearMemory linear(rig.machine);
  linear.attach(rig.memory, rig.paging, rig.execution);
  const auto at = [&](u32 address) {
    GuestPhysical found;
    EXPECT_TRUE(linear.translate(address, {}, found));
    return found.value;
  };
  map(0x10'0000);
  EXPECT_EQ(at(local), 0x10'0000u);
  EXPECT_EQ(at(global), 0x10'0000u);
  map(0x11'0000);
  EXPECT_EQ(at(local), 0x10'0000u);
  linear.forget_local();
  EXPECT_EQ(at(local), 0x11'0000u);
  EXPECT_EQ(at(global), 0x10'0000u);
  linear.forget(global);
  EXPECT_EQ(at(global), 0x11'0000u);
  map(0x12'0000);
  linear.forget();
  EXPECT_EQ(at(local), 0x12'0000u);
  EXPECT_EQ(at(global), 0x12'0000u);
}

}  // namespace
}  // namespace bunshin::vmm
