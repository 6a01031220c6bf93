// Every MMX and SSE instruction that computes, in register and memory form, on the host's processor and here: the same
// results, flags and MXCSR, under any rounding mode, DAZ and FTZ. The encodings are made from the opcode rows.

#include <random>
#include <string>
#include <vector>

#include "core/sse/rows.h"
#include "sse_host.h"
#include "sse_runner.h"

namespace bunshin::sse_test {
namespace {

constexpr unsigned rounds = 1000;

class Operands {
 public:
  u64 bits() { return random_(); }
  unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }

  Xmm vector() {
    Xmm x;
    switch (below(6)) {
      case 0:
        for (unsigned i = 0; i < 2; ++i) x.set(i, bits());
        break;
      case 1:
        for (unsigned i = 0; i < 4; ++i) x.set(i, single());
        break;
      case 2:
        for (unsigned i = 0; i < 2; ++i) x.set(i, doubled());
        break;
      case 3:  // text with ends
        for (unsigned i = 0; i < 16; ++i) x.set(i, below(12) == 0 ? u8{0} : static_cast<u8>('a' + below(4)));
        break;
      case 4:
        for (unsigned i = 0; i < 8; ++i) x.set(i, edge16());
        break;
      default:
        for (unsigned i = 0; i < 4; ++i) x.set(i, static_cast<u32>(static_cast<i32>(below(80)) - 20));
        break;
    }
    return x;
  }

 private:
  u32 single() {
    static constexpr u32 special[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                                      0x7fc00001, 0x7f800001, 0xffa00002, 1,          0x807fffff, 0x00800000,
                                      0x7f7fffff, 0x3f000000, 0x3fc00000, 0x4f000000, 0xcf000000, 0x5f000000,
                                      0x40200000, 0x4b000001, 0x00400000};
    return below(3) == 0 ? static_cast<u32>(0x3f000000 + (bits() & 0x8dffffff)) : special[below(std::size(special))];
  }
  u64 doubled() {
    static constexpr u64 special[] = {0,
                                      u64{1} << 63,
                                      0x3ff0000000000000,
                                      0xbff0000000000000,
                                      0x7ff0000000000000,
                                      0xfff0000000000000,
                                      0x7ff8000000000001,
                                      0x7ff0000000000001,
                                      0xfff4000000000002,
                                      1,
                                      0x800fffffffffffff,
                                      0x0010000000000000,
                                      0x7fefffffffffffff,
                                      0x3fe0000000000000,
                                      0x3ff8000000000000,
                                      0x41dfffffffc00000,
                                      0x41e0000000000000,
                                      0x43e0000000000000,
                                      0xc3e0000000000000,
                                      0x47efffffffffffff,
                                      0x380fffffffffffff,
                                      0x36a0000000000000,
                                      0x4330000000000001};
    return below(3) == 0 ? 0x3fe0000000000000 + (bits() & 0x803fffffffffffff) : special[below(std::size(special))];
  }
  u16 edge16() {
    static constexpr u16 special[] = {0, 1, 0x7fff, 0x8000, 0xffff, 0x00ff, 0x0080, 0xff80, 0xff00};
    return below(3) == 0 ? static_cast<u16>(bits()) : special[below(std::size(special))];
  }
  std::mt19937_64 random_{20240607};
};

/// Processors differ in these (SDM vol. 2, RCPPS); sse_approximate_test.cpp judges ours.
bool is_approximate(const Row& row) { return row.mnemonic.starts_with("rcp") || row.mnemonic.starts_with("rsqrt"); }

bool has_operand(const Row& row, Op op) { return std::ranges::find(row.operands, op) != std::end(row.operands); }

/// ModRM.reg selects register 1, ModRM.rm register 2 or [rsi].
std::vector<u8> encode(const Pattern& p, bool memory, bool rex_w, bool operand_prefix, u8 imm) {
  std::vector<u8> code;
  if (operand_prefix) code.push_back(0x66);
  if (p.mandatory > 1) code.push_back(p.mandatory);
  if (rex_w) code.push_back(0x48);
  code.push_back(0x0f);
  if (p.map > 1) code.push_back(p.map == 2 ? 0x38 : 0x3a);
  code.push_back(p.opcode);
  if (p.has_modrm) {
    const int reg = p.reg_field >= 0 ? p.reg_field : 1;
    code.push_back(static_cast<u8>(reg << 3 | (memory ? 6 : 0xc2)));
  }
  if (has_operand(*p.row, Op::Ib)) code.push_back(imm);
  return code;
}

class Differential {
 public:
  explicit Differential(Operands& operands) : operands_(operands) {}

  /// Runs one instruction on both with the same random state and describes the difference, if any. With `short_address`
  /// ours has a 67 prefix, so that its memory operand goes through segmentation.
  std::string compare(std::span<const u8> code, bool short_address) {
    alignas(64) std::array<u8, 64> host_memory{};
    HostState h = random_state(host_memory);
    load_core(h, host_memory);
    const HostState before = h;
    std::vector<u8> our_code(code.begin(), code.end());
    if (short_address) our_code.insert(our_code.begin(), 0x67);
    if (!runner_.run(our_code)) return "did not complete";
    host_.run(code, h);
    const std::string text = difference(h, host_memory);
    return text.empty() ? text : text + describe(before);
  }

