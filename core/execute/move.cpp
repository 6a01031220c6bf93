// Data movement between registers and memory: MOV, MOVZX, MOVSX, MOVSXD, LEA, XCHG, CMOVcc, SETcc, BSWAP, MOVBE, XLAT,
// sign extensions of the accumulator (SDM vol. 2).

#include "core/execute/condition.h"
#include "core/execute/operands.h"
#include "core/virt/intercept.h"

namespace bunshin {

namespace {

template <class T, class Rm>
bool mov_rm_reg(Cpu& cpu, const Record& r) {
  if (!Rm::template store<T>(cpu, r, cpu.reg<T>(r.reg))) [[unlikely]]
    return false;
  return true;
}

template <class T, class Rm>
bool mov_reg_rm(Cpu& cpu, const Record& r) {
  T value;
  if (!Rm::template load<T>(cpu, r, value)) [[unlikely]]
    return false;
  cpu.set_reg<T>(r.reg, value);
  return true;
}

template <class T, class Rm>
bool mov_rm_imm(Cpu& cpu, const Record& r) {
  if (!Rm::template store<T>(cpu, r, static_cast<T>(r.imm))) [[unlikely]]
    return false;
  return true;
}

template <class T>
bool mov_reg_imm(Cpu& cpu, const Record& r) {
  cpu.set_reg<T>(r.reg, static_cast<T>(r.imm));
  return true;
}

Handler bind_mov_rm_reg(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, mov_rm_reg<T, Rm>, mov_rm_reg<T, SegmentedMemory>>();
  });
}
Handler bind_mov_reg_rm(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, mov_reg_rm<T, Rm>, mov_reg_rm<T, SegmentedMemory>>();
  });
}
Handler bind_mov_rm_imm(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, mov_rm_imm<T, Rm>, mov_rm_imm<T, SegmentedMemory>>();
  });
}
Handler bind_mov_reg_imm(const Decoded& d) {
  return by_size(d, []<class T>() -> Handler { return run_plain<mov_reg_imm<T>>; });
}

/// MOV between the accumulator and an absolute offset (moffs), which Record::imm holds.
template <class T>
struct LoadOffset {
  static bool run(Cpu& cpu, const Record& r) {
    T value;
    if (!cpu.load(cpu.segment_of(r), r.imm, value)) return false;
    cpu.set_reg<T>(RAX, value);
    return true;
  }
};
template <class T>
struct StoreOffset {
  static bool run(Cpu& cpu, const Record& r) { return cpu.store(cpu.segment_of(r), r.imm, cpu.reg<T>(RAX)); }
};

/// Widening moves: `From` is what is read, the record's operand size what is written.
template <class From, bool sign, class T, class Rm>
bool extend(Cpu& cpu, const Record& r) {
  From value;
  if (!Rm::template load<From>(cpu, r, value)) [[unlikely]]
    return false;
  if constexpr (sign)
    cpu.set_reg<T>(r.reg, static_cast<T>(static_cast<std::make_signed_t<From>>(value)));
  else
    cpu.set_reg<T>(r.reg, static_cast<T>(value));
  return true;
}

template <class From, bool sign>
Handler bind_extend(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, extend<From, sign, T, Rm>, extend<From, sign, T, SegmentedMemory>>();
  });
}

template <class T>
bool lea(Cpu& cpu, const Record& r) {
  cpu.set_reg<T>(r.reg, static_cast<T>(cpu.effective_address(r)));
  return true;
}

/// With 64-bit addresses nothing is truncated: the common case without the switch on the address size.
template <class T>
bool lea64(Cpu& cpu, const Record& r) {
  cpu.set_reg<T>(r.reg, static_cast<T>(FlatMemory<u64>::linear(cpu, r)));
  return true;
}

Handler bind_lea(const Decoded& d) {
  const bool wide = d.record.address_bytes() == 8;
  return by_size(d, [wide]<class T>() -> Handler { return wide ? run_plain<lea64<T>> : run_plain<lea<T>>; });
}

template <class T, class Rm>
bool xchg(Cpu& cpu, const Record& r) {
  const T mine = cpu.reg<T>(r.reg);
  T theirs{};
  const bool done = Rm::template modify<T>(cpu, r, [&](T old) {
    theirs = old;
    return mine;
  });
  if (!done) [[unlikely]]
    return false;
  cpu.set_reg<T>(r.reg, theirs);
  return true;
}

