// The engine: budgets, chaining, self-modifying code, device accesses, repeated instructions.

#include <gtest/gtest.h>

#include "tests/core/engine_fixture.h"

namespace bunshin {
namespace {

/// mov ecx, 1000; loop: add eax, ecx; dec ecx; jnz loop; hlt
constexpr std::initializer_list<u8> sum_loop = {0xb9, 0xe8, 0x03, 0, 0, 0x01, 0xc8, 0xff, 0xc9, 0x75, 0xfa, 0xf4};

TEST(Engine, RunsALoopToItsEnd) {
  TestMachine m;
  m.enter_long(0x1000);
  m.write(0x1000, sum_loop);
  EXPECT_EQ(m.processor.run(100'000), Stop::Halted);
  EXPECT_EQ(m.state().gpr[RAX], 500'500U);
  EXPECT_EQ(m.processor.instructions(), 1 + 3 * 1000 + 1U);
  EXPECT_EQ(m.processor.cycles(), m.processor.instructions());
}

TEST(Engine, StopsExactlyAtEveryDeadline) {
  for (u64 deadline = 1; deadline < 40; ++deadline) {
    TestMachine m;
    m.enter_long(0x1000);
    m.write(0x1000, sum_loop);
    EXPECT_EQ(m.processor.run(deadline), Stop::Deadline);
    EXPECT_EQ(m.processor.cycles(), deadline);
    EXPECT_EQ(m.processor.instructions(), deadline);
    EXPECT_EQ(m.processor.run(100'000), Stop::Halted);
    EXPECT_EQ(m.state().gpr[RAX], 500'500U) << "split at " << deadline;
    EXPECT_EQ(m.processor.cycles(), 3002U);
  }
}

TEST(Engine, RunsRealModeCode) {
  TestMachine m;
  CpuState& s = m.state();
  s.segment(Seg::CS).selector = 0;
  s.segment(Seg::CS).base = 0;
  s.rip = 0x7c00;
  m.processor.state_changed();
  // mov ax,0x1234; mov [0x500],ax; xor ax,ax; hlt
  m.write(0x7c00, {0xb8, 0x34, 0x12, 0xa3, 0x00, 0x05, 0x31, 0xc0, 0xf4});
  EXPECT_EQ(m.processor.run(1000), Stop::Halted);
  EXPECT_EQ(m.peek<u16>(0x500), 0x1234);
  EXPECT_EQ(m.state().gpr[RAX], 0U);
}

TEST(Engine, SeesCodeThatItsOwnBlockChanges) {
  TestMachine m;
  m.enter_long(0x1000);
  // mov byte [rip+1], 0x42 (the immediate of the next instruction); mov al, 0; hlt
  m.write(0x1000, {0xc6, 0x05, 0x01, 0, 0, 0, 0x42, 0xb0, 0x00, 0xf4});
  EXPECT_EQ(m.processor.run(1000), Stop::Halted);
  EXPECT_EQ(m.state().gpr[RAX] & 0xff, 0x42U);
}

TEST(Engine, SeesChangedCodeThroughALink) {
  TestMachine m;
  m.enter_long(0x1000);
  // mov ecx,2; again: jmp target; target: mov al,1 | mov byte[target+1],7; dec ecx; jnz again; hlt
  m.write(0x1000, {0xb9, 2,    0,    0, 0, 0xeb, 0x00, 0xb0, 0x01, 0xc6, 0x04,
                   0x25, 0x08, 0x10, 0, 0, 7,    0xff, 0xc9, 0x75, 0xf0, 0xf4});
  EXPECT_EQ(m.processor.run(1000), Stop::Halted);
  EXPECT_EQ(m.state().gpr[RAX] & 0xff, 7U);
}

TEST(Engine, DecodesAnInstructionAcrossPagesAndForgetsItWhenTheTailChanges) {
  TestMachine m;
  m.enter_long(0x1ffd);
  m.write(0x1ffd, {0xb8, 0x11, 0x22, 0x33, 0x44, 0xf4});  // mov eax, 0x44332211; hlt
  EXPECT_EQ(m.processor.run(1000), Stop::Halted);
  EXPECT_EQ(m.state().gpr[RAX], 0x44332211U);
  m.write(0x2001, {0x55});
  m.state().activity = Activity::Active;
  m.state().rip = 0x1ffd;
  EXPECT_EQ(m.processor.run(2000), Stop::Halted);
  EXPECT_EQ(m.state().gpr[RAX], 0x55332211U);
}

TEST(Engine, ADeviceSeesTheExactTimeInTheMiddleOfABlock) {
  TestMachine m;
  m.enter_long(0x1000);
  // nop; nop; mov eax, [0x3f000000]; hlt : RAM ends at 16 MiB, the page tables map 1 GiB
  m.write(0x1000, {0x90, 0x90, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x00, 0x3f, 0xf4});
  EXPECT_EQ(m.processor.run(1000), Stop::Halted);
  EXPECT_EQ(m.state().gpr[RAX], 0x11223344U);
  EXPECT_EQ(m.bus.last_address, 0x3f000000U);
  EXPECT_EQ(m.host.time, Clock{m.profile.frequency}.at(2));
}

TEST(Engine, TheTimeStampCounterIsExactInTheMiddleOfABlock) {
  TestMachine m;
  m.enter_long(0x1000);
  m.write(0x1000, {0x90, 0x90, 0x0f, 0x31, 0x90, 0xf4});  // nop; nop; rdtsc; nop; hlt
  EXPECT_EQ(m.processor.run(1000), Stop::Halted);
  EXPECT_EQ(m.state().gpr[RAX], 2U);
}

TEST(Engine, AnInstructionThatMustBeAloneIsAloneEachTime) {
  TestMachine m;
  m.enter_long(0x1000);
  // mov ecx,3; again: nop; in eax,0x40; dec ecx; jnz again; hlt: the second and third IN are reached by links
  m.write(0x1000, {0xb9, 3, 0, 0, 0, 0x90, 0xe5, 0x40, 0xff, 0xc9, 0x75, 0xf9, 0xf4});
  EXPECT_EQ(m.processor.run(1000), Stop::Halted);
  EXPECT_EQ(m.host.time, Clock{m.profile.frequency}.at(1 + 2 * 4 + 1));
}

TEST(Engine, PauseTakesTheProfilesTime) {
  CpuProfile profile = resolved_profile();
  profile.pause_cycles = 140;
  TestMachine m(profile);
  m.enter_long(0x1000);
  m.write(0x1000, {0xf3, 0x90, 0xf4});  // pause; hlt
  EXPECT_EQ(m.processor.run(1000), Stop::Halted);
  EXPECT_EQ(m.processor.cycles(), 141U);
  EXPECT_EQ(m.processor.instructions(), 2U);
}

TEST(Engine, ARepeatedStoreIsBoundedAndResumes) {
  TestMachine m;
  m.enter_long(0x1000);
  // mov edi,0x200000; mov ecx,100000; mov al,0x5a; rep stosb; hlt
  m.write(0x1000, {0xbf, 0, 0, 0x20, 0, 0xb9, 0xa0, 0x86, 1, 0, 0xb0, 0x5a, 0xf3, 0xaa, 0xf4});
  EXPECT_EQ(m.processor.run(1'000'000), Stop::Halted);
  EXPECT_EQ(m.peek<u8>(0x200000 + 99'999), 0x5a);
  EXPECT_EQ(m.peek<u8>(0x200000 + 100'000), 0);
  EXPECT_EQ(m.state().gpr[RCX], 0U);
  EXPECT_GE(m.processor.instructions(), 100'000 / 8192U);
}

TEST(Engine, OverlappingMovsPropagatesTheFirstElement) {
  TestMachine m;
  m.enter_long(0x1000);
  m.poke<u8>(0x200000, 0x77);
  // mov esi,0x200000; lea edi,[rsi+1]; mov ecx,5000; rep movsb; hlt
  m.write(0x1000, {0xbe, 0, 0, 0x20, 0, 0x8d, 0x7e, 1, 0xb9, 0x88, 0x13, 0, 0, 0xf3, 0xa4, 0xf4});
  EXPECT_EQ(m.processor.run(1'000'000), Stop::Halted);
  EXPECT_EQ(m.peek<u8>(0x200000 + 5000), 0x77);
  EXPECT_EQ(m.peek<u8>(0x200000 + 5001), 0);
}

/// Runs comparison and jump in one go, or with a deadline between them, and tells whether the jump was taken.
bool jump_is_taken(std::initializer_list<u8> comparison, u8 code, u64 first, u64 second, bool split) {
  TestMachine m;
  m.enter_long(0x1000);
  m.write(0x1000, comparison);
  const u64 jump = 0x1000 + comparison.size();
  m.write(jump, {static_cast<u8>(0x70 | code), 2, 0xb1, 1, 0xf4});  // jcc over: mov cl, 1; hlt
  m.state().gpr[RAX] = first;
  m.state().gpr[RBX] = second;
  m.state().gpr[RCX] = 0;
  m.poke<u64>(0x5000, first);
  if (split) {
    EXPECT_EQ(m.processor.run(1), Stop::Deadline);
    EXPECT_EQ(m.state().rip, jump);
  }
  EXPECT_EQ(m.processor.run(100), Stop::Halted);
  return m.state().gpr[RCX] == 0;
}

TEST(Engine, AComparisonFusedWithItsJumpDecidesAsTheTwoDoApart) {
  const std::initializer_list<u8> forms[] = {
      {0x48, 0x39, 0xd8},                                // cmp rax, rbx
      {0x39, 0xd8},                                      // cmp eax, ebx
      {0x38, 0xd8},                                      // cmp al, bl
      {0x48, 0x3b, 0x1c, 0x25, 0x00, 0x50, 0x00, 0x00},  // cmp rbx, [0x5000]
      {0x48, 0x83, 0xf8, 0xff},                          // cmp rax, -1
      {0x3c, 0x80},                                      // cmp al, 0x80
      {0x48, 0x85, 0xd8},                                // test rax, rbx
      {0xf6, 0x04, 0x25, 0x00, 0x50, 0x00, 0x00, 0x81},  // test byte [0x5000], 0x81
  };
  const u64 values[] = {0,          1,          0x7f,         0x80,    0xff,        0x7fffffff,
                        0x80000000, 0xffffffff, u64{1} << 63, ~u64{0}, ~u64{0} >> 1};
  for (const auto& form : forms) {
    for (u8 code = 0; code < 16; ++code) {
      for (const u64 first : values) {
        for (const u64 second : {u64{0}, u64{1}, u64{0x80}, u64{1} << 63, ~u64{0}}) {
          ASSERT_EQ(jump_is_taken(form, code, first, second, false), jump_is_taken(form, code, first, second, true))
              << "form " << &form - forms << " condition " << int{code} << " of " << first << ", " << second;
        }
      }
    }
  }
}

TEST(Engine, ATripleFaultShutsDown) {
  TestMachine m;
  m.enter_long(0x1000);
  m.state().idtr = {0, 0};
  m.write(0x1000, {0x0f, 0x0b});  // ud2
  EXPECT_EQ(m.processor.run(1000), Stop::Shutdown);
}

TEST(OpcodeTable, NoTwoRowsOfEqualSpecificityOverlap) {
  const OpcodeTable table;
  const auto may_both_match = [](const Pattern& a, const Pattern& b) {
    const auto agree = [](int x, int y) { return x < 0 || y < 0 || x == y; };
    const bool modes = ((a.row->attributes & attr::invalid64) == 0 || (b.row->attributes & attr::only64) == 0) &&
                       ((a.row->attributes & attr::only64) == 0 || (b.row->attributes & attr::invalid64) == 0);
    return modes && (a.mandatory == 0 || b.mandatory == 0 || a.mandatory == b.mandatory) && agree(a.rex_w, b.rex_w) &&
           agree(a.reg_field, b.reg_field) && agree(a.modrm, b.modrm) && agree(a.memory, b.memory) &&
           agree(a.vex_l, b.vex_l);
  };
  for (unsigned map = 0; map < 2 * Pattern::vex_maps; ++map) {
    for (unsigned opcode = 0; opcode < 256; ++opcode) {
      const auto rows = table.candidates(map, static_cast<u8>(opcode));
      for (std::size_t i = 0; i < rows.size(); ++i) {
        for (std::size_t j = i + 1; j < rows.size(); ++j) {
          const bool clash = OpcodeTable::specificity(rows[i]) == OpcodeTable::specificity(rows[j]) &&
                             may_both_match(rows[i], rows[j]);
          EXPECT_FALSE(clash) << rows[i].row->encoding << " " << rows[i].row->mnemonic << " and "
                              << rows[j].row->encoding << " " << rows[j].row->mnemonic;
        }
      }
    }
  }
}

TEST(Engine, AnInstructionAcrossTheCodeLimitFaultsWhole) {
  TestMachine m;
  m.enter_protected(0x1000);
  m.state().segment(Seg::CS).limit = 0x1003;
  m.state().idtr = {0, 0};
  m.processor.state_changed();
  // nop; mov eax,1: the last byte lies beyond
  m.write(0x1000, {0x90, 0xb8, 1, 0, 0, 0});
  EXPECT_EQ(m.processor.run(100), Stop::Shutdown);
  EXPECT_EQ(m.state().gpr[RAX], 0u);
  EXPECT_EQ(m.state().rip, 0x1001u);
}

TEST(Engine, LockMovCr0IsCr8OnAmd) {
  TestMachine m(resolved_profile("AuthenticAMD"));
  m.enter_protected(0x1000);
  m.state().gpr[RAX] = 5;
  // lock mov cr0,eax; lock mov ebx,cr0; hlt
  m.write(0x1000, {0xf0, 0x0f, 0x22, 0xc0, 0xf0, 0x0f, 0x20, 0xc3, 0xf4});
  EXPECT_EQ(m.processor.run(100), Stop::Halted);
  EXPECT_EQ(m.apic.task_priority_class(), 5);
  EXPECT_EQ(m.state().gpr[RBX], 5u);
}

TEST(Engine, LockMovCr0IsUndefinedOnIntel) {
  TestMachine m;
  m.enter_protected(0x1000);
  m.state().idtr = {0, 0};
  m.write(0x1000, {0xf0, 0x0f, 0x22, 0xc0});
  EXPECT_EQ(m.processor.run(100), Stop::Shutdown);
}

TEST(Engine, AGroupsUndefinedMemberIsDecodedAnewWhenItsModRmByteChanges) {
  TestMachine m;
  m.enter_protected(0x1000);
  m.state().idtr = {0, 0};
  m.write(0x1000, {0x0f, 0xba, 0xc0, 0x00, 0xf4});
  ASSERT_EQ(m.processor.run(100), Stop::Shutdown);
  m.write(0x1002, {0xe0});  // bt eax, 0
  m.state().activity = Activity::Active;
  EXPECT_EQ(m.processor.run(200), Stop::Halted);
}

}  // namespace
}  // namespace bunshin
