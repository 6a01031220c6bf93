// Random byte strings in 16-, 32- and 64-bit mode, decoded by ours and by Capstone: both must take the same number of
// bytes, and both find an instruction or neither. What they may disagree about is a table with reasons. A million
// strings a mode in ctest with a fixed seed; any number by BUNSHIN_ORACLE_CASES and BUNSHIN_ORACLE_SEED.

#include <capstone/capstone.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "core/decode/decoder.h"
#include "tests/core/oracle_disagreements.h"
#include "tests/core/oracle_generate.h"
#include "tests/core/oracle_profile.h"

namespace bunshin::oracle {
namespace {

u64 from_environment(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

class CapstoneTest : public ::testing::TestWithParam<unsigned> {
 protected:
  CapstoneTest()
      : profile_(full_profile("GenuineIntel")), seed_(from_environment("BUNSHIN_ORACLE_SEED", 1)), random_(seed_) {
    const unsigned bits = GetParam();
    EXPECT_EQ(cs_open(CS_ARCH_X86,
                      bits == 16   ? CS_MODE_16
                      : bits == 32 ? CS_MODE_32
                                   : CS_MODE_64,
                      &capstone_),
              CS_ERR_OK);
    theirs_ = cs_malloc(capstone_);
    mode_.bits = static_cast<u8>(bits);
    mode_.flat = mode_.stack32 = bits != 16;
    mode_.protected_mode = mode_.sse = mode_.avx = true;
    Decoded unassigned;
    decode(table_, profile_, mode_, std::array<u8, 15>{0x0f, 0x3a, 0xff}, 0, 0, unassigned);
    undefined_ = unassigned.record.run;
  }
  ~CapstoneTest() override {
    cs_free(theirs_, 1);
    cs_close(&capstone_);
  }

  /// One in five is just random; the rest goes where most of the table is, and uniformly random bytes seldom come: the
  /// larger maps, and VEX.
  std::array<u8, 15> random_string() {
    std::array<u8, 15> bytes;
    for (unsigned i = 0; i < 15; i += 8) {
      const u64 v = random_.next();
      std::memcpy(bytes.data() + i, &v, std::min(8u, 15 - i));
    }
    const u64 kind = random_.below(100);
    if (kind < 20) return bytes;
    unsigned at = 0;
    constexpr u8 prefixes[] = {0x66, 0xf2, 0xf3, 0x67, 0x2e, 0xf0, 0x64};
    const bool vex = kind >= 60;
    while (at < 3 && random_.percent(vex ? 5 : 25)) bytes[at++] = random_.pick(prefixes);
    if (vex) {
      add_vex(bytes, at);
      return bytes;
    }
    if (mode_.bits == 64 && random_.percent(30)) bytes[at++] = static_cast<u8>(0x40 | random_.below(16));
    if (random_.percent(50)) {
      bytes[at++] = 0x0f;
      if (random_.percent(30)) bytes[at++] = random_.percent(50) ? 0x38 : 0x3a;
    }
    return bytes;
  }

  /// C5 and one byte, or C4 and two with a map that exists; vvvv mostly unused, as most rows without a third operand want.
  void add_vex(std::array<u8, 15>& bytes, unsigned& at) {
    u8 last = random_.byte();
    if (random_.percent(30)) last |= 0x78;
    if (random_.percent(35)) {
      bytes[at++] = 0xc5;
    } else {
      bytes[at++] = 0xc4;
      u8 map = static_cast<u8>(1 + random_.below(3));
      if (random_.percent(3)) map = static_cast<u8>(random_.below(32));
      bytes[at++] = static_cast<u8>((random_.byte() & 0xe0) | map | (mode_.bits != 64 ? 0xc0 : 0));
    }
    if (mode_.bits != 64 && bytes[at - 1] == 0xc5) last |= 0xc0;
    bytes[at++] = last;
  }

  bool accepts(const std::array<u8, 15>& bytes, Decoded& out) const {
    return decode(table_, profile_, mode_, bytes, 0, 0, out) == DecodeStatus::Ok && out.record.run != undefined_;
  }

  bool accepts_with_other_w(std::array<u8, 15> bytes) const {
    const auto vex = std::ranges::find(bytes, u8{0xc4});
    if (vex > bytes.end() - 3) return false;
    vex[2] ^= 0x80;
    Decoded out;
    return accepts(bytes, out);
  }

  void compare(const std::array<u8, 15>& bytes) {
    Decoded ours;
    const bool we_accept = accepts(bytes, ours);
    const u8* code = bytes.data();
    std::size_t left = bytes.size();
    u64 address = 0;
    const bool they_accept = cs_disasm_iter(capstone_, &code, &left, &address, theirs_);
    if (!we_accept && !they_accept) return;
    if (we_accept && they_accept && ours.record.length == theirs_->size) return;
    Disagreement d;
    d.bits = mode_.bits;
    d.bytes = bytes;
    if (we_accept) d.ours = ours.row->mnemonic;
    if (they_accept) d.theirs = theirs_->mnemonic;
    d.other_w = accepts_with_other_w(bytes);
    if (const std::string_view reason = explanation(d); !reason.empty()) {
      ++explained_;
      ++reasons_[reason];
      return;
    }
    ++unexplained_;
    const std::string what = "ours '" + std::string(d.ours) + "', Capstone '" + std::string(d.theirs) + "'";
    if (++seen_[what] == 1 && seen_.size() <= 40) {
      ADD_FAILURE() << hex(bytes) << ": " << what << ", lengths " << unsigned{ours.record.length} << ", "
                    << (they_accept ? theirs_->size : 0);
    }
  }

  const CpuProfile profile_;
  const OpcodeTable table_;
  CodeMode mode_;
  u64 seed_;
  Random random_;
  csh capstone_ = 0;
  cs_insn* theirs_ = nullptr;
  Handler undefined_ = nullptr;
  u64 explained_ = 0, unexplained_ = 0;
  std::map<std::string, u64> seen_;
  std::map<std::string_view, u64> reasons_;
};

TEST_P(CapstoneTest, AgreesOnLengthAndValidity) {
  const u64 cases = from_environment("BUNSHIN_ORACLE_CASES", 1'000'000);
  for (u64 i = 0; i < cases; ++i) compare(random_string());
  std::printf("%llu strings, seed %llu, %llu explained disagreements, %llu others\n",
              static_cast<unsigned long long>(cases), static_cast<unsigned long long>(seed_),
              static_cast<unsigned long long>(explained_), static_cast<unsigned long long>(unexplained_));
  for (const auto& [reason, count] : reasons_)
    std::printf("  %llu %.*s\n", static_cast<unsigned long long>(count), static_cast<int>(reason.size()),
                reason.data());
  for (const auto& [what, count] : seen_)
    std::printf("  %llu %s\n", static_cast<unsigned long long>(count), what.c_str());
}

INSTANTIATE_TEST_SUITE_P(Modes, CapstoneTest, ::testing::Values(16u, 32u, 64u),
                         [](const auto& mode) { return std::to_string(mode.param) + "Bit"; });

}  // namespace
}  // namespace bunshin::oracle