Handler bind_xchg(const Decoded& d) {
  return by_size_and_rm(
      d, []<class T, class Rm>() -> Handler { return with_fallback<Rm, xchg<T, Rm>, xchg<T, SegmentedMemory>>(); });
}

template <class T>
struct XchgAccumulator {
  static bool run(Cpu& cpu, const Record& r) {
    const T a = cpu.reg<T>(RAX);
    cpu.set_reg<T>(RAX, cpu.reg<T>(r.reg));
    cpu.set_reg<T>(r.reg, a);
    return true;
  }
};

bool nop(Cpu&, const Record&) { return true; }

/// 90 is NOP and F3 90 PAUSE, but with REX.B both exchange R8 and the accumulator.
/// A hint that a loop waits; it takes the profile's time.
bool pause(Cpu& cpu, const Record& r) {
  if (intercepted(cpu, r, Intercept::Pause)) return false;
  cpu.spend(cpu.profile.pause_cycles - 1);
  return true;
}
Handler bind_pause(const Decoded& d) { return d.record.reg == 0 ? run_ending<pause> : sized<XchgAccumulator>(d); }

Handler bind_xchg_accumulator(const Decoded& d) {
  return d.record.reg == 0 ? run_plain<nop> : sized<XchgAccumulator>(d);
}

// --- conditional ---

/// A 32-bit CMOV clears the upper half even if the condition is false.
template <unsigned code, class T, class Rm>
bool cmov(Cpu& cpu, const Record& r) {
  T value;
  if (!Rm::template load<T>(cpu, r, value)) [[unlikely]]
    return false;
  cpu.set_reg<T>(r.reg, condition<code>(cpu.state.flags) ? value : cpu.reg<T>(r.reg));
  return true;
}
template <unsigned code>
Handler bind_cmov(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, cmov<code, T, Rm>, cmov<code, T, SegmentedMemory>>();
  });
}

template <unsigned code, class Rm>
bool setcc(Cpu& cpu, const Record& r) {
  if (!Rm::template store<u8>(cpu, r, condition<code>(cpu.state.flags) ? 1 : 0)) [[unlikely]]
    return false;
  return true;
}
template <unsigned code>
Handler bind_setcc(const Decoded& d) {
  return by_rm(
      d, []<class Rm>() -> Handler { return with_fallback<Rm, setcc<code, Rm>, setcc<code, SegmentedMemory>>(); });
}

// --- byte order, tables, sign ---

template <class T>
T byte_swapped(T v) {
  if constexpr (sizeof(T) == 2)
    return __builtin_bswap16(v);
  else if constexpr (sizeof(T) == 4)
    return __builtin_bswap32(v);
  else
    return __builtin_bswap64(v);
}

/// BSWAP of a 16-bit register is undefined; processors clear it.
bool bswap(Cpu& cpu, const Record& r) {
  switch (r.operand_bytes()) {
    case 2: cpu.set_reg<u16>(r.reg, 0); break;
    case 4: cpu.set_reg<u32>(r.reg, byte_swapped(cpu.reg<u32>(r.reg))); break;
    default: cpu.set_reg<u64>(r.reg, byte_swapped(cpu.reg<u64>(r.reg))); break;
  }
  return true;
}

template <class T>
struct MovbeLoad {
  static bool run(Cpu& cpu, const Record& r) {
    if constexpr (sizeof(T) > 1) {
      T value;
      if (!cpu.load(r, value)) return false;
      cpu.set_reg<T>(r.reg, byte_swapped(value));
    }
    return true;
  }
};
template <class T>
struct MovbeStore {
  static bool run(Cpu& cpu, const Record& r) {
    if constexpr (sizeof(T) > 1) return cpu.store(r, byte_swapped(cpu.reg<T>(r.reg)));
    return true;
  }
};

bool xlat(Cpu& cpu, const Record& r) {
  u64 offset = cpu.state.gpr[RBX] + cpu.reg<u8>(RAX);
  if (r.address_bytes() != 8) offset = r.address_bytes() == 4 ? static_cast<u32>(offset) : static_cast<u16>(offset);
  u8 value = 0;
  if (!cpu.load(cpu.segment_of(r), offset, value)) return false;
  cpu.set_reg<u8>(RAX, value);
  return true;
}

