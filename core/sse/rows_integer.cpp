// Integer instructions on XMM registers: SSE2 to SSE4.2.

#include "core/sse/bind.h"
#include "core/sse/integer_extended.h"
#include "core/sse/rows.h"

namespace bunshin::sse {

namespace {

template <class Source>
bool run_ptest(Cpu& cpu, const Record& r) {
  Vec s;
  if (!Source::load(cpu, r, s)) return false;
  cpu.state.flags.set_status(ptest(read(cpu.state.xmm[r.reg]), s));
  return true;
}

// clang-format off
constexpr Row rows[] = {
    {"66 0F 60 /r", "punpcklbw", {Op::Vx, Op::Wx}, xmm<punpcklbw>, Feature::Sse2, attr::sse},
    {"66 0F 61 /r", "punpcklwd", {Op::Vx, Op::Wx}, xmm<punpcklwd>, Feature::Sse2, attr::sse},
    {"66 0F 62 /r", "punpckldq", {Op::Vx, Op::Wx}, xmm<punpckldq>, Feature::Sse2, attr::sse},
    {"66 0F 63 /r", "packsswb", {Op::Vx, Op::Wx}, xmm<packsswb>, Feature::Sse2, attr::sse},
    {"66 0F 64 /r", "pcmpgtb", {Op::Vx, Op::Wx}, xmm<pcmpgtb>, Feature::Sse2, attr::sse},
    {"66 0F 65 /r", "pcmpgtw", {Op::Vx, Op::Wx}, xmm<pcmpgtw>, Feature::Sse2, attr::sse},
    {"66 0F 66 /r", "pcmpgtd", {Op::Vx, Op::Wx}, xmm<pcmpgtd>, Feature::Sse2, attr::sse},
    {"66 0F 67 /r", "packuswb", {Op::Vx, Op::Wx}, xmm<packuswb>, Feature::Sse2, attr::sse},
    {"66 0F 68 /r", "punpckhbw", {Op::Vx, Op::Wx}, xmm<punpckhbw>, Feature::Sse2, attr::sse},
    {"66 0F 69 /r", "punpckhwd", {Op::Vx, Op::Wx}, xmm<punpckhwd>, Feature::Sse2, attr::sse},
    {"66 0F 6A /r", "punpckhdq", {Op::Vx, Op::Wx}, xmm<punpckhdq>, Feature::Sse2, attr::sse},
    {"66 0F 6B /r", "packssdw", {Op::Vx, Op::Wx}, xmm<packssdw>, Feature::Sse2, attr::sse},
    {"66 0F 6C /r", "punpcklqdq", {Op::Vx, Op::Wx}, xmm<punpcklqdq>, Feature::Sse2, attr::sse},
    {"66 0F 6D /r", "punpckhqdq", {Op::Vx, Op::Wx}, xmm<punpckhqdq>, Feature::Sse2, attr::sse},

    {"66 0F 71 /2 reg", "psrlw", {Op::Ux, Op::Ib}, xmm_shift<psrlw>, Feature::Sse2, attr::sse},
    {"66 0F 71 /4 reg", "psraw", {Op::Ux, Op::Ib}, xmm_shift<psraw>, Feature::Sse2, attr::sse},
    {"66 0F 71 /6 reg", "psllw", {Op::Ux, Op::Ib}, xmm_shift<psllw>, Feature::Sse2, attr::sse},
    {"66 0F 72 /2 reg", "psrld", {Op::Ux, Op::Ib}, xmm_shift<psrld>, Feature::Sse2, attr::sse},
    {"66 0F 72 /4 reg", "psrad", {Op::Ux, Op::Ib}, xmm_shift<psrad>, Feature::Sse2, attr::sse},
    {"66 0F 72 /6 reg", "pslld", {Op::Ux, Op::Ib}, xmm_shift<pslld>, Feature::Sse2, attr::sse},
    {"66 0F 73 /2 reg", "psrlq", {Op::Ux, Op::Ib}, xmm_shift<psrlq>, Feature::Sse2, attr::sse},
    {"66 0F 73 /3 reg", "psrldq", {Op::Ux, Op::Ib}, xmm_shift<psrldq>, Feature::Sse2, attr::sse},
    {"66 0F 73 /6 reg", "psllq", {Op::Ux, Op::Ib}, xmm_shift<psllq>, Feature::Sse2, attr::sse},
    {"66 0F 73 /7 reg", "pslldq", {Op::Ux, Op::Ib}, xmm_shift<pslldq>, Feature::Sse2, attr::sse},

    {"66 0F 74 /r", "pcmpeqb", {Op::Vx, Op::Wx}, xmm<pcmpeqb>, Feature::Sse2, attr::sse},
    {"66 0F 75 /r", "pcmpeqw", {Op::Vx, Op::Wx}, xmm<pcmpeqw>, Feature::Sse2, attr::sse},
    {"66 0F 76 /r", "pcmpeqd", {Op::Vx, Op::Wx}, xmm<pcmpeqd>, Feature::Sse2, attr::sse},

    {"66 0F D1 /r", "psrlw", {Op::Vx, Op::Wx}, xmm<psrlw>, Feature::Sse2, attr::sse},
    {"66 0F D2 /r", "psrld", {Op::Vx, Op::Wx}, xmm<psrld>, Feature::Sse2, attr::sse},
    {"66 0F D3 /r", "psrlq", {Op::Vx, Op::Wx}, xmm<psrlq>, Feature::Sse2, attr::sse},
    {"66 0F D4 /r", "paddq", {Op::Vx, Op::Wx}, xmm<paddq>, Feature::Sse2, attr::sse},
    {"66 0F D5 /r", "pmullw", {Op::Vx, Op::Wx}, xmm<pmullw>, Feature::Sse2, attr::sse},
    {"66 0F D8 /r", "psubusb", {Op::Vx, Op::Wx}, xmm<psubusb>, Feature::Sse2, attr::sse},
    {"66 0F D9 /r", "psubusw", {Op::Vx, Op::Wx}, xmm<psubusw>, Feature::Sse2, attr::sse},
    {"66 0F DA /r", "pminub", {Op::Vx, Op::Wx}, xmm<pminub>, Feature::Sse2, attr::sse},
    {"66 0F DB /r", "pand", {Op::Vx, Op::Wx}, xmm<pand>, Feature::Sse2, attr::sse},
    {"66 0F DC /r", "paddusb", {Op::Vx, Op::Wx}, xmm<paddusb>, Feature::Sse2, attr::sse},
    {"66 0F DD /r", "paddusw", {Op::Vx, Op::Wx}, xmm<paddusw>, Feature::Sse2, attr::sse},
    {"66 0F DE /r", "pmaxub", {Op::Vx, Op::Wx}, xmm<pmaxub>, Feature::Sse2, attr::sse},
    {"66 0F DF /r", "pandn", {Op::Vx, Op::Wx}, xmm<pandn>, Feature::Sse2, attr::sse},
    {"66 0F E0 /r", "pavgb", {Op::Vx, Op::Wx}, xmm<pavgb>, Feature::Sse2, attr::sse},
    {"66 0F E1 /r", "psraw", {Op::Vx, Op::Wx}, xmm<psraw>, Feature::Sse2, attr::sse},
    {"66 0F E2 /r", "psrad", {Op::Vx, Op::Wx}, xmm<psrad>, Feature::Sse2, attr::sse},
    {"66 0F E3 /r", "pavgw", {Op::Vx, Op::Wx}, xmm<pavgw>, Feature::Sse2, attr::sse},
    {"66 0F E4 /r", "pmulhuw", {Op::Vx, Op::Wx}, xmm<pmulhuw>, Feature::Sse2, attr::sse},
    {"66 0F E5 /r", "pmulhw", {Op::Vx, Op::Wx}, xmm<pmulhw>, Feature::Sse2, attr::sse},
    {"66 0F E8 /r", "psubsb", {Op::Vx, Op::Wx}, xmm<psubsb>, Feature::Sse2, attr::sse},
    {"66 0F E9 /r", "psubsw", {Op::Vx, Op::Wx}, xmm<psubsw>, Feature::Sse2, attr::sse},
    {"66 0F EA /r", "pminsw", {Op::Vx, Op::Wx}, xmm<pminsw>, Feature::Sse2, attr::sse},
    {"66 0F EB /r", "por", {Op::Vx, Op::Wx}, xmm<por>, Feature::Sse2, attr::sse},
    {"66 0F EC /r", "paddsb", {Op::Vx, Op::Wx}, xmm<paddsb>, Feature::Sse2, attr::sse},
    {"66 0F ED /r", "paddsw", {Op::Vx, Op::Wx}, xmm<paddsw>, Feature::Sse2, attr::sse},
    {"66 0F EE /r", "pmaxsw", {Op::Vx, Op::Wx}, xmm<pmaxsw>, Feature::Sse2, attr::sse},
    {"66 0F EF /r", "pxor", {Op::Vx, Op::Wx}, xmm<pxor>, Feature::Sse2, attr::sse},
    {"66 0F F1 /r", "psllw", {Op::Vx, Op::Wx}, xmm<psllw>, Feature::Sse2, attr::sse},
    {"66 0F F2 /r", "pslld", {Op::Vx, Op::Wx}, xmm<pslld>, Feature::Sse2, attr::sse},
    {"66 0F F3 /r", "psllq", {Op::Vx, Op::Wx}, xmm<psllq>, Feature::Sse2, attr::sse},
    {"66 0F F4 /r", "pmuludq", {Op::Vx, Op::Wx}, xmm<pmuludq>, Feature::Sse2, attr::sse},
    {"66 0F F5 /r", "pmaddwd", {Op::Vx, Op::Wx}, xmm<pmaddwd>, Feature::Sse2, attr::sse},
    {"66 0F F6 /r", "psadbw", {Op::Vx, Op::Wx}, xmm<psadbw>, Feature::Sse2, attr::sse},
    {"66 0F F8 /r", "psubb", {Op::Vx, Op::Wx}, xmm<psubb>, Feature::Sse2, attr::sse},
    {"66 0F F9 /r", "psubw", {Op::Vx, Op::Wx}, xmm<psubw>, Feature::Sse2, attr::sse},
    {"66 0F FA /r", "psubd", {Op::Vx, Op::Wx}, xmm<psubd>, Feature::Sse2, attr::sse},
    {"66 0F FB /r", "psubq", {Op::Vx, Op::Wx}, xmm<psubq>, Feature::Sse2, attr::sse},
    {"66 0F FC /r", "paddb", {Op::Vx, Op::Wx}, xmm<paddb>, Feature::Sse2, attr::sse},
    {"66 0F FD /r", "paddw", {Op::Vx, Op::Wx}, xmm<paddw>, Feature::Sse2, attr::sse},
    {"66 0F FE /r", "paddd", {Op::Vx, Op::Wx}, xmm<paddd>, Feature::Sse2, attr::sse},

    {"66 0F 38 00 /r", "pshufb", {Op::Vx, Op::Wx}, xmm<pshufb<16>>, Feature::Ssse3, attr::sse},
    {"66 0F 38 01 /r", "phaddw", {Op::Vx, Op::Wx}, xmm<phaddw<16>>, Feature::Ssse3, attr::sse},
    {"66 0F 38 02 /r", "phaddd", {Op::Vx, Op::Wx}, xmm<phaddd<16>>, Feature::Ssse3, attr::sse},
    {"66 0F 38 03 /r", "phaddsw", {Op::Vx, Op::Wx}, xmm<phaddsw<16>>, Feature::Ssse3, attr::sse},
    {"66 0F 38 04 /r", "pmaddubsw", {Op::Vx, Op::Wx}, xmm<pmaddubsw>, Feature::Ssse3, attr::sse},
    {"66 0F 38 05 /r", "phsubw", {Op::Vx, Op::Wx}, xmm<phsubw<16>>, Feature::Ssse3, attr::sse},
    {"66 0F 38 06 /r", "phsubd", {Op::Vx, Op::Wx}, xmm<phsubd<16>>, Feature::Ssse3, attr::sse},
    {"66 0F 38 07 /r", "phsubsw", {Op::Vx, Op::Wx}, xmm<phsubsw<16>>, Feature::Ssse3, attr::sse},
    {"66 0F 38 08 /r", "psignb", {Op::Vx, Op::Wx}, xmm<psign<i8>>, Feature::Ssse3, attr::sse},
    {"66 0F 38 09 /r", "psignw", {Op::Vx, Op::Wx}, xmm<psign<i16>>, Feature::Ssse3, attr::sse},
    {"66 0F 38 0A /r", "psignd", {Op::Vx, Op::Wx}, xmm<psign<i32>>, Feature::Ssse3, attr::sse},
    {"66 0F 38 0B /r", "pmulhrsw", {Op::Vx, Op::Wx}, xmm<pmulhrsw>, Feature::Ssse3, attr::sse},
    {"66 0F 38 1C /r", "pabsb", {Op::Vx, Op::Wx}, xmm<pabs<i8>>, Feature::Ssse3, attr::sse},
    {"66 0F 38 1D /r", "pabsw", {Op::Vx, Op::Wx}, xmm<pabs<i16>>, Feature::Ssse3, attr::sse},
    {"66 0F 38 1E /r", "pabsd", {Op::Vx, Op::Wx}, xmm<pabs<i32>>, Feature::Ssse3, attr::sse},
    {"66 0F 3A 0F /r", "palignr", {Op::Vx, Op::Wx, Op::Ib}, xmm_imm<palignr<16>>, Feature::Ssse3, attr::sse},

    {"66 0F 38 17 /r", "ptest", {Op::Vx, Op::Wx},
     by_form<run_ptest<FromXmm>, run_ptest<Aligned16>>, Feature::Sse41, attr::sse},
    {"66 0F 38 20 /r", "pmovsxbw", {Op::Vx, Op::Wq}, xmm<pmovx<i8, i16>, Low8>, Feature::Sse41, attr::sse},
    {"66 0F 38 21 /r", "pmovsxbd", {Op::Vx, Op::Wd}, xmm<pmovx<i8, i32>, Low4>, Feature::Sse41, attr::sse},
    {"66 0F 38 22 /r", "pmovsxbq", {Op::Vx, Op::Ww}, xmm<pmovx<i8, i64>, Low2>, Feature::Sse41, attr::sse},
    {"66 0F 38 23 /r", "pmovsxwd", {Op::Vx, Op::Wq}, xmm<pmovx<i16, i32>, Low8>, Feature::Sse41, attr::sse},
    {"66 0F 38 24 /r", "pmovsxwq", {Op::Vx, Op::Wd}, xmm<pmovx<i16, i64>, Low4>, Feature::Sse41, attr::sse},
    {"66 0F 38 25 /r", "pmovsxdq", {Op::Vx, Op::Wq}, xmm<pmovx<i32, i64>, Low8>, Feature::Sse41, attr::sse},
    {"66 0F 38 28 /r", "pmuldq", {Op::Vx, Op::Wx}, xmm<pmuldq>, Feature::Sse41, attr::sse},
    {"66 0F 38 29 /r", "pcmpeqq", {Op::Vx, Op::Wx}, xmm<pcmpeqq>, Feature::Sse41, attr::sse},
    {"66 0F 38 2B /r", "packusdw", {Op::Vx, Op::Wx}, xmm<packusdw>, Feature::Sse41, attr::sse},
    {"66 0F 38 30 /r", "pmovzxbw", {Op::Vx, Op::Wq}, xmm<pmovx<u8, u16>, Low8>, Feature::Sse41, attr::sse},
    {"66 0F 38 31 /r", "pmovzxbd", {Op::Vx, Op::Wd}, xmm<pmovx<u8, u32>, Low4>, Feature::Sse41, attr::sse},
    {"66 0F 38 32 /r", "pmovzxbq", {Op::Vx, Op::Ww}, xmm<pmovx<u8, u64>, Low2>, Feature::Sse41, attr::sse},
    {"66 0F 38 33 /r", "pmovzxwd", {Op::Vx, Op::Wq}, xmm<pmovx<u16, u32>, Low8>, Feature::Sse41, attr::sse},
    {"66 0F 38 34 /r", "pmovzxwq", {Op::Vx, Op::Wd}, xmm<pmovx<u16, u64>, Low4>, Feature::Sse41, attr::sse},
    {"66 0F 38 35 /r", "pmovzxdq", {Op::Vx, Op::Wq}, xmm<pmovx<u32, u64>, Low8>, Feature::Sse41, attr::sse},
    {"66 0F 38 37 /r", "pcmpgtq", {Op::Vx, Op::Wx}, xmm<pcmpgtq>, Feature::Sse42, attr::sse},
    {"66 0F 38 38 /r", "pminsb", {Op::Vx, Op::Wx}, xmm<pmin<i8>>, Feature::Sse41, attr::sse},
    {"66 0F 38 39 /r", "pminsd", {Op::Vx, Op::Wx}, xmm<pmin<i32>>, Feature::Sse41, attr::sse},
    {"66 0F 38 3A /r", "pminuw", {Op::Vx, Op::Wx}, xmm<pmin<u16>>, Feature::Sse41, attr::sse},
    {"66 0F 38 3B /r", "pminud", {Op::Vx, Op::Wx}, xmm<pmin<u32>>, Feature::Sse41, attr::sse},
    {"66 0F 38 3C /r", "pmaxsb", {Op::Vx, Op::Wx}, xmm<pmax<i8>>, Feature::Sse41, attr::sse},
    {"66 0F 38 3D /r", "pmaxsd", {Op::Vx, Op::Wx}, xmm<pmax<i32>>, Feature::Sse41, attr::sse},
    {"66 0F 38 3E /r", "pmaxuw", {Op::Vx, Op::Wx}, xmm<pmax<u16>>, Feature::Sse41, attr::sse},
    {"66 0F 38 3F /r", "pmaxud", {Op::Vx, Op::Wx}, xmm<pmax<u32>>, Feature::Sse41, attr::sse},
    {"66 0F 38 40 /r", "pmulld", {Op::Vx, Op::Wx}, xmm<pmulld>, Feature::Sse41, attr::sse},
    {"66 0F 38 41 /r", "phminposuw", {Op::Vx, Op::Wx}, xmm<phminposuw>, Feature::Sse41, attr::sse},
    {"66 0F 3A 42 /r", "mpsadbw", {Op::Vx, Op::Wx, Op::Ib}, xmm_imm<mpsadbw>, Feature::Sse41, attr::sse},
};
// clang-format on

}  // namespace

std::span<const Row> integer_rows() { return rows; }

}  // namespace bunshin::sse
