// Binary and unary arithmetic and logic: ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NEG, NOT, XADD, CMPXCHG,
// ADCX, ADOX (SDM vol. 2).

#include "core/execute/compare.h"

namespace bunshin {

namespace {

// --- destination ModRM.rm ---

template <class Operation, class T, class Rm>
bool rm_reg(Cpu& cpu, const Record& r) {
  const T source = cpu.reg<T>(r.reg);
  LazyFlags& flags = cpu.state.flags;
  if (!Rm::template modify<T>(cpu, r, [&](T old) { return Operation::template apply<T>(flags, old, source); }))
      [[unlikely]]
    return false;
  return true;
}

template <class Operation, class T, class Rm>
bool rm_imm(Cpu& cpu, const Record& r) {
  const T source = static_cast<T>(r.imm);
  LazyFlags& flags = cpu.state.flags;
  if (!Rm::template modify<T>(cpu, r, [&](T old) { return Operation::template apply<T>(flags, old, source); }))
      [[unlikely]]
    return false;
  return true;
}

// --- destination ModRM.reg ---

template <class Operation, class T, class Rm>
bool reg_rm(Cpu& cpu, const Record& r) {
  T source;
  if (!Rm::template load<T>(cpu, r, source)) [[unlikely]]
    return false;
  cpu.set_reg<T>(r.reg, Operation::template apply<T>(cpu.state.flags, cpu.reg<T>(r.reg), source));
  return true;
}

template <class Operation, class T>
bool acc_imm(Cpu& cpu, const Record& r) {
  cpu.set_reg<T>(RAX, Operation::template apply<T>(cpu.state.flags, cpu.reg<T>(RAX), static_cast<T>(r.imm)));
  return true;
}

template <class Operation>
Handler bind_rm_reg(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, rm_reg<Operation, T, Rm>, rm_reg<Operation, T, SegmentedMemory>>();
  });
}
template <class Operation>
Handler bind_reg_rm(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, reg_rm<Operation, T, Rm>, reg_rm<Operation, T, SegmentedMemory>>();
  });
}
template <class Operation>
Handler bind_rm_imm(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, rm_imm<Operation, T, Rm>, rm_imm<Operation, T, SegmentedMemory>>();
  });
}
template <class Operation>
Handler bind_acc_imm(const Decoded& d) {
  return by_size(d, []<class T>() -> Handler { return run_plain<acc_imm<Operation, T>>; });
}
template <class Operation, template <class> class Pair>
Handler bind_compare(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, compare<Operation, T, Pair<Rm>>, compare<Operation, T, typename Pair<Rm>::General>>();
  });
}
template <class Operation>
Handler bind_compare_acc_imm(const Decoded& d) {
  return by_size(d, []<class T>() -> Handler { return run_plain<compare<Operation, T, AccImm>>; });
}

// --- unary ---

struct Inc {
  template <class T>
  static T apply(LazyFlags& flags, T a) {
    const T r = static_cast<T>(a + 1);
    flags.set_inc<T>(r);
    return r;
  }
};
struct Dec {
  template <class T>
  static T apply(LazyFlags& flags, T a) {
    const T r = static_cast<T>(a - 1);
    flags.set_dec<T>(r);
    return r;
  }
};
struct Neg {
  template <class T>
  static T apply(LazyFlags& flags, T a) {
    return Sub::apply<T>(flags, T{0}, a);
  }
};
struct Not {
  template <class T>
  static T apply(LazyFlags&, T a) {
    return static_cast<T>(~a);
  }
};

template <class Operation, class T, class Rm>
bool unary_rm(Cpu& cpu, const Record& r) {
  LazyFlags& flags = cpu.state.flags;
  if (!Rm::template modify<T>(cpu, r, [&](T old) { return Operation::template apply<T>(flags, old); })) [[unlikely]]
    return false;
  return true;
}

template <class Operation, class T>
bool unary_opcode_reg(Cpu& cpu, const Record& r) {
  cpu.set_reg<T>(r.reg, Operation::template apply<T>(cpu.state.flags, cpu.reg<T>(r.reg)));
  return true;
}

template <class Operation>
Handler bind_unary(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, unary_rm<Operation, T, Rm>, unary_rm<Operation, T, SegmentedMemory>>();
  });
}
template <class Operation>
Handler bind_unary_opcode_reg(const Decoded& d) {
  return by_size(d, []<class T>() -> Handler { return run_plain<unary_opcode_reg<Operation, T>>; });
}

