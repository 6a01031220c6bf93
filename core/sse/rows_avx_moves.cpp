// VEX-encoded moves, loads, stores, shuffles and element transfers.

#include "core/sse/bind_vex.h"
#include "core/sse/integer.h"
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

Vec256 insert_lane(Vec256 d, Vec s, u8 imm) { return (imm & 1) != 0 ? Vec256{d.low, s} : Vec256{s, d.high}; }

/// VEXTRACTF128, VEXTRACTI128.
struct ExtractLane {
  static const Xmm& lane(const Cpu& cpu, const Record& r) {
    return (r.imm & 1) != 0 ? cpu.state.ymm_high[r.reg] : cpu.state.xmm[r.reg];
  }
  static bool to_register(Cpu& cpu, const Record& r) {
    write_vector(cpu, r.rm, read(lane(cpu, r)));
    return true;
  }
  static bool to_memory(Cpu& cpu, const Record& r) { return cpu.store(r, lane(cpu, r)); }
};

// clang-format off
constexpr Row rows[] = {
    {"VEX.NP.0F.WIG 10 /r", "vmovups", {Op::Vx, Op::Wx}, vex<second>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 11 /r", "vmovups", {Op::Wx, Op::Vx}, vex_store<second>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 6F /r", "vmovdqa", {Op::Vx, Op::Wx}, vex<second, FullAligned>, Feature::Avx, attr::avx},
    {"VEX.F3.0F.WIG 6F /r", "vmovdqu", {Op::Vx, Op::Wx}, vex<second>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 7F /r", "vmovdqa", {Op::Wx, Op::Vx}, vex_store<second, FullAligned>, Feature::Avx, attr::avx},
    {"VEX.F3.0F.WIG 7F /r", "vmovdqu", {Op::Wx, Op::Vx}, vex_store<second>, Feature::Avx, attr::avx},
    {"VEX.128.NP.0F.WIG 77", "vzeroupper", {}, plain<vzeroupper>, Feature::Avx, attr::avx},
    {"VEX.256.NP.0F.WIG 77", "vzeroall", {}, plain<vzeroall>, Feature::Avx, attr::avx},
    {"VEX.256.66.0F3A.W0 18 /r", "vinsertf128", {Op::Vx, Op::Hx, Op::Wdq, Op::Ib},
     vex_imm<insert_lane, Any16>, Feature::Avx, attr::avx},
    {"VEX.256.66.0F3A.W0 19 /r", "vextractf128", {Op::Wdq, Op::Vx, Op::Ib},
     by_form<ExtractLane::to_register, ExtractLane::to_memory>, Feature::Avx, attr::avx},
    {"VEX.256.66.0F3A.W0 38 /r", "vinserti128", {Op::Vx, Op::Hx, Op::Wdq, Op::Ib},
     vex_imm<insert_lane, Any16>, Feature::Avx2, attr::avx},
    {"VEX.256.66.0F3A.W0 39 /r", "vextracti128", {Op::Wdq, Op::Vx, Op::Ib},
     by_form<ExtractLane::to_register, ExtractLane::to_memory>, Feature::Avx2, attr::avx},
};
// clang-format on

}  // namespace

std::span<const Row> avx_move_rows() { return rows; }

}  // namespace bunshin::sse
