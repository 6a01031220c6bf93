// Instructions on MMX registers, of all generations (MMX, and what SSE, SSE2 and SSSE3 added).

#include "core/sse/bind.h"
#include "core/sse/float.h"
#include "core/sse/integer_extended.h"
#include "core/sse/rows.h"

namespace bunshin::sse {

namespace {

/// Completes an instruction that wrote `value` to MMX register `number`.
void write_mmx(Cpu& cpu, unsigned number, u64 value) {
  x87::enter_mmx(cpu.state.x87);
  x87::set_mmx(cpu.state.x87, number, value);
}
u64 read_mmx(const Cpu& cpu, unsigned number) { return x87::mmx(cpu.state.x87, number); }

/// MOVD/MOVQ mm, r/m.
template <class Int>
struct MmxMoveTo {
  static bool from_register(Cpu& cpu, const Record& r) {
    if (!x87::deliver_pending(cpu)) return false;
    write_mmx(cpu, r.reg, cpu.reg<Int>(r.rm));
    return true;
  }
  static bool from_memory(Cpu& cpu, const Record& r) {
    Int v{};
    if (!x87::deliver_pending(cpu) || !cpu.load(r, v)) return false;
    write_mmx(cpu, r.reg, v);
    return true;
  }
};
/// MOVD/MOVQ r/m, mm.
template <class Int>
struct MmxMoveFrom {
  static bool from_register(Cpu& cpu, const Record& r) {
    if (!x87::deliver_pending(cpu)) return false;
    x87::enter_mmx(cpu.state.x87);
    cpu.set_reg<Int>(r.rm, static_cast<Int>(read_mmx(cpu, r.reg)));
    return true;
  }
  static bool from_memory(Cpu& cpu, const Record& r) {
    if (!x87::deliver_pending(cpu) || !cpu.store(r, static_cast<Int>(read_mmx(cpu, r.reg)))) return false;
    x87::enter_mmx(cpu.state.x87);
    return true;
  }
};

bool move_reversed(Cpu& cpu, const Record& r) {
  if (!x87::deliver_pending(cpu)) return false;
  write_mmx(cpu, r.rm, read_mmx(cpu, r.reg));
  return true;
}

bool emms(Cpu& cpu, const Record&) {
  if (!x87::deliver_pending(cpu)) return false;
  x87::leave_mmx(cpu.state.x87);
  return true;
}

bool movq2dq(Cpu& cpu, const Record& r) {
  if (!x87::deliver_pending(cpu)) return false;
  x87::enter_mmx(cpu.state.x87);
  write(cpu.state.xmm[r.reg], from64(read_mmx(cpu, r.rm)));
  return true;
}
bool movdq2q(Cpu& cpu, const Record& r) {
  if (!x87::deliver_pending(cpu)) return false;
  write_mmx(cpu, r.reg, low64(read(cpu.state.xmm[r.rm])));
  return true;
}

bool pmovmskb_mmx(Cpu& cpu, const Record& r) {
  if (!x87::deliver_pending(cpu)) return false;
  x87::enter_mmx(cpu.state.x87);
  cpu.set_reg<u32>(r.reg, pmovmskb(from64(read_mmx(cpu, r.rm))));
  return true;
}
bool pextrw_mmx(Cpu& cpu, const Record& r) {
  if (!x87::deliver_pending(cpu)) return false;
  x87::enter_mmx(cpu.state.x87);
  cpu.set_reg<u32>(r.reg, extract<u16>(from64(read_mmx(cpu, r.rm)), mmx_word(imm8(r))));
  return true;
}
void insert_word(Cpu& cpu, const Record& r, u16 value) {
  write_mmx(cpu, r.reg, low64(insert<u16>(from64(read_mmx(cpu, r.reg)), value, mmx_word(imm8(r)))));
}
bool pinsrw_register(Cpu& cpu, const Record& r) {
  if (!x87::deliver_pending(cpu)) return false;
  insert_word(cpu, r, cpu.reg<u16>(r.rm));
  return true;
}
bool pinsrw_memory(Cpu& cpu, const Record& r) {
  u16 v = 0;
  if (!x87::deliver_pending(cpu) || !cpu.load(r, v)) return false;
  insert_word(cpu, r, v);
  return true;
}

/// Stores the bytes whose mask byte has its sign set at DS:rDI (segment override applies).
bool maskmovq(Cpu& cpu, const Record& r) {
  if (!x87::deliver_pending(cpu)) return false;
  const u64 data = read_mmx(cpu, r.reg), mask = read_mmx(cpu, r.rm);
  const u64 address_mask = ~u64{0} >> (64 - 8 * r.address_bytes());
  for (unsigned i = 0; i < 8; ++i) {
    if (((mask >> (8 * i + 7)) & 1) == 0) continue;
    const u64 offset = (cpu.state.gpr[RDI] + i) & address_mask;
    if (!cpu.store(cpu.segment_of(r), offset, static_cast<u8>(data >> (8 * i)))) return false;
  }
  x87::enter_mmx(cpu.state.x87);
  return true;
}

/// CVTPI2PS, CVTPI2PD. CVTPI2PD from memory leaves the x87 state alone (SDM vol. 2, CVTPI2PD).
template <LaneOp op, class Source, bool transition>
bool from_integers(Cpu& cpu, const Record& r) {
  Vec s;
  if ((transition && !x87::deliver_pending(cpu)) || !Source::load(cpu, r, s)) return false;
  Xmm& d = cpu.state.xmm[r.reg];
  const Vec before = read(d);
  Vec result;
  if (!compute_vector<Tiny::Never>(cpu, result, [&] { return op(before, s); })) return false;
  if (transition) x87::enter_mmx(cpu.state.x87);
  write(d, result);
  return true;
}
/// CVTPS2PI, CVTTPS2PI, CVTPD2PI, CVTTPD2PI.
template <LaneOp op, class Source>
bool to_integers(Cpu& cpu, const Record& r) {
  Vec s;
  if (!x87::deliver_pending(cpu) || !Source::load(cpu, r, s)) return false;
  Vec result;
  if (!compute_vector<Tiny::Never>(cpu, result, [&] { return op(s, s); })) return false;
  write_mmx(cpu, r.reg, low64(result));
  return true;
}

// clang-format off
constexpr Row rows[] = {
    {"NP 0F 60 /r", "punpcklbw", {Op::Pq, Op::Qd}, mmx<punpcklbw, Low4>, Feature::Mmx, attr::mmx},
    {"NP 0F 61 /r", "punpcklwd", {Op::Pq, Op::Qd}, mmx<punpcklwd, Low4>, Feature::Mmx, attr::mmx},
    {"NP 0F 62 /r", "punpckldq", {Op::Pq, Op::Qd}, mmx<punpckldq, Low4>, Feature::Mmx, attr::mmx},
    {"NP 0F 63 /r", "packsswb", {Op::Pq, Op::Qq}, mmx<mmx_pack<packsswb>>, Feature::Mmx, attr::mmx},
    {"NP 0F 64 /r", "pcmpgtb", {Op::Pq, Op::Qq}, mmx<pcmpgtb>, Feature::Mmx, attr::mmx},
    {"NP 0F 65 /r", "pcmpgtw", {Op::Pq, Op::Qq}, mmx<pcmpgtw>, Feature::Mmx, attr::mmx},
    {"NP 0F 66 /r", "pcmpgtd", {Op::Pq, Op::Qq}, mmx<pcmpgtd>, Feature::Mmx, attr::mmx},
    {"NP 0F 67 /r", "packuswb", {Op::Pq, Op::Qq}, mmx<mmx_pack<packuswb>>, Feature::Mmx, attr::mmx},
    {"NP 0F 68 /r", "punpckhbw", {Op::Pq, Op::Qq}, mmx<mmx_unpack_high<punpcklbw>>, Feature::Mmx, attr::mmx},
    {"NP 0F 69 /r", "punpckhwd", {Op::Pq, Op::Qq}, mmx<mmx_unpack_high<punpcklwd>>, Feature::Mmx, attr::mmx},
    {"NP 0F 6A /r", "punpckhdq", {Op::Pq, Op::Qq}, mmx<mmx_unpack_high<punpckldq>>, Feature::Mmx, attr::mmx},
    {"NP 0F 6B /r", "packssdw", {Op::Pq, Op::Qq}, mmx<mmx_pack<packssdw>>, Feature::Mmx, attr::mmx},
    {"NP 0F 6E /r", "movd", {Op::Pq, Op::Ey},
     by_form_and_width<MmxMoveTo<u32>, MmxMoveTo<u64>>, Feature::Mmx, attr::mmx},
    {"NP 0F 6F /r", "movq", {Op::Pq, Op::Qq}, mmx<second>, Feature::Mmx, attr::mmx},
    {"NP 0F 70 /r", "pshufw", {Op::Pq, Op::Qq, Op::Ib}, mmx_imm<pshufw>, Feature::Sse, attr::mmx},
    {"NP 0F 71 /2 reg", "psrlw", {Op::Nq, Op::Ib}, mmx_shift<psrlw>, Feature::Mmx, attr::mmx},
    {"NP 0F 71 /4 reg", "psraw", {Op::Nq, Op::Ib}, mmx_shift<psraw>, Feature::Mmx, attr::mmx},
    {"NP 0F 71 /6 reg", "psllw", {Op::Nq, Op::Ib}, mmx_shift<psllw>, Feature::Mmx, attr::mmx},
    {"NP 0F 72 /2 reg", "psrld", {Op::Nq, Op::Ib}, mmx_shift<psrld>, Feature::Mmx, attr::mmx},
    {"NP 0F 72 /4 reg", "psrad", {Op::Nq, Op::Ib}, mmx_shift<psrad>, Feature::Mmx, attr::mmx},
    {"NP 0F 72 /6 reg", "pslld", {Op::Nq, Op::Ib}, mmx_shift<pslld>, Feature::Mmx, attr::mmx},
    {"NP 0F 73 /2 reg", "psrlq", {Op::Nq, Op::Ib}, mmx_shift<psrlq>, Feature::Mmx, attr::mmx},
    {"NP 0F 73 /6 reg", "psllq", {Op::Nq, Op::Ib}, mmx_shift<psllq>, Feature::Mmx, attr::mmx},
    {"NP 0F 74 /r", "pcmpeqb", {Op::Pq, Op::Qq}, mmx<pcmpeqb>, Feature::Mmx, attr::mmx},
    {"NP 0F 75 /r", "pcmpeqw", {Op::Pq, Op::Qq}, mmx<pcmpeqw>, Feature::Mmx, attr::mmx},
    {"NP 0F 76 /r", "pcmpeqd", {Op::Pq, Op::Qq}, mmx<pcmpeqd>, Feature::Mmx, attr::mmx},
    {"NP 0F 77", "emms", {}, plain<emms>, Feature::Mmx, attr::mmx},
    {"NP 0F 7E /r", "movd", {Op::Ey, Op::Pq},
     by_form_and_width<MmxMoveFrom<u32>, MmxMoveFrom<u64>>, Feature::Mmx, attr::mmx},
    {"NP 0F 7F /r", "movq", {Op::Qq, Op::Pq},
     by_form<move_reversed, MmxMoveFrom<u64>::from_memory>, Feature::Mmx, attr::mmx},
    {"NP 0F C4 /r", "pinsrw", {Op::Pq, Op::Ew, Op::Ib},
     by_form<pinsrw_register, pinsrw_memory>, Feature::Sse, attr::mmx},
    {"NP 0F C5 /r reg", "pextrw", {Op::Gd, Op::Nq, Op::Ib}, plain<pextrw_mmx>, Feature::Sse, attr::mmx},
    {"NP 0F D7 /r reg", "pmovmskb", {Op::Gd, Op::Nq}, plain<pmovmskb_mmx>, Feature::Sse, attr::mmx},
    {"F3 0F D6 /r reg", "movq2dq", {Op::Vx, Op::Nq}, plain<movq2dq>, Feature::Sse2, attr::mmx | attr::sse},
    {"F2 0F D6 /r reg", "movdq2q", {Op::Pq, Op::Ux}, plain<movdq2q>, Feature::Sse2, attr::mmx | attr::sse},
    {"NP 0F E7 /r mem", "movntq", {Op::Mq, Op::Pq}, plain<MmxMoveFrom<u64>::from_memory>, Feature::Sse, attr::mmx},
    {"NP 0F F7 /r reg", "maskmovq", {Op::Pq, Op::Nq}, plain<maskmovq>, Feature::Sse, attr::mmx},
    {"NP 0F D1 /r", "psrlw", {Op::Pq, Op::Qq}, mmx<psrlw>, Feature::Mmx, attr::mmx},
    {"NP 0F D2 /r", "psrld", {Op::Pq, Op::Qq}, mmx<psrld>, Feature::Mmx, attr::mmx},
    {"NP 0F D3 /r", "psrlq", {Op::Pq, Op::Qq}, mmx<psrlq>, Feature::Mmx, attr::mmx},
    {"NP 0F D5 /r", "pmullw", {Op::Pq, Op::Qq}, mmx<pmullw>, Feature::Mmx, attr::mmx},
    {"NP 0F D8 /r", "psubusb", {Op::Pq, Op::Qq}, mmx<psubusb>, Feature::Mmx, attr::mmx},
    {"NP 0F D9 /r", "psubusw", {Op::Pq, Op::Qq}, mmx<psubusw>, Feature::Mmx, attr::mmx},
    {"NP 0F DB /r", "pand", {Op::Pq, Op::Qq}, mmx<pand>, Feature::Mmx, attr::mmx},
    {"NP 0F DC /r", "paddusb", {Op::Pq, Op::Qq}, mmx<paddusb>, Feature::Mmx, attr::mmx},
    {"NP 0F DD /r", "paddusw", {Op::Pq, Op::Qq}, mmx<paddusw>, Feature::Mmx, attr::mmx},
    {"NP 0F DF /r", "pandn", {Op::Pq, Op::Qq}, mmx<pandn>, Feature::Mmx, attr::mmx},
    {"NP 0F E1 /r", "psraw", {Op::Pq, Op::Qq}, mmx<psraw>, Feature::Mmx, attr::mmx},
    {"NP 0F E2 /r", "psrad", {Op::Pq, Op::Qq}, mmx<psrad>, Feature::Mmx, attr::mmx},
    {"NP 0F E5 /r", "pmulhw", {Op::Pq, Op::Qq}, mmx<pmulhw>, Feature::Mmx, attr::mmx},
    {"NP 0F E8 /r", "psubsb", {Op::Pq, Op::Qq}, mmx<psubsb>, Feature::Mmx, attr::mmx},
    {"NP 0F E9 /r", "psubsw", {Op::Pq, Op::Qq}, mmx<psubsw>, Feature::Mmx, attr::mmx},
    {"NP 0F EB /r", "por", {Op::Pq, Op::Qq}, mmx<por>, Feature::Mmx, attr::mmx},
    {"NP 0F EC /r", "paddsb", {Op::Pq, Op::Qq}, mmx<paddsb>, Feature::Mmx, attr::mmx},
    {"NP 0F ED /r", "paddsw", {Op::Pq, Op::Qq}, mmx<paddsw>, Feature::Mmx, attr::mmx},
    {"NP 0F EF /r", "pxor", {Op::Pq, Op::Qq}, mmx<pxor>, Feature::Mmx, attr::mmx},
    {"NP 0F F1 /r", "psllw", {Op::Pq, Op::Qq}, mmx<psllw>, Feature::Mmx, attr::mmx},
    {"NP 0F F2 /r", "pslld", {Op::Pq, Op::Qq}, mmx<pslld>, Feature::Mmx, attr::mmx},
    {"NP 0F F3 /r", "psllq", {Op::Pq, Op::Qq}, mmx<psllq>, Feature::Mmx, attr::mmx},
    {"NP 0F F5 /r", "pmaddwd", {Op::Pq, Op::Qq}, mmx<pmaddwd>, Feature::Mmx, attr::mmx},
    {"NP 0F F8 /r", "psubb", {Op::Pq, Op::Qq}, mmx<psubb>, Feature::Mmx, attr::mmx},
    {"NP 0F F9 /r", "psubw", {Op::Pq, Op::Qq}, mmx<psubw>, Feature::Mmx, attr::mmx},
    {"NP 0F FA /r", "psubd", {Op::Pq, Op::Qq}, mmx<psubd>, Feature::Mmx, attr::mmx},
    {"NP 0F FC /r", "paddb", {Op::Pq, Op::Qq}, mmx<paddb>, Feature::Mmx, attr::mmx},
    {"NP 0F FD /r", "paddw", {Op::Pq, Op::Qq}, mmx<paddw>, Feature::Mmx, attr::mmx},
    {"NP 0F FE /r", "paddd", {Op::Pq, Op::Qq}, mmx<paddd>, Feature::Mmx, attr::mmx},
    {"NP 0F DA /r", "pminub", {Op::Pq, Op::Qq}, mmx<pminub>, Feature::Sse, attr::mmx},
    {"NP 0F DE /r", "pmaxub", {Op::Pq, Op::Qq}, mmx<pmaxub>, Feature::Sse, attr::mmx},
    {"NP 0F E0 /r", "pavgb", {Op::Pq, Op::Qq}, mmx<pavgb>, Feature::Sse, attr::mmx},
    {"NP 0F E3 /r", "pavgw", {Op::Pq, Op::Qq}, mmx<pavgw>, Feature::Sse, attr::mmx},
    {"NP 0F E4 /r", "pmulhuw", {Op::Pq, Op::Qq}, mmx<pmulhuw>, Feature::Sse, attr::mmx},
    {"NP 0F EA /r", "pminsw", {Op::Pq, Op::Qq}, mmx<pminsw>, Feature::Sse, attr::mmx},
    {"NP 0F EE /r", "pmaxsw", {Op::Pq, Op::Qq}, mmx<pmaxsw>, Feature::Sse, attr::mmx},
    {"NP 0F F6 /r", "psadbw", {Op::Pq, Op::Qq}, mmx<psadbw>, Feature::Sse, attr::mmx},
    {"NP 0F D4 /r", "paddq", {Op::Pq, Op::Qq}, mmx<paddq>, Feature::Sse2, attr::mmx},
    {"NP 0F F4 /r", "pmuludq", {Op::Pq, Op::Qq}, mmx<pmuludq>, Feature::Sse2, attr::mmx},
    {"NP 0F FB /r", "psubq", {Op::Pq, Op::Qq}, mmx<psubq>, Feature::Sse2, attr::mmx},
    {"NP 0F 38 00 /r", "pshufb", {Op::Pq, Op::Qq}, mmx<pshufb<8>>, Feature::Ssse3, attr::mmx},
    {"NP 0F 38 01 /r", "phaddw", {Op::Pq, Op::Qq}, mmx<phaddw<8>>, Feature::Ssse3, attr::mmx},
    {"NP 0F 38 02 /r", "phaddd", {Op::Pq, Op::Qq}, mmx<phaddd<8>>, Feature::Ssse3, attr::mmx},
    {"NP 0F 38 03 /r", "phaddsw", {Op::Pq, Op::Qq}, mmx<phaddsw<8>>, Feature::Ssse3, attr::mmx},
    {"NP 0F 38 05 /r", "phsubw", {Op::Pq, Op::Qq}, mmx<phsubw<8>>, Feature::Ssse3, attr::mmx},
    {"NP 0F 38 06 /r", "phsubd", {Op::Pq, Op::Qq}, mmx<phsubd<8>>, Feature::Ssse3, attr::mmx},
    {"NP 0F 38 07 /r", "phsubsw", {Op::Pq, Op::Qq}, mmx<phsubsw<8>>, Feature::Ssse3, attr::mmx},
    {"NP 0F 38 04 /r", "pmaddubsw", {Op::Pq, Op::Qq}, mmx<pmaddubsw>, Feature::Ssse3, attr::mmx},
    {"NP 0F 38 0B /r", "pmulhrsw", {Op::Pq, Op::Qq}, mmx<pmulhrsw>, Feature::Ssse3, attr::mmx},
    {"NP 0F 38 08 /r", "psignb", {Op::Pq, Op::Qq}, mmx<psign<i8>>, Feature::Ssse3, attr::mmx},
    {"NP 0F 38 09 /r", "psignw", {Op::Pq, Op::Qq}, mmx<psign<i16>>, Feature::Ssse3, attr::mmx},
    {"NP 0F 38 0A /r", "psignd", {Op::Pq, Op::Qq}, mmx<psign<i32>>, Feature::Ssse3, attr::mmx},
    {"NP 0F 38 1C /r", "pabsb", {Op::Pq, Op::Qq}, mmx<pabs<i8>>, Feature::Ssse3, attr::mmx},
    {"NP 0F 38 1D /r", "pabsw", {Op::Pq, Op::Qq}, mmx<pabs<i16>>, Feature::Ssse3, attr::mmx},
    {"NP 0F 38 1E /r", "pabsd", {Op::Pq, Op::Qq}, mmx<pabs<i32>>, Feature::Ssse3, attr::mmx},
    {"NP 0F 3A 0F /r", "palignr", {Op::Pq, Op::Qq, Op::Ib}, mmx_imm<palignr<8>>, Feature::Ssse3, attr::mmx},
    {"NP 0F 2A /r", "cvtpi2ps", {Op::Vx, Op::Qq},
     by_form<from_integers<cvtpi2ps, FromMmx, true>, from_integers<cvtpi2ps, Low8, true>>, Feature::Sse,
     attr::mmx | attr::sse},
    {"66 0F 2A /r", "cvtpi2pd", {Op::Vx, Op::Qq},
     by_form<from_integers<cvtpi2pd, FromMmx, true>, from_integers<cvtpi2pd, Low8, false>>, Feature::Sse2,
     attr::mmx | attr::sse},
    {"NP 0F 2C /r", "cvttps2pi", {Op::Pq, Op::Wq},
     by_form<to_integers<cvttps2pi, FromXmm>, to_integers<cvttps2pi, Low8>>, Feature::Sse, attr::mmx | attr::sse},
    {"66 0F 2C /r", "cvttpd2pi", {Op::Pq, Op::Wx},
     by_form<to_integers<cvttpd2pi, FromXmm>, to_integers<cvttpd2pi, Aligned16>>, Feature::Sse2, attr::mmx | attr::sse},
    {"NP 0F 2D /r", "cvtps2pi", {Op::Pq, Op::Wq},
     by_form<to_integers<cvtps2pi, FromXmm>, to_integers<cvtps2pi, Low8>>, Feature::Sse, attr::mmx | attr::sse},
    {"66 0F 2D /r", "cvtpd2pi", {Op::Pq, Op::Wx},
     by_form<to_integers<cvtpd2pi, FromXmm>, to_integers<cvtpd2pi, Aligned16>>, Feature::Sse2, attr::mmx | attr::sse},
};
// clang-format on

}  // namespace

std::span<const Row> mmx_rows() { return rows; }

}  // namespace bunshin::sse
