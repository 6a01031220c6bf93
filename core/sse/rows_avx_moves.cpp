// VEX-encoded moves, loads and stores of whole registers, scalars and elements.

#include "core/sse/bind_vex.h"
#include "core/sse/elements.h"
#include "core/sse/rows.h"

namespace bunshin::sse {

namespace {

/// YMM8-YMM15 exist in 64-bit mode only; elsewhere they keep their contents (SDM vol. 2, VZEROALL).
std::size_t registers(const Cpu& cpu) { return cpu.mode.bits == 64 ? 16 : 8; }

bool vzeroupper(Cpu& cpu, const Record&) {
  std::fill_n(cpu.state.ymm_high.begin(), registers(cpu), Xmm{});
  return true;
}
bool vzeroall(Cpu& cpu, const Record& r) {
  std::fill_n(cpu.state.xmm.begin(), registers(cpu), Xmm{});
  return vzeroupper(cpu, r);
}

/// VMOVD, VMOVQ to a vector register.
template <class Int>
struct VexMoveTo {
  static bool from_register(Cpu& cpu, const Record& r) {
    write_vector(cpu, r.reg, from64(cpu.reg<Int>(r.rm)));
    return true;
  }
  static bool from_memory(Cpu& cpu, const Record& r) {
    Int v{};
    if (!cpu.load(r, v)) return false;
    write_vector(cpu, r.reg, from64(v));
    return true;
  }
};

/// VMOVQ from a vector register: between registers it clears what lies above.
Handler movq_store(const Decoded& d) { return d.memory ? xmm_store_memory<StoreLow>(d) : vex_reversed<movq>(d); }

/// VPINSRB, VPINSRW, VPINSRD, VPINSRQ.
template <class T>
struct VexInsert {
  static bool put(Cpu& cpu, const Record& r, T value) {
    write_vector(cpu, r.reg, insert<T>(Length128::read(cpu, r.vvvv()), value, imm8(r)));
    return true;
  }
  static bool from_register(Cpu& cpu, const Record& r) { return put(cpu, r, cpu.reg<T>(r.rm)); }
  static bool from_memory(Cpu& cpu, const Record& r) {
    T v{};
    return cpu.load(r, v) && put(cpu, r, v);
  }
};

/// VMOVMSKPS, VMOVMSKPD, VPMOVMSKB: signs of an XMM register, or above them those of the upper lane.
template <u32 (*of_lane)(Vec), unsigned elements>
bool ymm_signs(Cpu& cpu, const Record& r) {
  const Vec256 v = Length256::read(cpu, r.rm);
  cpu.set_reg<u32>(r.reg, of_lane(v.low) | of_lane(v.high) << elements);
  return true;
}
template <u32 (*of_lane)(Vec), unsigned elements>
Handler signs(const Decoded& d) {
  return d.vector_bytes == 32 ? run_plain<ymm_signs<of_lane, elements>> : run_plain<xmm_signs<of_lane>>;
}

// clang-format off
constexpr Row rows[] = {
    {"VEX.NP.0F.WIG 10 /r", "vmovups", {Op::Vx, Op::Wx}, vex<second>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 11 /r", "vmovups", {Op::Wx, Op::Vx}, vex_store<second>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 28 /r", "vmovaps", {Op::Vx, Op::Wx}, vex<second, FullAligned>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 29 /r", "vmovaps", {Op::Wx, Op::Vx}, vex_store<second, FullAligned>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 2B /r mem", "vmovntps", {Op::M, Op::Vx}, vex_store_memory<FullAligned>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 10 /r", "vmovupd", {Op::Vx, Op::Wx}, vex<second>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 11 /r", "vmovupd", {Op::Wx, Op::Vx}, vex_store<second>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 28 /r", "vmovapd", {Op::Vx, Op::Wx}, vex<second, FullAligned>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 29 /r", "vmovapd", {Op::Wx, Op::Vx}, vex_store<second, FullAligned>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 2B /r mem", "vmovntpd", {Op::M, Op::Vx}, vex_store_memory<FullAligned>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 6F /r", "vmovdqa", {Op::Vx, Op::Wx}, vex<second, FullAligned>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 7F /r", "vmovdqa", {Op::Wx, Op::Vx}, vex_store<second, FullAligned>, Feature::Avx, attr::avx},
    {"VEX.F3.0F.WIG 6F /r", "vmovdqu", {Op::Vx, Op::Wx}, vex<second>, Feature::Avx, attr::avx},
    {"VEX.F3.0F.WIG 7F /r", "vmovdqu", {Op::Wx, Op::Vx}, vex_store<second>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG E7 /r mem", "vmovntdq", {Op::M, Op::Vx}, vex_store_memory<FullAligned>, Feature::Avx, attr::avx},
    {"VEX.66.0F38.WIG 2A /r mem", "vmovntdqa", {Op::Vx, Op::M},
     vex<second, FullAligned>, Feature::Avx, attr::avx | attr::avx2_256},
    {"VEX.F2.0F.WIG F0 /r mem", "vlddqu", {Op::Vx, Op::M}, vex<second>, Feature::Avx, attr::avx},

    {"VEX.LIG.F3.0F.WIG 10 /r mem", "vmovss", {Op::Vx, Op::Md}, vex_scalar<vex<second, Low4>>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG 10 /r reg", "vmovss", {Op::Vx, Op::Hx, Op::Ux},
     vex_scalar<vex<merge_low32>>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG 11 /r mem", "vmovss", {Op::Md, Op::Vx},
     xmm_store_memory<StoreElement<u32, 0>>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG 11 /r reg", "vmovss", {Op::Ux, Op::Hx, Op::Vx},
     vex_scalar<vex_reversed<merge_low32>>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F.WIG 10 /r mem", "vmovsd", {Op::Vx, Op::Mq}, vex_scalar<vex<second, Low8>>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F.WIG 10 /r reg", "vmovsd", {Op::Vx, Op::Hx, Op::Ux},
     vex_scalar<vex<merge_low64>>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F.WIG 11 /r mem", "vmovsd", {Op::Mq, Op::Vx}, xmm_store_memory<StoreLow>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F.WIG 11 /r reg", "vmovsd", {Op::Ux, Op::Hx, Op::Vx},
     vex_scalar<vex_reversed<merge_low64>>, Feature::Avx, attr::avx},
    {"VEX.128.NP.0F.WIG 12 /r mem", "vmovlps", {Op::Vx, Op::Hx, Op::Mq},
     vex<merge_low64, Low8>, Feature::Avx, attr::avx},
    {"VEX.128.NP.0F.WIG 12 /r reg", "vmovhlps", {Op::Vx, Op::Hx, Op::Ux}, vex<movhlps>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F.WIG 12 /r mem", "vmovlpd", {Op::Vx, Op::Hx, Op::Mq},
     vex<merge_low64, Low8>, Feature::Avx, attr::avx},
    {"VEX.128.NP.0F.WIG 13 /r mem", "vmovlps", {Op::Mq, Op::Vx}, xmm_store_memory<StoreLow>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F.WIG 13 /r mem", "vmovlpd", {Op::Mq, Op::Vx}, xmm_store_memory<StoreLow>, Feature::Avx, attr::avx},
    {"VEX.128.NP.0F.WIG 16 /r mem", "vmovhps", {Op::Vx, Op::Hx, Op::Mq}, vex<movlhps, Low8>, Feature::Avx, attr::avx},
    {"VEX.128.NP.0F.WIG 16 /r reg", "vmovlhps", {Op::Vx, Op::Hx, Op::Ux}, vex<movlhps>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F.WIG 16 /r mem", "vmovhpd", {Op::Vx, Op::Hx, Op::Mq}, vex<movlhps, Low8>, Feature::Avx, attr::avx},
    {"VEX.128.NP.0F.WIG 17 /r mem", "vmovhps", {Op::Mq, Op::Vx}, xmm_store_memory<StoreHigh>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F.WIG 17 /r mem", "vmovhpd", {Op::Mq, Op::Vx}, xmm_store_memory<StoreHigh>, Feature::Avx, attr::avx},
    {"VEX.F3.0F.WIG 12 /r", "vmovsldup", {Op::Vx, Op::Wx}, vex<movsldup>, Feature::Avx, attr::avx},
    {"VEX.F3.0F.WIG 16 /r", "vmovshdup", {Op::Vx, Op::Wx}, vex<movshdup>, Feature::Avx, attr::avx},
    {"VEX.128.F2.0F.WIG 12 /r", "vmovddup", {Op::Vx, Op::Wq}, vex<movddup, Low8>, Feature::Avx, attr::avx},
    {"VEX.256.F2.0F.WIG 12 /r", "vmovddup", {Op::Vx, Op::Wx}, vex<movddup>, Feature::Avx, attr::avx},

    {"VEX.128.66.0F 6E /r", "vmovd", {Op::Vx, Op::Ey},
     by_form_and_width<VexMoveTo<u32>, VexMoveTo<u64>>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F 7E /r", "vmovd", {Op::Ey, Op::Vx},
     by_form_and_width<XmmMoveFrom<u32>, XmmMoveFrom<u64>>, Feature::Avx, attr::avx},
    {"VEX.128.F3.0F.WIG 7E /r", "vmovq", {Op::Vx, Op::Wq}, vex<movq, Low8>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F.WIG D6 /r", "vmovq", {Op::Wq, Op::Vx}, movq_store, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 50 /r reg", "vmovmskps", {Op::Gd, Op::Ux}, signs<movmskps, 4>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 50 /r reg", "vmovmskpd", {Op::Gd, Op::Ux}, signs<movmskpd, 2>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG D7 /r reg", "vpmovmskb", {Op::Gd, Op::Ux},
     signs<pmovmskb, 16>, Feature::Avx, attr::avx | attr::avx2_256},

    {"VEX.128.66.0F.WIG C4 /r", "vpinsrw", {Op::Vx, Op::Hx, Op::Ew, Op::Ib},
     by_form<VexInsert<u16>::from_register, VexInsert<u16>::from_memory>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A.WIG 20 /r mem", "vpinsrb", {Op::Vx, Op::Hx, Op::Mb, Op::Ib},
     plain<VexInsert<u8>::from_memory>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A.WIG 20 /r reg", "vpinsrb", {Op::Vx, Op::Hx, Op::Ed, Op::Ib},
     plain<VexInsert<u8>::from_register>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A 22 /r", "vpinsrd", {Op::Vx, Op::Hx, Op::Ey, Op::Ib},
     by_form_and_width<VexInsert<u32>, VexInsert<u64>>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F.WIG C5 /r reg", "vpextrw", {Op::Gd, Op::Ux, Op::Ib}, plain<pextrw>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A.WIG 14 /r mem", "vpextrb", {Op::Mb, Op::Vx, Op::Ib},
     plain<Extract<u8>::from_memory>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A.WIG 14 /r reg", "vpextrb", {Op::Ed, Op::Vx, Op::Ib},
     plain<Extract<u8>::from_register>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A.WIG 15 /r mem", "vpextrw", {Op::Mw, Op::Vx, Op::Ib},
     plain<Extract<u16>::from_memory>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A.WIG 15 /r reg", "vpextrw", {Op::Ed, Op::Vx, Op::Ib},
     plain<Extract<u16>::from_register>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A 16 /r", "vpextrd", {Op::Ey, Op::Vx, Op::Ib},
     by_form_and_width<Extract<u32>, Extract<u64>>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A.WIG 17 /r", "vextractps", {Op::Ed, Op::Vx, Op::Ib},
     by_form<Extract<u32>::from_register, Extract<u32>::from_memory>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A.WIG 21 /r mem", "vinsertps", {Op::Vx, Op::Hx, Op::Md, Op::Ib},
     vex_imm<insertps_memory, Low4>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A.WIG 21 /r reg", "vinsertps", {Op::Vx, Op::Hx, Op::Ux, Op::Ib},
     vex_imm<insertps_register>, Feature::Avx, attr::avx},

    {"VEX.128.NP.0F.WIG 77", "vzeroupper", {}, plain<vzeroupper>, Feature::Avx, attr::avx},
    {"VEX.256.NP.0F.WIG 77", "vzeroall", {}, plain<vzeroall>, Feature::Avx, attr::avx},
};
// clang-format on

}  // namespace

std::span<const Row> avx_move_rows() { return rows; }

}  // namespace bunshin::sse
