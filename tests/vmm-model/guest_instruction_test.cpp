// What a guest's exits for devices and holes come to: instructions performed, faults, or a guest that ends with a message.

#include <gtest/gtest.h>

#include "tests/vmm-model/host_machine.h"
#include "vmm-model/guest.h"
#include "vmm-model/paging/nested_paging.h"

namespace bunshin::vmm {
namespace {

constexpr u64 mib = 1 << 20, video = 0xb8000, video_end = 0xc0000, hole = 0xd000'0000, code_at = 0x1000;

/// 32-bit code at CPL 0, flat, without paging, 4 MiB at 16 MiB of the machine.
struct PlayedGuest {
  PlayedGuest() {
    pool.add(mib, 8 * mib);
    area = pool.allocate();
    VirtualPcSetup setup;
    setup.apic = {true, true, 36};
    guest.emplace("g", machine, memory, cpu, paging, setup, area, SimTime::from_ns(1'000'000'000), false);
    cpu.set(StateField::cr0, cr0::PE | cr0::ET);
    cpu.set(StateField::rflags, rflags::fixed);
    cpu.set(StateField::rip, code_at);
    for (SegmentState& s : cpu.segments)
      s = {8, segment::P | segment::S | segment::DB | segment::G | 3, 0xffff'ffff, 0};
    cpu.segments[static_cast<unsigned>(SegmentName::cs)].attributes |= 8;
    EXPECT_TRUE(guest->power_on());
  }

  /// One exit for an access to `address`, at this code.
  void exit_at(u64 address, std::initializer_list<u8> code, Event interrupted = {}) {
    if (code.size() != 0) memory.write(GuestPhysical(code_at), std::vector<u8>(code));
    bool first = true;
    cpu.script = [=, this](StillProcessor&) mutable {
      Exit exit;
      exit.reason = first ? ExitReason::SecondStageFault : ExitReason::Interrupt;
      exit.address = address;
      if (first) exit.interrupted = interrupted;
      if (!first) machine.time = slice;
      first = false;
      return exit;
    };
    guest->run(slice);
  }
  u64 video_word(u64 at) { return guest->pc().read_memory(video + at, 4); }
  u64 rip() { return cpu.get(StateField::rip); }

  static constexpr SimTime slice = SimTime::from_ns(1'000'000);
  HostMachine machine{64 << 20};
  PagePool pool{machine};
  GuestMemory memory{machine, HostPhysical(16 * mib), 4 * mib};
  StillProcessor cpu;
  NestedPaging paging{PagingContext{machine, pool, memory, cpu, 36}, page_size};
  HostPhysical area;
  std::optional<Guest> guest;
};

TEST(GuestInstruction, PushesWhatADeviceGives) {
  PlayedGuest g;
  g.guest->pc().write_memory(video + 8, 4, 0x1234'5678);
  g.cpu.registers[rdi] = video + 8;
  g.cpu.registers[rsp] = 0x8000;
  g.exit_at(video + 8, {0xff, 0x37});  // PUSH [EDI]
  u64 pushed = 0;
  g.memory.load(GuestPhysical(0x7ffc), 4, pushed);
  EXPECT_EQ(pushed, 0x1234'5678u);
  EXPECT_EQ(g.cpu.registers[rsp], 0x7ffcu);
  EXPECT_EQ(g.rip(), code_at + 2);
}

TEST(GuestInstruction, WritesAcrossTheEndOfADevice) {
  PlayedGuest g;
  g.cpu.registers[rdi] = video_end - 2;
  g.cpu.registers[rax] = 0xddcc'bbaa;
  g.exit_at(video_end - 2, {0x89, 0x07});  // MOV [EDI], EAX
  u64 behind = 0;
  g.memory.load(GuestPhysical(video_end), 2, behind);
  EXPECT_EQ(behind, 0xddccu);
  EXPECT_EQ(g.guest->pc().read_memory(video_end - 2, 2) & 0xffff, 0xbbaau);
}

TEST(GuestInstruction, StoresVectorsThatTheProcessorHolds) {
  PlayedGuest g;
  // XMM1, where XSAVE would have put it.
  g.machine.store(g.area + 176, 8, 0x1111'2222'3333'4444);
  g.machine.store(g.area + 184, 8, 0x5555'6666'7777'8888);
  g.cpu.registers[rdi] = video;
  g.exit_at(video, {0x0f, 0x11, 0x0f});  // MOVUPS [EDI], XMM1
  EXPECT_EQ(g.video_word(0), 0x3333'4444u);
  EXPECT_EQ(g.video_word(12), 0x5555'6666u);
}

TEST(GuestInstruction, LeavesTheStackWhereItsSegmentEnds) {
  PlayedGuest g;
  g.cpu.segments[static_cast<unsigned>(SegmentName::ss)].limit = 0x7fff;
  g.cpu.registers[rdi] = video;
  g.cpu.registers[rsp] = 0x9000;
  g.exit_at(video, {0xff, 0x37});  // PUSH [EDI]
  EXPECT_EQ(g.cpu.injected.vector, vector::SS);
  EXPECT_EQ(g.cpu.registers[rsp], 0x9000u);
  EXPECT_EQ(g.rip(), code_at);
}

TEST(GuestInstruction, RunsCodeInADevice) {
  PlayedGuest g;
  g.guest->pc().write_memory(video, 4, 0x0007'c783);  // ADD EDI, 7
  g.cpu.set(StateField::rip, video);
  g.exit_at(video, {});
  EXPECT_EQ(g.cpu.registers[rdi], 7u);
  EXPECT_EQ(g.rip(), video + 3);
}

TEST(GuestInstruction, FindsNoCodeInAHole) {
  PlayedGuest g;
  g.cpu.set(StateField::rip, hole);
  g.exit_at(hole, {});
  EXPECT_EQ(g.cpu.injected.vector, vector::UD);
  EXPECT_EQ(g.guest->state(), GuestState::Ready);
}

TEST(GuestInstruction, NamesWhatItDoesNotPerform) {
  const struct {
    std::vector<u8> code;
    const char* name;
  } rows[] = {{{0xd8, 0x07}, "FADD"},
              {{0xdd, 0x1f}, "FSTP"},
              {{0x0f, 0x58, 0x07}, "an SSE or MMX computation"},
              {{0xff, 0x1f}, "a far CALL"},
              {{0x8e, 0x1f}, "MOV to a segment register"},
              {{0x0f, 0xae, 0x07}, "FXSAVE"}};
  for (const auto& row : rows) {
    PlayedGuest g;
    g.cpu.registers[rdi] = video;
    g.memory.write(GuestPhysical(code_at), row.code);
    g.exit_at(video, {});
    EXPECT_EQ(g.guest->state(), GuestState::Failed);
    EXPECT_NE(g.machine.said.find(std::string("g: not emulated: ") + row.name + ", bytes"), std::string::npos)
        << g.machine.said;
  }
}

// The exit is not for the instruction at RIP, which must not be performed.
TEST(GuestInstruction, IsNotWhatDeliversAnEvent) {
  constexpr u64 blanks = 0x0720'0720;
  PlayedGuest g;
  g.cpu.registers[rdi] = video;
  g.exit_at(video, {0xff, 0x07}, Event::interrupt(0x40));  // INC [EDI]
  EXPECT_EQ(g.video_word(0), blanks);
  EXPECT_EQ(g.guest->state(), GuestState::Failed);
  EXPECT_NE(g.machine.said.find("the delivery of an event accessed a device"), std::string::npos) << g.machine.said;
}

// One step of it is one instruction to a debugger (SDM vol. 3, 18.3.1.4).
TEST(GuestInstruction, StepsThroughARepeatedOne) {
  PlayedGuest g;
  g.cpu.set(StateField::rflags, rflags::fixed | rflags::TF);
  g.cpu.registers[rdi] = video;
  g.cpu.registers[rcx] = 3;
  g.cpu.registers[rax] = 0x20;
  g.exit_at(video, {0xf3, 0xaa});  // REP STOSB
  EXPECT_EQ(g.cpu.registers[rcx], 2u);
  EXPECT_EQ(g.cpu.injected.vector, vector::DB);
  EXPECT_EQ(g.rip(), code_at);
}

}  // namespace
}  // namespace bunshin::vmm