/// CBW, CWDE, CDQE.
bool extend_accumulator(Cpu& cpu, const Record& r) {
  switch (r.operand_bytes()) {
    case 2: cpu.set_reg<u16>(RAX, static_cast<u16>(static_cast<i8>(cpu.reg<u8>(RAX)))); break;
    case 4: cpu.set_reg<u32>(RAX, static_cast<u32>(static_cast<i16>(cpu.reg<u16>(RAX)))); break;
    default: cpu.set_reg<u64>(RAX, static_cast<u64>(i64{static_cast<i32>(cpu.reg<u32>(RAX))})); break;
  }
  return true;
}

/// CWD, CDQ, CQO.
bool extend_into_rdx(Cpu& cpu, const Record& r) {
  switch (r.operand_bytes()) {
    case 2: cpu.set_reg<u16>(RDX * 8, (cpu.reg<u16>(RAX) & 0x8000) != 0 ? 0xffff : 0); break;
    case 4: cpu.set_reg<u32>(RDX * 8, (cpu.reg<u32>(RAX) >> 31) != 0 ? ~0u : 0); break;
    default: cpu.set_reg<u64>(RDX * 8, (cpu.reg<u64>(RAX) >> 63) != 0 ? ~u64{0} : 0); break;
  }
  return true;
}

constexpr u32 byte = attr::byte_operands;

