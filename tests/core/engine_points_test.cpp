// Stopping a core at a point: after so many instructions, in front of an address, behind a mark. Watched block by
// block or not.

#include <gtest/gtest.h>

#include <vector>

#include "core/engine/mark.h"
#include "guests/runtime/bunshin_mark.h"
#include "tests/core/engine_fixture.h"

namespace bunshin {
namespace {

/// Half a cycle an instruction: the cycles say nothing about how many instructions there were.
class Halver final : public BlockObserver {
 public:
  u64 block_ran(const BlockRun& run) override {
    instructions += run.completed;
    return run.completed / 2;
  }
  u64 instructions = 0;
};

/// mov ecx, 100; loop: inc eax; inc eax; inc eax; dec ecx; jnz loop; hlt. The loop is at 0x1005.
constexpr std::initializer_list<u8> counting_loop = {0xb9, 100,  0,    0,    0,    0xff, 0xc0, 0xff,
                                                     0xc0, 0xff, 0xc0, 0xff, 0xc9, 0x75, 0xf6, 0xf4};
constexpr u64 loop_at = 0x1005;

class Points : public ::testing::TestWithParam<bool> {
 protected:
  Points() {
    m_.enter_long(0x1000);
    m_.write(0x1000, counting_loop);
    m_.state().gpr[RAX] = 0;
    if (GetParam()) m_.processor.set_block_observer(&halver_);
    m_.environment.on_reached = [this](u64 linear) {
      if (linear != watched_) return false;
      at_.push_back(m_.processor.instructions());
      m_.processor.request_stop(Stop::Noted);
      return true;
    };
  }
  void watch(u64 linear) {
    watched_ = linear;
    m_.blocks.set_probes(std::span<const u64>(&watched_, 1));
  }

