// Moves, loads and stores of XMM registers, shuffles, and transfers of elements to general registers and memory.

#include "core/sse/bind.h"
#include "core/sse/elements.h"
#include "core/sse/rows.h"

namespace bunshin::sse {

namespace {

/// MOVD/MOVQ xmm, r/m.
template <class Int>
struct XmmMoveTo {
  static bool from_register(Cpu& cpu, const Record& r) {
    write(cpu.state.xmm[r.reg], from64(cpu.reg<Int>(r.rm)));
    return true;
  }
  static bool from_memory(Cpu& cpu, const Record& r) {
    Int v{};
    if (!cpu.load(r, v)) return false;
    write(cpu.state.xmm[r.reg], from64(v));
    return true;
  }
};

/// PINSRB, PINSRW, PINSRD, PINSRQ.
template <class T>
struct Insert {
  static bool from_register(Cpu& cpu, const Record& r) {
    Xmm& d = cpu.state.xmm[r.reg];
    write(d, insert<T>(read(d), cpu.reg<T>(r.rm), imm8(r)));
    return true;
  }
  static bool from_memory(Cpu& cpu, const Record& r) {
    T v{};
    if (!cpu.load(r, v)) return false;
    Xmm& d = cpu.state.xmm[r.reg];
    write(d, insert<T>(read(d), v, imm8(r)));
    return true;
  }
};

template <class Int>
bool movnti(Cpu& cpu, const Record& r) {
  return cpu.store(r, cpu.reg<Int>(r.reg));
}

// clang-format off
constexpr Row rows[] = {
    {"NP 0F 10 /r", "movups", {Op::Vx, Op::Wx}, xmm<second, Any16>, Feature::Sse, attr::sse},
    {"66 0F 10 /r", "movupd", {Op::Vx, Op::Wx}, xmm<second, Any16>, Feature::Sse2, attr::sse},
    {"F3 0F 10 /r mem", "movss", {Op::Vx, Op::Wd}, xmm_from_memory<second, Low4>, Feature::Sse, attr::sse},
    {"F3 0F 10 /r reg", "movss", {Op::Vx, Op::Ux}, xmm_from_register<merge_low32>, Feature::Sse, attr::sse},
    {"F2 0F 10 /r mem", "movsd", {Op::Vx, Op::Wq}, xmm_from_memory<second, Low8>, Feature::Sse2, attr::sse},
    {"F2 0F 10 /r reg", "movsd", {Op::Vx, Op::Ux}, xmm_from_register<merge_low64>, Feature::Sse2, attr::sse},
    {"NP 0F 11 /r", "movups", {Op::Wx, Op::Vx}, xmm_store<second, StoreAny16>, Feature::Sse, attr::sse},
    {"66 0F 11 /r", "movupd", {Op::Wx, Op::Vx}, xmm_store<second, StoreAny16>, Feature::Sse2, attr::sse},
    {"F3 0F 11 /r", "movss", {Op::Wd, Op::Vx}, xmm_store<merge_low32, StoreElement<u32, 0>>, Feature::Sse, attr::sse},
    {"F2 0F 11 /r", "movsd", {Op::Wq, Op::Vx}, xmm_store<merge_low64, StoreLow>, Feature::Sse2, attr::sse},
    {"NP 0F 12 /r mem", "movlps", {Op::Vx, Op::Mq}, xmm_from_memory<merge_low64, Low8>, Feature::Sse, attr::sse},
    {"NP 0F 12 /r reg", "movhlps", {Op::Vx, Op::Ux}, xmm_from_register<movhlps>, Feature::Sse, attr::sse},
    {"66 0F 12 /r mem", "movlpd", {Op::Vx, Op::Mq}, xmm_from_memory<merge_low64, Low8>, Feature::Sse2, attr::sse},
    {"F3 0F 12 /r", "movsldup", {Op::Vx, Op::Wx}, xmm<movsldup>, Feature::Sse3, attr::sse},
    {"F2 0F 12 /r", "movddup", {Op::Vx, Op::Wq}, xmm<movddup, Low8>, Feature::Sse3, attr::sse},
    {"NP 0F 13 /r mem", "movlps", {Op::Mq, Op::Vx}, xmm_store_memory<StoreLow>, Feature::Sse, attr::sse},
    {"66 0F 13 /r mem", "movlpd", {Op::Mq, Op::Vx}, xmm_store_memory<StoreLow>, Feature::Sse2, attr::sse},
    {"NP 0F 14 /r", "unpcklps", {Op::Vx, Op::Wx}, xmm<punpckldq>, Feature::Sse, attr::sse},
    {"66 0F 14 /r", "unpcklpd", {Op::Vx, Op::Wx}, xmm<punpcklqdq>, Feature::Sse2, attr::sse},
    {"NP 0F 15 /r", "unpckhps", {Op::Vx, Op::Wx}, xmm<punpckhdq>, Feature::Sse, attr::sse},
    {"66 0F 15 /r", "unpckhpd", {Op::Vx, Op::Wx}, xmm<punpckhqdq>, Feature::Sse2, attr::sse},
    {"NP 0F 16 /r mem", "movhps", {Op::Vx, Op::Mq}, xmm_from_memory<movlhps, Low8>, Feature::Sse, attr::sse},
    {"NP 0F 16 /r reg", "movlhps", {Op::Vx, Op::Ux}, xmm_from_register<movlhps>, Feature::Sse, attr::sse},
    {"66 0F 16 /r mem", "movhpd", {Op::Vx, Op::Mq}, xmm_from_memory<movlhps, Low8>, Feature::Sse2, attr::sse},
    {"F3 0F 16 /r", "movshdup", {Op::Vx, Op::Wx}, xmm<movshdup>, Feature::Sse3, attr::sse},
    {"NP 0F 17 /r mem", "movhps", {Op::Mq, Op::Vx}, xmm_store_memory<StoreHigh>, Feature::Sse, attr::sse},
    {"66 0F 17 /r mem", "movhpd", {Op::Mq, Op::Vx}, xmm_store_memory<StoreHigh>, Feature::Sse2, attr::sse},
    {"NP 0F 28 /r", "movaps", {Op::Vx, Op::Wx}, xmm<second>, Feature::Sse, attr::sse},
    {"66 0F 28 /r", "movapd", {Op::Vx, Op::Wx}, xmm<second>, Feature::Sse2, attr::sse},
    {"NP 0F 29 /r", "movaps", {Op::Wx, Op::Vx}, xmm_store<second, StoreAligned16>, Feature::Sse, attr::sse},
    {"66 0F 29 /r", "movapd", {Op::Wx, Op::Vx}, xmm_store<second, StoreAligned16>, Feature::Sse2, attr::sse},
    {"NP 0F 2B /r mem", "movntps", {Op::Mdq, Op::Vx}, xmm_store_memory<StoreAligned16>, Feature::Sse, attr::sse},
    {"66 0F 2B /r mem", "movntpd", {Op::Mdq, Op::Vx}, xmm_store_memory<StoreAligned16>, Feature::Sse2, attr::sse},
    {"NP 0F 50 /r reg", "movmskps", {Op::Gd, Op::Ux}, plain<xmm_signs<movmskps>>, Feature::Sse, attr::sse},
    {"66 0F 50 /r reg", "movmskpd", {Op::Gd, Op::Ux}, plain<xmm_signs<movmskpd>>, Feature::Sse2, attr::sse},
    {"66 0F 6E /r", "movd", {Op::Vx, Op::Ey},
     by_form_and_width<XmmMoveTo<u32>, XmmMoveTo<u64>>, Feature::Sse2, attr::sse},
    {"66 0F 6F /r", "movdqa", {Op::Vx, Op::Wx}, xmm<second>, Feature::Sse2, attr::sse},
    {"F3 0F 6F /r", "movdqu", {Op::Vx, Op::Wx}, xmm<second, Any16>, Feature::Sse2, attr::sse},
    {"66 0F 70 /r", "pshufd", {Op::Vx, Op::Wx, Op::Ib}, xmm_imm<pshufd>, Feature::Sse2, attr::sse},
    {"F3 0F 70 /r", "pshufhw", {Op::Vx, Op::Wx, Op::Ib}, xmm_imm<pshufhw>, Feature::Sse2, attr::sse},
    {"F2 0F 70 /r", "pshuflw", {Op::Vx, Op::Wx, Op::Ib}, xmm_imm<pshuflw>, Feature::Sse2, attr::sse},
    {"66 0F 7E /r", "movd", {Op::Ey, Op::Vx},
     by_form_and_width<XmmMoveFrom<u32>, XmmMoveFrom<u64>>, Feature::Sse2, attr::sse},
    {"F3 0F 7E /r", "movq", {Op::Vx, Op::Wq}, xmm<movq, Low8>, Feature::Sse2, attr::sse},
    {"66 0F 7F /r", "movdqa", {Op::Wx, Op::Vx}, xmm_store<second, StoreAligned16>, Feature::Sse2, attr::sse},
    {"F3 0F 7F /r", "movdqu", {Op::Wx, Op::Vx}, xmm_store<second, StoreAny16>, Feature::Sse2, attr::sse},
    {"NP 0F C3 /r mem", "movnti", {Op::Ey, Op::Gy}, by_width<movnti<u32>, movnti<u64>>, Feature::Sse2},
    {"66 0F C4 /r", "pinsrw", {Op::Vx, Op::Ew, Op::Ib}, by_form<Insert<u16>::from_register, Insert<u16>::from_memory>,
     Feature::Sse2, attr::sse},
    {"66 0F C5 /r reg", "pextrw", {Op::Gd, Op::Ux, Op::Ib}, plain<pextrw>, Feature::Sse2, attr::sse},
    {"NP 0F C6 /r", "shufps", {Op::Vx, Op::Wx, Op::Ib}, xmm_imm<shufps>, Feature::Sse, attr::sse},
    {"66 0F C6 /r", "shufpd", {Op::Vx, Op::Wx, Op::Ib}, xmm_imm<shufpd>, Feature::Sse2, attr::sse},
    {"66 0F D6 /r", "movq", {Op::Wq, Op::Vx}, xmm_store<movq, StoreLow>, Feature::Sse2, attr::sse},
    {"66 0F D7 /r reg", "pmovmskb", {Op::Gd, Op::Ux}, plain<xmm_signs<pmovmskb>>, Feature::Sse2, attr::sse},
    {"66 0F E7 /r mem", "movntdq", {Op::Mdq, Op::Vx}, xmm_store_memory<StoreAligned16>, Feature::Sse2, attr::sse},
    {"F2 0F F0 /r mem", "lddqu", {Op::Vx, Op::Mdq}, xmm_from_memory<second, Any16>, Feature::Sse3, attr::sse},
    {"66 0F F7 /r reg", "maskmovdqu", {Op::Vx, Op::Ux}, plain<maskmovdqu>, Feature::Sse2, attr::sse},

    {"66 0F 38 10 /r", "pblendvb", {Op::Vx, Op::Wx}, xmm_mask<pblendvb>, Feature::Sse41, attr::sse},
    {"66 0F 38 14 /r", "blendvps", {Op::Vx, Op::Wx}, xmm_mask<blendvps>, Feature::Sse41, attr::sse},
    {"66 0F 38 15 /r", "blendvpd", {Op::Vx, Op::Wx}, xmm_mask<blendvpd>, Feature::Sse41, attr::sse},
    {"66 0F 38 2A /r mem", "movntdqa", {Op::Vx, Op::Mdq},
     xmm_from_memory<second, Aligned16>, Feature::Sse41, attr::sse},
    {"66 0F 3A 0C /r", "blendps", {Op::Vx, Op::Wx, Op::Ib}, xmm_imm<blend<u32>>, Feature::Sse41, attr::sse},
    {"66 0F 3A 0D /r", "blendpd", {Op::Vx, Op::Wx, Op::Ib}, xmm_imm<blend<u64>>, Feature::Sse41, attr::sse},
    {"66 0F 3A 0E /r", "pblendw", {Op::Vx, Op::Wx, Op::Ib}, xmm_imm<blend<u16>>, Feature::Sse41, attr::sse},
    {"66 0F 3A 14 /r mem", "pextrb", {Op::Mb, Op::Vx, Op::Ib},
     plain<Extract<u8>::from_memory>, Feature::Sse41, attr::sse},
    {"66 0F 3A 14 /r reg", "pextrb", {Op::Ed, Op::Vx, Op::Ib},
     plain<Extract<u8>::from_register>, Feature::Sse41, attr::sse},
    {"66 0F 3A 15 /r mem", "pextrw", {Op::Mw, Op::Vx, Op::Ib},
     plain<Extract<u16>::from_memory>, Feature::Sse41, attr::sse},
    {"66 0F 3A 15 /r reg", "pextrw", {Op::Ed, Op::Vx, Op::Ib},
     plain<Extract<u16>::from_register>, Feature::Sse41, attr::sse},
    {"66 0F 3A 16 /r", "pextrd", {Op::Ey, Op::Vx, Op::Ib},
     by_form_and_width<Extract<u32>, Extract<u64>>, Feature::Sse41, attr::sse},
    {"66 0F 3A 17 /r", "extractps", {Op::Ed, Op::Vx, Op::Ib},
     by_form<Extract<u32>::from_register, Extract<u32>::from_memory>, Feature::Sse41, attr::sse},
    {"66 0F 3A 20 /r mem", "pinsrb", {Op::Vx, Op::Mb, Op::Ib},
     plain<Insert<u8>::from_memory>, Feature::Sse41, attr::sse},
    {"66 0F 3A 20 /r reg", "pinsrb", {Op::Vx, Op::Ed, Op::Ib},
     plain<Insert<u8>::from_register>, Feature::Sse41, attr::sse},
    {"66 0F 3A 21 /r mem", "insertps", {Op::Vx, Op::Wd, Op::Ib},
     xmm_imm<insertps_memory, Low4>, Feature::Sse41, attr::sse},
    {"66 0F 3A 21 /r reg", "insertps", {Op::Vx, Op::Ux, Op::Ib}, xmm_imm<insertps_register>, Feature::Sse41, attr::sse},
    {"66 0F 3A 22 /r", "pinsrd", {Op::Vx, Op::Ey, Op::Ib},
     by_form_and_width<Insert<u32>, Insert<u64>>, Feature::Sse41, attr::sse},
};
// clang-format on

}  // namespace

std::span<const Row> move_rows() { return rows; }

}  // namespace bunshin::sse