// clang-format off
const Row rows[] = {
    {"88 /r", "mov", {Op::Eb, Op::Gb}, bind_mov_rm_reg},
    {"89 /r", "mov", {Op::Ev, Op::Gv}, bind_mov_rm_reg},
    {"8A /r", "mov", {Op::Gb, Op::Eb}, bind_mov_reg_rm},
    {"8B /r", "mov", {Op::Gv, Op::Ev}, bind_mov_reg_rm},
    {"C6 /0", "mov", {Op::Eb, Op::Ib}, bind_mov_rm_imm},
    {"C7 /0", "mov", {Op::Ev, Op::Iz}, bind_mov_rm_imm},
    {"B0+r", "mov", {Op::Zb, Op::Ib}, bind_mov_reg_imm},
    {"B8+r", "mov", {Op::Zv, Op::Iv}, bind_mov_reg_imm},
    {"A0", "mov", {Op::Al, Op::Ob}, plain<&LoadOffset<u8>::run>},
    {"A1", "mov", {Op::Av, Op::Ov}, sized<LoadOffset>},
    {"A2", "mov", {Op::Ob, Op::Al}, plain<&StoreOffset<u8>::run>},
    {"A3", "mov", {Op::Ov, Op::Av}, sized<StoreOffset>},
    {"0F B6 /r", "movzx", {Op::Gv, Op::Eb}, bind_extend<u8, false>},
    {"0F B7 /r", "movzx", {Op::Gv, Op::Ew}, bind_extend<u16, false>},
    {"0F BE /r", "movsx", {Op::Gv, Op::Eb}, bind_extend<u8, true>},
    {"0F BF /r", "movsx", {Op::Gv, Op::Ew}, bind_extend<u16, true>},
    {"63 /r", "movsxd", {Op::Gv, Op::Ed}, bind_extend<u32, true>, Feature::Base, attr::only64},
    {"8D /r mem", "lea", {Op::Gv, Op::M}, bind_lea},
    {"86 /r", "xchg", {Op::Eb, Op::Gb}, bind_xchg, Feature::Base, attr::lockable},
    {"87 /r", "xchg", {Op::Ev, Op::Gv}, bind_xchg, Feature::Base, attr::lockable},
    {"90+r", "xchg", {Op::Zv, Op::Av}, bind_xchg_accumulator},
    {"F3 90", "pause", {Op::Zv, Op::Av}, bind_pause, Feature::Base, attr::ends_block},
    {"0F C8+r", "bswap", {Op::Zv}, plain<bswap>},
    {"NP 0F 38 F0 /r mem", "movbe", {Op::Gv, Op::M}, sized<MovbeLoad>, Feature::Movbe},
    {"66 0F 38 F0 /r mem", "movbe", {Op::Gv, Op::M}, sized<MovbeLoad>, Feature::Movbe},
    {"NP 0F 38 F1 /r mem", "movbe", {Op::M, Op::Gv}, sized<MovbeStore>, Feature::Movbe},
    {"66 0F 38 F1 /r mem", "movbe", {Op::M, Op::Gv}, sized<MovbeStore>, Feature::Movbe},
    {"D7", "xlatb", {}, plain<xlat>},
    {"98", "cdqe", {}, plain<extend_accumulator>},
    {"99", "cqo", {}, plain<extend_into_rdx>},

    {"0F 40 /r", "cmovo", {Op::Gv, Op::Ev}, bind_cmov<0>, Feature::Cmov},
    {"0F 41 /r", "cmovno", {Op::Gv, Op::Ev}, bind_cmov<1>, Feature::Cmov},
    {"0F 42 /r", "cmovb", {Op::Gv, Op::Ev}, bind_cmov<2>, Feature::Cmov},
    {"0F 43 /r", "cmovae", {Op::Gv, Op::Ev}, bind_cmov<3>, Feature::Cmov},
    {"0F 44 /r", "cmove", {Op::Gv, Op::Ev}, bind_cmov<4>, Feature::Cmov},
    {"0F 45 /r", "cmovne", {Op::Gv, Op::Ev}, bind_cmov<5>, Feature::Cmov},
    {"0F 46 /r", "cmovbe", {Op::Gv, Op::Ev}, bind_cmov<6>, Feature::Cmov},
    {"0F 47 /r", "cmova", {Op::Gv, Op::Ev}, bind_cmov<7>, Feature::Cmov},
    {"0F 48 /r", "cmovs", {Op::Gv, Op::Ev}, bind_cmov<8>, Feature::Cmov},
    {"0F 49 /r", "cmovns", {Op::Gv, Op::Ev}, bind_cmov<9>, Feature::Cmov},
    {"0F 4A /r", "cmovp", {Op::Gv, Op::Ev}, bind_cmov<10>, Feature::Cmov},
    {"0F 4B /r", "cmovnp", {Op::Gv, Op::Ev}, bind_cmov<11>, Feature::Cmov},
    {"0F 4C /r", "cmovl", {Op::Gv, Op::Ev}, bind_cmov<12>, Feature::Cmov},
    {"0F 4D /r", "cmovge", {Op::Gv, Op::Ev}, bind_cmov<13>, Feature::Cmov},
    {"0F 4E /r", "cmovle", {Op::Gv, Op::Ev}, bind_cmov<14>, Feature::Cmov},
    {"0F 4F /r", "cmovg", {Op::Gv, Op::Ev}, bind_cmov<15>, Feature::Cmov},
    {"0F 90 /r", "seto", {Op::Eb}, bind_setcc<0>, Feature::Base, byte},
    {"0F 91 /r", "setno", {Op::Eb}, bind_setcc<1>, Feature::Base, byte},
    {"0F 92 /r", "setb", {Op::Eb}, bind_setcc<2>, Feature::Base, byte},
    {"0F 93 /r", "setae", {Op::Eb}, bind_setcc<3>, Feature::Base, byte},
    {"0F 94 /r", "sete", {Op::Eb}, bind_setcc<4>, Feature::Base, byte},
    {"0F 95 /r", "setne", {Op::Eb}, bind_setcc<5>, Feature::Base, byte},
    {"0F 96 /r", "setbe", {Op::Eb}, bind_setcc<6>, Feature::Base, byte},
    {"0F 97 /r", "seta", {Op::Eb}, bind_setcc<7>, Feature::Base, byte},
    {"0F 98 /r", "sets", {Op::Eb}, bind_setcc<8>, Feature::Base, byte},
    {"0F 99 /r", "setns", {Op::Eb}, bind_setcc<9>, Feature::Base, byte},
    {"0F 9A /r", "setp", {Op::Eb}, bind_setcc<10>, Feature::Base, byte},
    {"0F 9B /r", "setnp", {Op::Eb}, bind_setcc<11>, Feature::Base, byte},
    {"0F 9C /r", "setl", {Op::Eb}, bind_setcc<12>, Feature::Base, byte},
    {"0F 9D /r", "setge", {Op::Eb}, bind_setcc<13>, Feature::Base, byte},
    {"0F 9E /r", "setle", {Op::Eb}, bind_setcc<14>, Feature::Base, byte},
    {"0F 9F /r", "setg", {Op::Eb}, bind_setcc<15>, Feature::Base, byte},
};
// clang-format on

}  // namespace

std::span<const Row> move_rows() { return rows; }

}  // namespace bunshin