// --- XADD, CMPXCHG ---

template <class T, class Rm>
bool xadd(Cpu& cpu, const Record& r) {
  T old_value{};
  const T source = cpu.reg<T>(r.reg);
  LazyFlags& flags = cpu.state.flags;
  const bool done = Rm::template modify<T>(cpu, r, [&](T old) {
    old_value = old;
    return Add::apply<T>(flags, old, source);
  });
  if (!done) [[unlikely]]
    return false;
  // XADD reg, same reg ends with the sum: the destination is written last.
  if (r.has_memory() || r.reg != r.rm) cpu.set_reg<T>(r.reg, old_value);
  return true;
}

template <class T, class Rm>
bool cmpxchg(Cpu& cpu, const Record& r) {
  const T expected = cpu.reg<T>(RAX);
  const T replacement = cpu.reg<T>(r.reg);
  LazyFlags& flags = cpu.state.flags;
  T found{};
  const bool done = Rm::template modify<T>(cpu, r, [&](T old) {
    found = old;
    Sub::apply<T>(flags, expected, old);
    return old == expected ? replacement : old;
  });
  if (!done) [[unlikely]]
    return false;
  if (found != expected) cpu.set_reg<T>(RAX, found);
  return true;
}

/// Memory gets a write cycle in any case; a register that is not equal is not touched, its upper half included.
template <class T>
bool cmpxchg_register(Cpu& cpu, const Record& r) {
  const T expected = cpu.reg<T>(RAX);
  const T found = cpu.reg<T>(r.rm);
  Sub::apply<T>(cpu.state.flags, expected, found);
  if (found == expected)
    cpu.set_reg<T>(r.rm, cpu.reg<T>(r.reg));
  else
    cpu.set_reg<T>(RAX, found);
  return true;
}

Handler bind_xadd(const Decoded& d) {
  return by_size_and_rm(
      d, []<class T, class Rm>() -> Handler { return with_fallback<Rm, xadd<T, Rm>, xadd<T, SegmentedMemory>>(); });
}
Handler bind_cmpxchg(const Decoded& d) {
  if (!d.memory) return by_size(d, []<class T>() -> Handler { return run_plain<cmpxchg_register<T>>; });
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, cmpxchg<T, Rm>, cmpxchg<T, SegmentedMemory>>();
  });
}

/// CMPXCHG8B and CMPXCHG16B; the latter must be aligned.
bool cmpxchg_pair(Cpu& cpu, const Record& r) {
  const Seg segment = cpu.segment_of(r);
  const u64 offset = cpu.effective_address(r);
  const auto exchange = [&]<class Half>() {
    struct Pair {
      Half low, high;
    };
    Pair found;
    if (!cpu.probe_write(segment, offset, sizeof(Pair)) || !cpu.load(segment, offset, found)) return false;
    const bool equal = found.low == cpu.reg<Half>(RAX * 8) && found.high == cpu.reg<Half>(RDX * 8);
    const Pair wanted = equal ? Pair{cpu.reg<Half>(RBX * 8), cpu.reg<Half>(RCX * 8)} : found;
    if (!cpu.store(segment, offset, wanted)) return false;
    cpu.state.flags.change_status(rflags::ZF, equal ? rflags::ZF : 0);
    if (!equal) {
      cpu.set_reg<Half>(RAX * 8, found.low);
      cpu.set_reg<Half>(RDX * 8, found.high);
    }
    return true;
  };
  if (r.operand_bytes() != 8) return exchange.operator()<u32>();
  u64 linear = 0;
  if (!cpu.to_linear(segment, offset, 16, AccessKind::Write, linear)) return false;
  if ((linear & 15) != 0) return cpu.raise(Vector::GP, 0);
  return exchange.operator()<u64>();
}

/// ADCX and ADOX: an addition that uses and changes one flag only.
template <u64 flag, class T>
struct AddWithFlag {
  static bool run(Cpu& cpu, const Record& r) {
    T source;
    if (r.has_memory() ? !cpu.load(r, source) : !RegisterRm::load(cpu, r, source)) return false;
    const u64 carry = (cpu.state.flags.status() & flag) != 0 ? 1 : 0;
    const u128 sum = u128{cpu.reg<T>(r.reg)} + source + carry;
    cpu.set_reg<T>(r.reg, static_cast<T>(sum));
    cpu.state.flags.change_status(flag, (sum >> (sizeof(T) * 8)) != 0 ? flag : 0);
    return true;
  }
};
template <class T>
using Adcx = AddWithFlag<rflags::CF, T>;
template <class T>
using Adox = AddWithFlag<rflags::OF, T>;

