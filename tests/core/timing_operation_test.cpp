// What the pipeline models believe of an instruction (registers read and written) beside what
// Capstone knows of it, over random byte strings in 64-bit mode.

#include <capstone/capstone.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "core/decode/decoder.h"
#include "core/timing/instruction_table.h"
#include "core/timing/operation.h"
#include "tests/core/oracle_profile.h"

namespace bunshin {
namespace {

using Registers = std::set<unsigned>;

/// Capstone's register as a dependence, or depend::count for those that are not modeled.
unsigned dependence(csh handle, unsigned reg) {
  if (reg == X86_REG_EFLAGS) return depend::flags;
  if (reg >= X86_REG_XMM0 && reg <= X86_REG_XMM15) return depend::vector + reg - X86_REG_XMM0;
  if (reg >= X86_REG_YMM0 && reg <= X86_REG_YMM15) return depend::vector + reg - X86_REG_YMM0;
  if (reg >= X86_REG_MM0 && reg <= X86_REG_MM7) return depend::mmx + reg - X86_REG_MM0;
  const std::string name = cs_reg_name(handle, reg) == nullptr ? "" : cs_reg_name(handle, reg);
  static const std::map<std::string, unsigned> families = [] {
    std::map<std::string, unsigned> m;
    constexpr const char* wide[] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
    for (unsigned i = 0; i < 8; ++i) {
      const std::string base = wide[i];
      for (const char* prefix : {"r", "e", ""}) m[std::string(prefix).append(base)] = i;
      m[base.substr(0, i < 4 ? 1 : 2).append("l")] = i;
      if (i < 4) m[base.substr(0, 1).append("h")] = i;
    }
    for (unsigned i = 8; i < 16; ++i) {
      for (const char* suffix : {"", "d", "w", "b"}) m[std::string("r").append(std::to_string(i)).append(suffix)] = i;
    }
    return m;
  }();
  const auto found = families.find(name);
  return found == families.end() ? unsigned{depend::count} : found->second;
}

class TimingOperation : public ::testing::Test {
 protected:
  TimingOperation() : profile_(oracle::full_profile("GenuineIntel")) {
    EXPECT_EQ(cs_open(CS_ARCH_X86, CS_MODE_64, &capstone_), CS_ERR_OK);
    cs_option(capstone_, CS_OPT_DETAIL, CS_OPT_ON);
    theirs_ = cs_malloc(capstone_);
    mode_.bits = 64;
    mode_.flat = mode_.stack32 = mode_.protected_mode = mode_.sse = mode_.avx = true;
  }
  ~TimingOperation() override {
    cs_free(theirs_, 1);
    cs_close(&capstone_);
  }

  bool decode_both(const std::array<u8, 15>& bytes, Decoded& ours) {
    if (decode(table_, profile_, mode_, bytes, 0, 0, ours) != DecodeStatus::Ok || ours.row == nullptr) return false;
    const u8* code = bytes.data();
    std::size_t left = bytes.size();
    u64 address = 0;
    return cs_disasm_iter(capstone_, &code, &left, &address, theirs_) && theirs_->size == ours.record.length;
  }

  Registers registers(const cs_regs& list, u8 count) const {
    Registers out;
    for (unsigned i = 0; i < count; ++i) {
      const unsigned d = dependence(capstone_, list[i]);
      if (d != depend::count) out.insert(d);
    }
    return out;
  }

  OpcodeTable table_;
  CpuProfile profile_;
  CodeMode mode_;
  csh capstone_ = 0;
  cs_insn* theirs_ = nullptr;
};

std::string show(const Registers& r) {
  std::string s;
  for (const unsigned v : r) s.append(" ").append(std::to_string(v));
  return s;
}

bool contains(const Registers& all, const Registers& some) { return std::ranges::includes(all, some); }

/// Where Capstone is wrong, or says what a pipeline need not wait for.
bool excused(std::string_view name) {
  constexpr std::string_view names[] = {
      "cqo",          // CDQ and CQO do not write rAX
      "leave",        // RSP is written, not read
      "nop",          // its operand is not read
      "prefetch",     // multi-byte NOP by another name
      "prefetchw",    //
      "push",         // segment registers: RSP is missing
      "test",         // AL, imm8: writes nothing
      "xadd",         // flags are missing
      "xchg",         // 90 is NOP
      "xlatb",        // nothing at all is said
      "sha256rnds2",  // XMM0 is implicit
      "vzeroall",     // sixteen results that wait for nothing and that nobody waits for
      "vzeroupper",   //
  };
  return std::ranges::find(names, name) != std::end(names);
}

class Comparison {
 public:
  void operands(const Row& row, const Operation& o, const cs_insn& theirs, Registers reads, Registers writes) {
    Registers our_reads(o.sources.begin(), o.sources.begin() + o.source_count);
    Registers our_writes(o.results.begin(), o.results.begin() + o.result_count);
    our_reads.erase(depend::x87);
    our_writes.erase(depend::x87);
    ++compared;
    if (excused(row.mnemonic)) return;
    // A result that waits for nothing: xor eax, eax.
    const bool idiom = o.source_count == 0 && reads.size() == 1 && contains(our_writes, reads);
    // More is read than Capstone says where part of a register, or some of the flags, stay as they were.
    Registers kept = our_writes;
    kept.insert(depend::flags);
    Registers allowed = reads;
    allowed.merge(kept);
    if (our_writes == writes && (idiom || (contains(our_reads, reads) && contains(allowed, our_reads)))) return;
    if (!failed.insert(row.mnemonic).second) return;
    ADD_FAILURE() << theirs.mnemonic << " " << theirs.op_str << ": ours" << show(our_reads) << " ->" << show(our_writes)
                  << ", Capstone's" << show(reads) << " ->" << show(writes);
  }

  u64 compared = 0;
  std::set<std::string_view> failed;
};

TEST_F(TimingOperation, ReadsAndWritesWhatCapstoneSays) {
  std::mt19937_64 random(1);
  Comparison compare;
  for (unsigned i = 0; i < 1'000'000; ++i) {
    std::array<u8, 15> bytes;
    for (u8& b : bytes) b = static_cast<u8>(random());
    if (i % 3 == 1) bytes[0] = 0x0f;
    if (i % 3 == 2) {
      bytes[0] = 0xc4;
      bytes[1] = static_cast<u8>((bytes[1] & 0xe0) | (1 + i % 2));
      if (i % 4 < 2) bytes[2] |= 0x78;
    }
    Decoded ours;
    if (!decode_both(bytes, ours)) continue;
    const Operation o = describe_operation(*ours.row, ours.record);
    if (o.op == OpClass::Microcode || o.op == OpClass::X87Microcode) continue;
    cs_regs read;
    cs_regs written;
    u8 reads = 0;
    u8 writes = 0;
    if (cs_regs_access(capstone_, theirs_, read, &reads, written, &writes) != CS_ERR_OK) continue;
    compare.operands(*ours.row, o, *theirs_, registers(read, reads), registers(written, writes));
  }
  EXPECT_GT(compare.compared, 200'000U);
}

/// Every row falls into a class of its own choosing: nothing is Microcode for want of a line in the table.
TEST_F(TimingOperation, KnowsEveryRow) {
  for (u16 i = 0; i < table_.size(); ++i) EXPECT_TRUE(has_traits(table_.row(i))) << table_.row(i).mnemonic;
}

}  // namespace
}  // namespace bunshin
