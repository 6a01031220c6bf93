// The emulator against the host's own processor: the same instruction on the same registers and memory.

#include <array>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include <sys/mman.h>

#include "vmm-model/emulate/emulator.h"

namespace bunshin::vmm {
namespace {

class FlatMemory final : public GuestAccess {
 public:
  explicit FlatMemory(void* memory) : memory_(static_cast<u8*>(memory)) {}
  bool read(u64 linear, unsigned size, u64& value, Intent) override {
    value = 0;
    std::memcpy(&value, memory_ + linear, size);
    return true;
  }
  bool write(u64 linear, unsigned size, u64 value) override {
    std::memcpy(memory_ + linear, &value, size);
    return true;
  }
  bool permits(u64, unsigned, Intent) override { return true; }
  bool in_segment(SegmentName, u64, unsigned, bool) override { return true; }
  u16 selector(SegmentName) override { return 0; }
  u64 extended_state(unsigned) override { return 0; }
  void set_extended_state(unsigned, u64) override {}
  void raise(u8) override {}

 private:
  u8* memory_;
};

/// RAX, RCX, RDX, RSI in and out; RDI is the address of 64 bytes of memory.
struct State {
  u64 rax, rcx, rdx, rsi, flags;
  std::array<u64, 8> memory;
};

class HostProcessor {
 public:
  HostProcessor()
      : code_(static_cast<u8*>(
            mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
  ~HostProcessor() { munmap(code_, 4096); }
  HostProcessor(const HostProcessor&) = delete;
  HostProcessor& operator=(const HostProcessor&) = delete;

  void run(std::span<const u8> instruction, State& state) {
    std::memcpy(code_, instruction.data(), instruction.size());
    code_[instruction.size()] = 0xc3;
    u64 a = state.rax, c = state.rcx, d = state.rdx, s = state.rsi, f = state.flags;
    asm volatile("sub $128, %%rsp\n push %5\n popfq\n call *%6\n pushfq\n pop %5\n add $128, %%rsp"
                 : "+a"(a), "+c"(c), "+d"(d), "+S"(s), "+m"(state.memory), "+r"(f)
                 : "r"(code_), "D"(state.memory.data())
                 : "cc", "memory");
    state.rax = a, state.rcx = c, state.rdx = d, state.rsi = s, state.flags = f;
  }

 private:
  u8* code_;
};

State emulated(std::span<const u8> bytes, State state, EmulationResult& result) {
  const Instruction instruction = decode_instruction(bytes, 64);
  GeneralRegisters registers;
  registers[rax] = state.rax, registers[rcx] = state.rcx, registers[rdx] = state.rdx, registers[rsi] = state.rsi;
  u64 rip = 0, flags = state.flags;
  EmulatedProcessor processor{registers, rip, flags, 64, {}};
  FlatMemory memory(state.memory.data());
  result = emulate(instruction, processor, memory);
  state.rax = registers[rax], state.rcx = registers[rcx], state.rdx = registers[rdx], state.rsi = registers[rsi];
  state.flags = flags;
  EXPECT_EQ(rip, bytes.size());
  return state;
}

struct Form {
  const char* name;
  std::vector<u8> bytes;
  u64 defined_flags = rflags::arithmetic;
};

/// [rdi + 8] and rcx, or an immediate.
std::vector<Form> forms() {
  std::vector<Form> all;
  const auto add = [&](const char* name, std::vector<u8> bytes, u64 flags = rflags::arithmetic) {
    all.push_back({name, bytes, flags});
  };
  for (unsigned op = 0; op < 8; ++op) {
    const u64 defined = op == 1 || op == 4 || op == 6 ? rflags::arithmetic & ~rflags::AF : rflags::arithmetic;
    const u8 base = static_cast<u8>(op << 3);
    add("group1 m8,r8", {base, 0x4f, 8}, defined);
    add("group1 m32,r32", {static_cast<u8>(base + 1), 0x4f, 8}, defined);
    add("group1 m64,r64", {0x48, static_cast<u8>(base + 1), 0x4f, 8}, defined);
    add("group1 m16,r16", {0x66, static_cast<u8>(base + 1), 0x4f, 8}, defined);
    add("group1 r64,m64", {0x48, static_cast<u8>(base + 3), 0x4f, 8}, defined);
    add("group1 m64,imm8", {0x48, 0x83, static_cast<u8>(0x47 | op << 3), 8, 0x9c}, defined);
    add("group1 m32,imm32", {0x81, static_cast<u8>(0x47 | op << 3), 8, 0x12, 0x34, 0x56, 0x87}, defined);
    if (op >= 4) add("bit m64,imm8", {0x48, 0x0f, 0xba, static_cast<u8>(0x47 | op << 3), 8, 0x93}, rflags::CF);
  }
  add("mov m8,r8 high", {0x88, 0x6f, 8});
  add("mov m64,r64", {0x48, 0x89, 0x4f, 8});
  add("mov r16,m16", {0x66, 0x8b, 0x4f, 8});
  add("mov m32,imm", {0xc7, 0x47, 8, 1, 2, 3, 0xf4});
  add("mov m64,imm", {0x48, 0xc7, 0x47, 8, 1, 2, 3, 0xf4});
  add("movzx r32,m8", {0x0f, 0xb6, 0x4f, 8});
  add("movsx r64,m16", {0x48, 0x0f, 0xbf, 0x4f, 8});
  add("movsxd", {0x48, 0x63, 0x4f, 8});
  add("movnti", {0x48, 0x0f, 0xc3, 0x4f, 8});
  add("test m32,r32", {0x85, 0x4f, 8}, rflags::arithmetic & ~rflags::AF);
  add("xchg m64,r64", {0x48, 0x87, 0x4f, 8});
  add("xadd m32,r32", {0x0f, 0xc1, 0x4f, 8});
  add("xadd m8,r8", {0x0f, 0xc0, 0x4f, 8});
  add("cmpxchg m64,r64", {0x48, 0x0f, 0xb1, 0x4f, 8});
  add("cmpxchg m32,r32", {0x0f, 0xb1, 0x4f, 8});
  add("inc m32", {0xff, 0x47, 8});
  add("dec m8", {0xfe, 0x4f, 8});
  add("not m64", {0x48, 0xf7, 0x57, 8});
  add("neg m16", {0x66, 0xf7, 0x5f, 8});
  return all;
}

TEST(Emulator, DoesWhatTheHostDoes) {
  HostProcessor host;
  std::mt19937_64 random(7);
  for (const Form& form : forms()) {
    for (unsigned round = 0; round < 200; ++round) {
      State before{};
      before.rax = random(), before.rcx = random(), before.rdx = random(), before.rsi = random();
      for (u64& word : before.memory) word = random();
      if (round % 3 == 0) before.rax = before.memory[1];  // CMPXCHG that succeeds
      if (round % 5 == 0) before.memory[1] &= 0xff;
      before.flags = rflags::fixed | rflags::IF | (random() & rflags::arithmetic);
      State expected = before;
      host.run(form.bytes, expected);
      EmulationResult result = EmulationResult::Unknown;
      // RDI is 0 in the emulator's memory.
      const State got = emulated(form.bytes, before, result);
      ASSERT_EQ(result, EmulationResult::Done) << form.name;
      ASSERT_EQ(got.memory, expected.memory) << form.name;
      ASSERT_EQ(got.rax, expected.rax) << form.name;
      ASSERT_EQ(got.rcx, expected.rcx) << form.name;
      ASSERT_EQ(got.flags & form.defined_flags, expected.flags & form.defined_flags) << form.name;
    }
  }
}

TEST(Emulator, RepeatsStringsAndStopsForInterrupts) {
  std::vector<u8> memory(3 * 8 * max_iterations);
  FlatMemory access(memory.data());
  GeneralRegisters registers;
  registers[rax] = 0x1122'3344'5566'7788;
  registers[rcx] = max_iterations + 5;
  u64 rip = 0, flags = rflags::fixed;
  EmulatedProcessor processor{registers, rip, flags, 64, {}};
  const std::array<u8, 3> rep_stosq = {0xf3, 0x48, 0xab};
  const Instruction instruction = decode_instruction(rep_stosq, 64);
  EXPECT_EQ(emulate(instruction, processor, access), EmulationResult::Again);
  EXPECT_EQ(rip, 0u);
  EXPECT_EQ(registers[rcx], 5u);
  EXPECT_EQ(emulate(instruction, processor, access), EmulationResult::Done);
  EXPECT_EQ(rip, 3u);
  EXPECT_EQ(registers[rdi], (max_iterations + 5) * 8u);
  EXPECT_EQ(memory[(max_iterations + 5) * 8 - 1], 0x11);
  EXPECT_EQ(memory[(max_iterations + 5) * 8], 0);
}

TEST(Emulator, ComparesPairs) {
  State state{};
  state.memory = {1, 2, 3};
  state.rax = 2, state.rdx = 0;
  const std::array<u8, 4> cmpxchg8b = {0x0f, 0xc7, 0x4f, 8};
  EmulationResult result = EmulationResult::Unknown;
  const State after = emulated(cmpxchg8b, state, result);
  EXPECT_EQ(result, EmulationResult::Done);
  EXPECT_NE(after.flags & rflags::ZF, 0u);
  EXPECT_EQ(after.memory[1], 0u);  // RCX:RBX
}

}  // namespace
}  // namespace bunshin::vmm