 private:
  HostState random_state(std::array<u8, 64>& memory) {
    HostState h{};
    for (Xmm& x : h.xmm) x = operands_.vector();
    for (u64& m : h.mmx) m = operands_.vector().get<u64>(0);
    for (u64* r : {&h.rax, &h.rcx, &h.rdx})
      *r = operands_.below(2) != 0 ? operands_.bits() : static_cast<u64>(i64{operands_.below(40)} - 20);
    h.rflags = 0x202 | (operands_.bits() & rflags::status);
    h.memory = memory.data();
    h.mxcsr = static_cast<u32>(0x1f80 | (operands_.bits() & (mxcsr::RC | mxcsr::FTZ | mxcsr::DAZ)));
    if (operands_.below(2) != 0) h.mxcsr |= operands_.bits() & mxcsr::flags;
    for (unsigned i = 0; i < 4; ++i) std::memcpy(memory.data() + 16 * i, operands_.vector().bytes.data(), 16);
    return h;
  }

  void load_core(const HostState& h, const std::array<u8, 64>& memory) {
    CpuState& s = runner_.state();
    for (unsigned i = 0; i < 3; ++i) {
      s.xmm[i] = h.xmm[i];
      s.x87.registers[i] = {h.mmx[i], 0};
    }
    s.gpr[RAX] = h.rax;
    s.gpr[RCX] = h.rcx;
    s.gpr[RDX] = h.rdx;
    s.gpr[RSI] = s.gpr[RDI] = data_page;
    s.flags.set_value(h.rflags);
    s.mxcsr = h.mxcsr;
    runner_.write(data_page, memory);
  }

  std::string difference(const HostState& h, const std::array<u8, 64>& host_memory) {
    const CpuState& s = runner_.state();
    std::string text;
    const auto check = [&](const char* what, u64 ours, u64 theirs) {
      char line[96];
      std::snprintf(line, sizeof line, " %s: %016lx, host %016lx;", what, ours, theirs);
      if (ours != theirs) text += line;
    };
    for (unsigned i = 0; i < 3; ++i) {
      check("xmm low", s.xmm[i].get<u64>(0), h.xmm[i].get<u64>(0));
      check("xmm high", s.xmm[i].get<u64>(1), h.xmm[i].get<u64>(1));
      check("mm", s.x87.registers[i].mantissa, h.mmx[i]);
    }
    check("rax", s.gpr[RAX], h.rax);
    check("rcx", s.gpr[RCX], h.rcx);
    check("rdx", s.gpr[RDX], h.rdx);
    check("rflags", s.flags.status(), h.rflags & rflags::status);
    check("mxcsr", s.mxcsr, h.mxcsr);
    std::array<u8, 64> memory{};
    runner_.read(data_page, memory);
    if (memory != host_memory) text += " memory;";
    return text;
  }

  static std::string describe(const HostState& h) {
    std::string text = " from";
    char part[64];
    for (const Xmm& x : h.xmm) {
      std::snprintf(part, sizeof part, " %016lx:%016lx", x.get<u64>(1), x.get<u64>(0));
      text += part;
    }
    std::snprintf(part, sizeof part, " mxcsr %x", h.mxcsr);
    return text + part;
  }

  Operands& operands_;
  Runner runner_;
  HostInstruction host_;
};

void compare_chapter(std::span<const Row> rows) {
  Operands operands;
  Differential differential(operands);
  for (const Row& row : rows) {
    // VEX-encoded rows: oracle_host_test.cpp.
    if (is_approximate(row) || !host_has(row.feature) || (row.attributes & attr::avx) != 0) continue;
    const Pattern pattern = OpcodeTable::parse(row);
    const bool wide_possible = has_operand(row, Op::Ey) || has_operand(row, Op::Gy) || has_operand(row, Op::Ev) ||
                               row.mnemonic.starts_with("pcmpestr");
    for (const bool memory : {false, true}) {
      if (pattern.memory >= 0 && (pattern.memory == 1) != memory) continue;
      if (!pattern.has_modrm && memory) continue;
      for (unsigned round = 0; round < rounds; ++round) {
        const bool rex_w = wide_possible && operands.below(2) != 0;
        const bool operand_prefix = has_operand(row, Op::Ev) && operands.below(3) == 0;
        const auto code = encode(pattern, memory, rex_w, operand_prefix, static_cast<u8>(operands.bits()));
        const std::string difference = differential.compare(code, memory && operands.below(2) != 0);
        if (!difference.empty()) {
          ADD_FAILURE() << row.encoding << ' ' << row.mnemonic << (memory ? " memory" : " register") << " imm "
                        << int{code.back()} << ':' << difference;
          break;
        }
      }
    }
  }
}

TEST(SseDifferential, Mmx) { compare_chapter(sse::mmx_rows()); }
TEST(SseDifferential, Moves) { compare_chapter(sse::move_rows()); }
TEST(SseDifferential, Integer) { compare_chapter(sse::integer_rows()); }
TEST(SseDifferential, Float) { compare_chapter(sse::float_rows()); }
TEST(SseDifferential, StringsAndCryptography) { compare_chapter(sse::special_rows()); }

}  // namespace
}  // namespace bunshin::sse_test