  TestMachine m_;
  Halver halver_;
  u64 watched_ = 0;
  std::vector<u64> at_;
};

TEST_P(Points, AnInstructionLimitIsExactWhereverItFalls) {
  u64 limit = 0;
  for (const u64 step : {1, 1, 2, 3, 5, 7, 64, 100}) {
    limit += step;
    m_.processor.set_instruction_limit(limit);
    EXPECT_EQ(m_.processor.run(100'000), Stop::Deadline);
    EXPECT_EQ(m_.processor.instructions(), limit);
    EXPECT_EQ(m_.processor.run(100'000), Stop::Deadline);
    EXPECT_EQ(m_.processor.instructions(), limit) << "nothing is left of the limit";
  }
  m_.processor.set_instruction_limit(std::nullopt);
  EXPECT_EQ(m_.processor.run(100'000), Stop::Halted);
  EXPECT_EQ(m_.processor.instructions(), 502U);
  EXPECT_EQ(m_.state().gpr[RAX], 300U);
}

TEST_P(Points, ACoreStopsInFrontOfAProbedAddressEachTimeItComesThere) {
  watch(loop_at + 4);  // the third increment
  for (u64 round = 0; round < 100; ++round) {
    ASSERT_EQ(m_.processor.run(100'000), Stop::Noted);
    EXPECT_EQ(m_.state().rip, loop_at + 4);
    EXPECT_EQ(m_.state().gpr[RAX], round * 3 + 2);
    EXPECT_EQ(m_.processor.instructions(), 1 + round * 5 + 2);
  }
  EXPECT_EQ(m_.processor.run(100'000), Stop::Halted);
  EXPECT_EQ(at_.size(), 100U);
  EXPECT_EQ(m_.state().gpr[RAX], 300U);
}

TEST_P(Points, ABlockDecodedThroughAnotherAddressKnowsTheProbeToo) {
  // 0x1000 is mapped at 2 MiB + 0x1000 as well; the loop runs there only after it has run here.
  m_.poke<u64>(0x102000 + 8, 0x87);
  watch((u64{2} << 20) + loop_at);
  EXPECT_EQ(m_.processor.run(100'000), Stop::Halted);
  EXPECT_TRUE(at_.empty());
  m_.state().rip = (u64{2} << 20) + 0x1000;
  m_.state().activity = Activity::Active;
  m_.processor.state_changed();
  EXPECT_EQ(m_.processor.run(200'000), Stop::Noted);
  EXPECT_EQ(m_.state().rip, (u64{2} << 20) + loop_at);
}

TEST_P(Points, AProbedInstructionThatIsRunAgainForADeviceIsReachedOnce) {
  m_.write(0x1000, {0x8b, 0x04, 0x25, 0x00, 0x00, 0x00, 0x02, 0xf4});  // mov eax, [32 MiB]: behind the memory
  watch(0x1000);
  EXPECT_EQ(m_.processor.run(1000), Stop::Noted);
  EXPECT_EQ(m_.processor.run(1000), Stop::Halted);
  EXPECT_EQ(m_.state().gpr[RAX], 0x11223344U);
  EXPECT_EQ(at_.size(), 1U);
}

TEST_P(Points, MarksAreToldAndChangeNothing) {
  // Marks in front of, between and behind instructions: begin 5, end 5, request 2, point 0xabc.
  std::vector<u8> code;
  const auto mark = [&](u32 operation, u32 number) {
    const u32 displacement = BUNSHIN_MARK_VALUE(operation, number);
    code.insert(code.end(), {0x0f, 0x1f, 0x84, 0xd2});
    for (unsigned i = 0; i < 4; ++i) code.push_back(static_cast<u8>(displacement >> (8 * i)));
  };
  mark(BUNSHIN_MARK_BEGIN, 5);
  code.insert(code.end(), {0xff, 0xc0});
  mark(BUNSHIN_MARK_END, 5);
  mark(BUNSHIN_MARK_REQUEST, 2);
  code.insert(code.end(), {0x0f, 0x1f, 0x84, 0xd2, 0x05, 0x00, 0x43, 0x4e});  // another signature
  code.insert(code.end(), {0x0f, 0x1f, 0x84, 0x00, 0, 0, 0, 0});              // the assembler's eight bytes
  mark(BUNSHIN_MARK_POINT, 0xabc);
  code.push_back(0xf4);
  m_.memory.write(HostPhysical(0x1000), code);
  EXPECT_EQ(m_.processor.run(1000), Stop::Halted);
  EXPECT_EQ(m_.environment.marks, (std::vector<u16>{0x0005, 0x1005, 0x2002, 0x3abc}));
  EXPECT_EQ(m_.state().gpr[RAX], 1U);
  EXPECT_EQ(m_.processor.instructions(), 8U);
}

INSTANTIATE_TEST_SUITE_P(Watched, Points, ::testing::Bool(),
                         [](const auto& watched) { return watched.param ? "Observed" : "Plain"; });

/// Sixteen-bit code needs the address-size prefix; without it the same bytes are another instruction.
TEST(Mark, NeedsWideAddressing) {
  const OpcodeTable table;
  const CpuProfile profile = resolved_profile();
  CodeMode mode;
  const auto is_mark = [&](std::initializer_list<u8> bytes, u8 bits) {
    mode.bits = bits;
    Decoded d;
    EXPECT_EQ(decode(table, profile, mode, {bytes.begin(), bytes.size()}, 0, 0, d), DecodeStatus::Ok);
    return d.row == &mark::row();
  };
  EXPECT_TRUE(is_mark({0x0f, 0x1f, 0x84, 0xd2, 0x07, 0x00, 0x42, 0x4e}, 64));
  EXPECT_TRUE(is_mark({0x0f, 0x1f, 0x84, 0xd2, 0x07, 0x00, 0x42, 0x4e}, 32));
  EXPECT_FALSE(is_mark({0x0f, 0x1f, 0x84, 0xd2, 0x07, 0x00, 0x42, 0x4e}, 16));
  EXPECT_TRUE(is_mark({0x67, 0x0f, 0x1f, 0x84, 0xd2, 0x07, 0x00, 0x42, 0x4e}, 16));
  EXPECT_FALSE(is_mark({0x49, 0x0f, 0x1f, 0x84, 0xd2, 0x07, 0x00, 0x42, 0x4e}, 64)) << "another base register";
}

/// The processor underneath takes the header's instructions as nothing.
TEST(Mark, IsHarmlessOnTheHost) {
#if defined(__x86_64__)
  u64 before = 0x1234;
  asm volatile("mov %0, %%rdx" : : "r"(u64{0xdead'beef'0000'0000}) : "rdx");  // not an address that could be read
  bunshin_begin(0);
  bunshin_point(17);
  bunshin_request(BUNSHIN_TIMING_OOO);
  bunshin_end(0);
  asm volatile("" : "+r"(before));
  EXPECT_EQ(before, 0x1234U);
#else
  GTEST_SKIP() << "not an x86-64 host";
#endif
}

}  // namespace
}  // namespace bunshin
