// SSE4.2 strings and CRC32, AES-NI, PCLMULQDQ, SHA, in legacy and VEX encoding.

#include "core/sse/bind_vex.h"
#include "core/sse/crypto.h"
#include "core/sse/rows.h"
#include "core/sse/strings.h"

namespace bunshin::sse {

namespace {

template <class Int>
StringLengths explicit_lengths(const Cpu& cpu, u8 imm) {
  using Signed = std::make_signed_t<Int>;
  const auto length = [&](Gpr g) { return explicit_length(static_cast<Signed>(cpu.state.gpr[g]), imm); };
  return {length(RAX), length(RDX)};
}

enum class Output : u8 { Index, Mask, VexMask };

/// PCMPISTRI, PCMPISTRM: `Length` void; PCMPESTRI, PCMPESTRM: the width of the length registers. Memory operands need
/// no alignment. The masks of VEX-encoded forms clear bits 255:128 of YMM0.
template <class Length, Output output, class Source>
bool pcmpstr(Cpu& cpu, const Record& r) {
  Vec s;
  if (!Source::load(cpu, r, s)) return false;
  const Vec d = read(cpu.state.xmm[r.reg]);
  const u8 imm = imm8(r);
  StringLengths n;
  if constexpr (std::is_void_v<Length>)
    n = implicit_lengths(d, s, imm);
  else
    n = explicit_lengths<Length>(cpu, imm);
  const StringResult result = compare_strings(d, s, n, imm);
  if constexpr (output == Output::Index)
    cpu.state.gpr[RCX] = string_index(result.bits, imm);
  else if constexpr (output == Output::Mask)
    write(cpu.state.xmm[0], string_mask(result.bits, imm));
  else
    write_vector(cpu, 0, string_mask(result.bits, imm));
  cpu.state.flags.set_status(result.flags);
  return true;
}
template <Output output>
Handler implicit_string(const Decoded& d) {
  return by_form<pcmpstr<void, output, FromXmm>, pcmpstr<void, output, Any16>>(d);
}
template <Output output>
Handler explicit_string(const Decoded& d) {
  if (d.operand_bytes == 8) return by_form<pcmpstr<u64, output, FromXmm>, pcmpstr<u64, output, Any16>>(d);
  return by_form<pcmpstr<u32, output, FromXmm>, pcmpstr<u32, output, Any16>>(d);
}

/// The destination is zero-extended to 64 bits whatever the operand size.
template <class T>
bool crc32_register(Cpu& cpu, const Record& r) {
  cpu.set_reg<u32>(r.reg, crc32c(cpu.reg<u32>(r.reg), cpu.reg<T>(r.rm), sizeof(T)));
  return true;
}
template <class T>
bool crc32_memory(Cpu& cpu, const Record& r) {
  T v{};
  if (!cpu.load(r, v)) return false;
  cpu.set_reg<u32>(r.reg, crc32c(cpu.reg<u32>(r.reg), v, sizeof(T)));
  return true;
}
template <class T>
Handler crc32_of(const Decoded& d) {
  return by_form<crc32_register<T>, crc32_memory<T>>(d);
}
Handler crc32(const Decoded& d) {
  return d.operand_bytes == 8 ? crc32_of<u64>(d) : d.operand_bytes == 2 ? crc32_of<u16>(d) : crc32_of<u32>(d);
}

// clang-format off
constexpr Row rows[] = {
    {"66 0F 3A 60 /r", "pcmpestrm", {Op::Vx, Op::Wx, Op::Ib}, explicit_string<Output::Mask>, Feature::Sse42, attr::sse},
    {"66 0F 3A 61 /r", "pcmpestri", {Op::Vx, Op::Wx, Op::Ib},
     explicit_string<Output::Index>, Feature::Sse42, attr::sse},
    {"66 0F 3A 62 /r", "pcmpistrm", {Op::Vx, Op::Wx, Op::Ib}, implicit_string<Output::Mask>, Feature::Sse42, attr::sse},
    {"66 0F 3A 63 /r", "pcmpistri", {Op::Vx, Op::Wx, Op::Ib},
     implicit_string<Output::Index>, Feature::Sse42, attr::sse},
    {"F2 0F 38 F0 /r", "crc32", {Op::Gd, Op::Eb}, crc32_of<u8>, Feature::Sse42},
    {"F2 0F 38 F1 /r", "crc32", {Op::Gd, Op::Ev}, crc32, Feature::Sse42},

    {"66 0F 38 DB /r", "aesimc", {Op::Vx, Op::Wx}, xmm<aesimc>, Feature::Aes, attr::sse},
    {"66 0F 38 DC /r", "aesenc", {Op::Vx, Op::Wx}, xmm<aesenc>, Feature::Aes, attr::sse},
    {"66 0F 38 DD /r", "aesenclast", {Op::Vx, Op::Wx}, xmm<aesenclast>, Feature::Aes, attr::sse},
    {"66 0F 38 DE /r", "aesdec", {Op::Vx, Op::Wx}, xmm<aesdec>, Feature::Aes, attr::sse},
    {"66 0F 38 DF /r", "aesdeclast", {Op::Vx, Op::Wx}, xmm<aesdeclast>, Feature::Aes, attr::sse},
    {"66 0F 3A DF /r", "aeskeygenassist", {Op::Vx, Op::Wx, Op::Ib}, xmm_imm<aeskeygenassist>, Feature::Aes, attr::sse},
    {"66 0F 3A 44 /r", "pclmulqdq", {Op::Vx, Op::Wx, Op::Ib}, xmm_imm<pclmulqdq>, Feature::Pclmulqdq, attr::sse},

    {"NP 0F 38 C8 /r", "sha1nexte", {Op::Vx, Op::Wx}, xmm<sha1nexte>, Feature::Sha, attr::sse},
    {"NP 0F 38 C9 /r", "sha1msg1", {Op::Vx, Op::Wx}, xmm<sha1msg1>, Feature::Sha, attr::sse},
    {"NP 0F 38 CA /r", "sha1msg2", {Op::Vx, Op::Wx}, xmm<sha1msg2>, Feature::Sha, attr::sse},
    {"NP 0F 38 CB /r", "sha256rnds2", {Op::Vx, Op::Wx}, xmm_mask<sha256rnds2>, Feature::Sha, attr::sse},
    {"NP 0F 38 CC /r", "sha256msg1", {Op::Vx, Op::Wx}, xmm<sha256msg1>, Feature::Sha, attr::sse},
    {"NP 0F 38 CD /r", "sha256msg2", {Op::Vx, Op::Wx}, xmm<sha256msg2>, Feature::Sha, attr::sse},
    {"NP 0F 3A CC /r", "sha1rnds4", {Op::Vx, Op::Wx, Op::Ib}, xmm_imm<sha1rnds4>, Feature::Sha, attr::sse},

    {"VEX.128.66.0F3A 60 /r", "vpcmpestrm", {Op::Vx, Op::Wx, Op::Ib},
     explicit_string<Output::VexMask>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A 61 /r", "vpcmpestri", {Op::Vx, Op::Wx, Op::Ib},
     explicit_string<Output::Index>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A.WIG 62 /r", "vpcmpistrm", {Op::Vx, Op::Wx, Op::Ib},
     implicit_string<Output::VexMask>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A.WIG 63 /r", "vpcmpistri", {Op::Vx, Op::Wx, Op::Ib},
     implicit_string<Output::Index>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F38.WIG DB /r", "vaesimc", {Op::Vx, Op::Wx}, vex<aesimc>, Feature::Aes, attr::avx},
    {"VEX.128.66.0F38.WIG DC /r", "vaesenc", {Op::Vx, Op::Hx, Op::Wx}, vex<aesenc>, Feature::Aes, attr::avx},
    {"VEX.128.66.0F38.WIG DD /r", "vaesenclast", {Op::Vx, Op::Hx, Op::Wx}, vex<aesenclast>, Feature::Aes, attr::avx},
    {"VEX.128.66.0F38.WIG DE /r", "vaesdec", {Op::Vx, Op::Hx, Op::Wx}, vex<aesdec>, Feature::Aes, attr::avx},
    {"VEX.128.66.0F38.WIG DF /r", "vaesdeclast", {Op::Vx, Op::Hx, Op::Wx}, vex<aesdeclast>, Feature::Aes, attr::avx},
    {"VEX.128.66.0F3A.WIG DF /r", "vaeskeygenassist", {Op::Vx, Op::Wx, Op::Ib},
     vex_imm<aeskeygenassist>, Feature::Aes, attr::avx},
    {"VEX.128.66.0F3A.WIG 44 /r", "vpclmulqdq", {Op::Vx, Op::Hx, Op::Wx, Op::Ib},
     vex_imm<pclmulqdq>, Feature::Pclmulqdq, attr::avx},
};
// clang-format on

}  // namespace

std::span<const Row> special_rows() { return rows; }

}  // namespace bunshin::sse