constexpr u32 lock = attr::lockable;

// clang-format off
const Row rows[] = {
    {"00 /r", "add", {Op::Eb, Op::Gb}, bind_rm_reg<Add>, Feature::Base, lock},
    {"01 /r", "add", {Op::Ev, Op::Gv}, bind_rm_reg<Add>, Feature::Base, lock},
    {"02 /r", "add", {Op::Gb, Op::Eb}, bind_reg_rm<Add>},
    {"03 /r", "add", {Op::Gv, Op::Ev}, bind_reg_rm<Add>},
    {"04", "add", {Op::Al, Op::Ib}, bind_acc_imm<Add>},
    {"05", "add", {Op::Av, Op::Iz}, bind_acc_imm<Add>},
    {"08 /r", "or", {Op::Eb, Op::Gb}, bind_rm_reg<Or>, Feature::Base, lock},
    {"09 /r", "or", {Op::Ev, Op::Gv}, bind_rm_reg<Or>, Feature::Base, lock},
    {"0A /r", "or", {Op::Gb, Op::Eb}, bind_reg_rm<Or>},
    {"0B /r", "or", {Op::Gv, Op::Ev}, bind_reg_rm<Or>},
    {"0C", "or", {Op::Al, Op::Ib}, bind_acc_imm<Or>},
    {"0D", "or", {Op::Av, Op::Iz}, bind_acc_imm<Or>},
    {"10 /r", "adc", {Op::Eb, Op::Gb}, bind_rm_reg<Adc>, Feature::Base, lock},
    {"11 /r", "adc", {Op::Ev, Op::Gv}, bind_rm_reg<Adc>, Feature::Base, lock},
    {"12 /r", "adc", {Op::Gb, Op::Eb}, bind_reg_rm<Adc>},
    {"13 /r", "adc", {Op::Gv, Op::Ev}, bind_reg_rm<Adc>},
    {"14", "adc", {Op::Al, Op::Ib}, bind_acc_imm<Adc>},
    {"15", "adc", {Op::Av, Op::Iz}, bind_acc_imm<Adc>},
    {"18 /r", "sbb", {Op::Eb, Op::Gb}, bind_rm_reg<Sbb>, Feature::Base, lock},
    {"19 /r", "sbb", {Op::Ev, Op::Gv}, bind_rm_reg<Sbb>, Feature::Base, lock},
    {"1A /r", "sbb", {Op::Gb, Op::Eb}, bind_reg_rm<Sbb>},
    {"1B /r", "sbb", {Op::Gv, Op::Ev}, bind_reg_rm<Sbb>},
    {"1C", "sbb", {Op::Al, Op::Ib}, bind_acc_imm<Sbb>},
    {"1D", "sbb", {Op::Av, Op::Iz}, bind_acc_imm<Sbb>},
    {"20 /r", "and", {Op::Eb, Op::Gb}, bind_rm_reg<And>, Feature::Base, lock},
    {"21 /r", "and", {Op::Ev, Op::Gv}, bind_rm_reg<And>, Feature::Base, lock},
    {"22 /r", "and", {Op::Gb, Op::Eb}, bind_reg_rm<And>},
    {"23 /r", "and", {Op::Gv, Op::Ev}, bind_reg_rm<And>},
    {"24", "and", {Op::Al, Op::Ib}, bind_acc_imm<And>},
    {"25", "and", {Op::Av, Op::Iz}, bind_acc_imm<And>},
    {"28 /r", "sub", {Op::Eb, Op::Gb}, bind_rm_reg<Sub>, Feature::Base, lock},
    {"29 /r", "sub", {Op::Ev, Op::Gv}, bind_rm_reg<Sub>, Feature::Base, lock},
    {"2A /r", "sub", {Op::Gb, Op::Eb}, bind_reg_rm<Sub>},
    {"2B /r", "sub", {Op::Gv, Op::Ev}, bind_reg_rm<Sub>},
    {"2C", "sub", {Op::Al, Op::Ib}, bind_acc_imm<Sub>},
    {"2D", "sub", {Op::Av, Op::Iz}, bind_acc_imm<Sub>},
    {"30 /r", "xor", {Op::Eb, Op::Gb}, bind_rm_reg<Xor>, Feature::Base, lock},
    {"31 /r", "xor", {Op::Ev, Op::Gv}, bind_rm_reg<Xor>, Feature::Base, lock},
    {"32 /r", "xor", {Op::Gb, Op::Eb}, bind_reg_rm<Xor>},
    {"33 /r", "xor", {Op::Gv, Op::Ev}, bind_reg_rm<Xor>},
    {"34", "xor", {Op::Al, Op::Ib}, bind_acc_imm<Xor>},
    {"35", "xor", {Op::Av, Op::Iz}, bind_acc_imm<Xor>},
    {"38 /r", "cmp", {Op::Eb, Op::Gb}, bind_compare<Sub, RmReg>},
    {"39 /r", "cmp", {Op::Ev, Op::Gv}, bind_compare<Sub, RmReg>},
    {"3A /r", "cmp", {Op::Gb, Op::Eb}, bind_compare<Sub, RegRm>},
    {"3B /r", "cmp", {Op::Gv, Op::Ev}, bind_compare<Sub, RegRm>},
    {"3C", "cmp", {Op::Al, Op::Ib}, bind_compare_acc_imm<Sub>},
    {"3D", "cmp", {Op::Av, Op::Iz}, bind_compare_acc_imm<Sub>},

    {"80 /0", "add", {Op::Eb, Op::Ib}, bind_rm_imm<Add>, Feature::Base, lock},
    {"80 /1", "or", {Op::Eb, Op::Ib}, bind_rm_imm<Or>, Feature::Base, lock},
    {"80 /2", "adc", {Op::Eb, Op::Ib}, bind_rm_imm<Adc>, Feature::Base, lock},
    {"80 /3", "sbb", {Op::Eb, Op::Ib}, bind_rm_imm<Sbb>, Feature::Base, lock},
    {"80 /4", "and", {Op::Eb, Op::Ib}, bind_rm_imm<And>, Feature::Base, lock},
    {"80 /5", "sub", {Op::Eb, Op::Ib}, bind_rm_imm<Sub>, Feature::Base, lock},
    {"80 /6", "xor", {Op::Eb, Op::Ib}, bind_rm_imm<Xor>, Feature::Base, lock},
    {"80 /7", "cmp", {Op::Eb, Op::Ib}, bind_compare<Sub, RmImm>},
    {"81 /0", "add", {Op::Ev, Op::Iz}, bind_rm_imm<Add>, Feature::Base, lock},
    {"81 /1", "or", {Op::Ev, Op::Iz}, bind_rm_imm<Or>, Feature::Base, lock},
    {"81 /2", "adc", {Op::Ev, Op::Iz}, bind_rm_imm<Adc>, Feature::Base, lock},
    {"81 /3", "sbb", {Op::Ev, Op::Iz}, bind_rm_imm<Sbb>, Feature::Base, lock},
    {"81 /4", "and", {Op::Ev, Op::Iz}, bind_rm_imm<And>, Feature::Base, lock},
    {"81 /5", "sub", {Op::Ev, Op::Iz}, bind_rm_imm<Sub>, Feature::Base, lock},
    {"81 /6", "xor", {Op::Ev, Op::Iz}, bind_rm_imm<Xor>, Feature::Base, lock},
    {"81 /7", "cmp", {Op::Ev, Op::Iz}, bind_compare<Sub, RmImm>},
    {"82 /0", "add", {Op::Eb, Op::Ib}, bind_rm_imm<Add>, Feature::Base, lock | attr::invalid64},
    {"82 /1", "or", {Op::Eb, Op::Ib}, bind_rm_imm<Or>, Feature::Base, lock | attr::invalid64},
    {"82 /2", "adc", {Op::Eb, Op::Ib}, bind_rm_imm<Adc>, Feature::Base, lock | attr::invalid64},
    {"82 /3", "sbb", {Op::Eb, Op::Ib}, bind_rm_imm<Sbb>, Feature::Base, lock | attr::invalid64},
    {"82 /4", "and", {Op::Eb, Op::Ib}, bind_rm_imm<And>, Feature::Base, lock | attr::invalid64},
    {"82 /5", "sub", {Op::Eb, Op::Ib}, bind_rm_imm<Sub>, Feature::Base, lock | attr::invalid64},
    {"82 /6", "xor", {Op::Eb, Op::Ib}, bind_rm_imm<Xor>, Feature::Base, lock | attr::invalid64},
    {"82 /7", "cmp", {Op::Eb, Op::Ib}, bind_compare<Sub, RmImm>, Feature::Base, attr::invalid64},
    {"83 /0", "add", {Op::Ev, Op::Ibs}, bind_rm_imm<Add>, Feature::Base, lock},
    {"83 /1", "or", {Op::Ev, Op::Ibs}, bind_rm_imm<Or>, Feature::Base, lock},
    {"83 /2", "adc", {Op::Ev, Op::Ibs}, bind_rm_imm<Adc>, Feature::Base, lock},
    {"83 /3", "sbb", {Op::Ev, Op::Ibs}, bind_rm_imm<Sbb>, Feature::Base, lock},
    {"83 /4", "and", {Op::Ev, Op::Ibs}, bind_rm_imm<And>, Feature::Base, lock},
    {"83 /5", "sub", {Op::Ev, Op::Ibs}, bind_rm_imm<Sub>, Feature::Base, lock},
    {"83 /6", "xor", {Op::Ev, Op::Ibs}, bind_rm_imm<Xor>, Feature::Base, lock},
    {"83 /7", "cmp", {Op::Ev, Op::Ibs}, bind_compare<Sub, RmImm>},

    {"84 /r", "test", {Op::Eb, Op::Gb}, bind_compare<And, RmReg>},
    {"85 /r", "test", {Op::Ev, Op::Gv}, bind_compare<And, RmReg>},
    {"A8", "test", {Op::Al, Op::Ib}, bind_compare_acc_imm<And>},
    {"A9", "test", {Op::Av, Op::Iz}, bind_compare_acc_imm<And>},
    {"F6 /0", "test", {Op::Eb, Op::Ib}, bind_compare<And, RmImm>},
    {"F6 /1", "test", {Op::Eb, Op::Ib}, bind_compare<And, RmImm>},
    {"F7 /0", "test", {Op::Ev, Op::Iz}, bind_compare<And, RmImm>},
    {"F7 /1", "test", {Op::Ev, Op::Iz}, bind_compare<And, RmImm>},

    {"F6 /2", "not", {Op::Eb}, bind_unary<Not>, Feature::Base, lock},
    {"F7 /2", "not", {Op::Ev}, bind_unary<Not>, Feature::Base, lock},
    {"F6 /3", "neg", {Op::Eb}, bind_unary<Neg>, Feature::Base, lock},
    {"F7 /3", "neg", {Op::Ev}, bind_unary<Neg>, Feature::Base, lock},
    {"FE /0", "inc", {Op::Eb}, bind_unary<Inc>, Feature::Base, lock},
    {"FF /0", "inc", {Op::Ev}, bind_unary<Inc>, Feature::Base, lock},
    {"FE /1", "dec", {Op::Eb}, bind_unary<Dec>, Feature::Base, lock},
    {"FF /1", "dec", {Op::Ev}, bind_unary<Dec>, Feature::Base, lock},
    {"40+r", "inc", {Op::Zv}, bind_unary_opcode_reg<Inc>, Feature::Base, attr::invalid64},
    {"48+r", "dec", {Op::Zv}, bind_unary_opcode_reg<Dec>, Feature::Base, attr::invalid64},

    {"0F C0 /r", "xadd", {Op::Eb, Op::Gb}, bind_xadd, Feature::Base, lock},
    {"0F C1 /r", "xadd", {Op::Ev, Op::Gv}, bind_xadd, Feature::Base, lock},
    {"0F B0 /r", "cmpxchg", {Op::Eb, Op::Gb}, bind_cmpxchg, Feature::Base, lock},
    {"0F B1 /r", "cmpxchg", {Op::Ev, Op::Gv}, bind_cmpxchg, Feature::Base, lock},
    {"0F C7 /1 mem", "cmpxchg8b", {Op::M}, plain<cmpxchg_pair>, Feature::Cx8, lock},
    {"REX.W 0F C7 /1 mem", "cmpxchg16b", {Op::Mdq}, plain<cmpxchg_pair>, Feature::Cx16, lock},
    {"66 0F 38 F6 /r", "adcx", {Op::Gy, Op::Ey}, sized<Adcx>, Feature::Adx},
    {"F3 0F 38 F6 /r", "adox", {Op::Gy, Op::Ey}, sized<Adox>, Feature::Adx},
};
// clang-format on

}  // namespace

std::span<const Row> arithmetic_rows() { return rows; }

}  // namespace bunshin
