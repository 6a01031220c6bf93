// The hypervisor's decoder against Capstone: what it knows has the same length and the same memory operand.

#include <random>
#include <vector>

#include <capstone/capstone.h>
#include <gtest/gtest.h>

#include "vmm-model/arch/deprivileged/code.h"
#include "vmm-model/emulate/instruction.h"

namespace bunshin::vmm {
namespace {

class Disassembler {
 public:
  explicit Disassembler(unsigned bits) {
    cs_open(CS_ARCH_X86, bits == 64 ? CS_MODE_64 : bits == 32 ? CS_MODE_32 : CS_MODE_16, &handle_);
  }
  ~Disassembler() { cs_close(&handle_); }
  Disassembler(const Disassembler&) = delete;
  Disassembler& operator=(const Disassembler&) = delete;

  unsigned length(const std::vector<u8>& bytes) const {
    cs_insn* instruction = nullptr;
    if (cs_disasm(handle_, bytes.data(), bytes.size(), 0x1000, 1, &instruction) != 1) return 0;
    const unsigned size = instruction->size;
    cs_free(instruction, 1);
    return size;
  }

 private:
  csh handle_ = 0;
};

/// CALL, RET and JMP with 67H or 66H, whose operand size Capstone takes from the wrong prefix.
bool confuses_capstone(std::span<const u8> bytes) {
  bool prefixed = false;
  while (bytes[0] == 0x66 || bytes[0] == 0x67 || (bytes[0] & 0xf0) == 0x40) {
    prefixed |= bytes[0] < 0x70 && bytes[0] >= 0x66;
    bytes = bytes.subspan(1);
  }
  return prefixed && (bytes[0] == 0xe8 || bytes[0] == 0xe9 || bytes[0] == 0xc2);
}

class DecoderLength : public testing::TestWithParam<unsigned> {};

TEST_P(DecoderLength, IsCapstones) {
  const unsigned bits = GetParam();
  const Disassembler capstone(bits);
  std::mt19937_64 random(bits);
  constexpr u8 prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0x64, 0x2e};
  unsigned known = 0, differ = 0;
  for (unsigned round = 0; round < 300'000; ++round) {
    std::vector<u8> bytes;
    if (random() % 3 == 0) bytes.push_back(prefixes[random() % std::size(prefixes)]);
    if (bits == 64 && random() % 2 == 0) bytes.push_back(static_cast<u8>(0x40 | random() % 16));
    if (random() % 2 == 0) bytes.push_back(0x0f);
    while (bytes.size() < 15) bytes.push_back(static_cast<u8>(random()));
    const Instruction ours = decode_instruction(bytes, bits);
    const unsigned theirs = capstone.length(bytes);
    if (ours.operation == Operation::Unknown || theirs == 0 || confuses_capstone(bytes)) continue;
    ++known;
    if (ours.length == theirs) continue;
    ++differ;
    if (differ < 10)
      ADD_FAILURE() << "opcode bytes " << std::hex << int(bytes[0]) << ' ' << int(bytes[1]) << ' ' << int(bytes[2])
                    << ' ' << int(bytes[3]) << ' ' << int(bytes[4]) << std::dec << ": ours " << int(ours.length)
                    << ", Capstone " << theirs;
  }
  EXPECT_GT(known, 50'000u);
  EXPECT_EQ(differ, 0u);
}

INSTANTIATE_TEST_SUITE_P(Modes, DecoderLength, testing::Values(16u, 32u, 64u));

TEST(Decoder, KnowsNoSeventhSegmentRegister) {
  for (u8 reg = 0; reg < 8; ++reg) {
    const std::vector<u8> store{0x8c, static_cast<u8>(reg << 3)};
    EXPECT_EQ(decode_instruction(store, 64).operation == Operation::StoreSegment, reg < 6) << unsigned{reg};
  }
}

TEST(Decoder, NeverReadsBehindTheEnd) {
  const std::vector<u8> bytes = {0x48, 0x81, 0x84, 0x88, 1, 2, 3, 4, 5, 6, 7, 8};
  for (unsigned length = 0; length < bytes.size(); ++length) {
    const Instruction part = decode_instruction(std::span(bytes).first(length), 64);
    EXPECT_EQ(part.operation, Operation::Unknown) << length;
  }
  EXPECT_EQ(decode_instruction(bytes, 64).length, 12);
}

class CodeLength : public testing::TestWithParam<unsigned> {};

/// What is no instruction by the manual, or another vendor's: UD0 and UD1, VIA's, AMD's XOP and SSE4A; and
/// AVX-512, and bounds' prefix F2H.
bool disputed(std::span<const u8> bytes, const deprivileged::Code& code) {
  while (bytes[0] == 0x66 || bytes[0] == 0x67 || bytes[0] == 0xf3 || bytes[0] == 0x64 || bytes[0] == 0x2e) {
    bytes = bytes.subspan(1);
  }
  const u8 second = bytes[1];
  if (bytes[0] == 0x62 || bytes[0] == 0xf2) return true;
  if (bytes[0] == 0x8f) return (second >> 3 & 7) != 0;
  const bool strange = second == 0xb9 || second == 0xff || second == 0xa6 || second == 0xa7 || second == 0x78;
  return (bytes[0] == 0x0f && strange) || code.vex || code.map > 1 || code.operand.locked;
}

TEST_P(CodeLength, IsCapstones) {
  const unsigned bits = GetParam();
  const Disassembler capstone(bits);
  std::mt19937_64 random(bits + 1);
  constexpr u8 prefixes[] = {0x66, 0x67, 0xf3, 0x64, 0x2e};
  unsigned known = 0, differ = 0;
  for (unsigned round = 0; round < 400'000; ++round) {
    std::vector<u8> bytes;
    if (random() % 3 == 0) bytes.push_back(prefixes[random() % std::size(prefixes)]);
    if (random() % 3 == 0) bytes.push_back(0x0f);
    while (bytes.size() < 15) bytes.push_back(static_cast<u8>(random()));
    const deprivileged::Code ours = deprivileged::decode_code(bytes, bits);
    const unsigned theirs = capstone.length(bytes);
    if (theirs == 0 || disputed(bytes, ours)) continue;
    ++known;
    if (ours.length == theirs) continue;
    if (++differ < 20)
      ADD_FAILURE() << "bytes " << std::hex << int(bytes[0]) << ' ' << int(bytes[1]) << ' ' << int(bytes[2]) << ' '
                    << int(bytes[3]) << ' ' << int(bytes[4]) << std::dec << ": ours " << int(ours.length)
                    << ", Capstone " << theirs;
  }
  EXPECT_GT(known, 100'000u);
}

INSTANTIATE_TEST_SUITE_P(Modes, CodeLength, testing::Values(16u, 32u));

}  // namespace
}  // namespace bunshin::vmm
