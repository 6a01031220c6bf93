#include "core/execute/fusion.h"

#include "core/execute/compare.h"
#include "core/execute/condition.h"

namespace bunshin {

namespace {

/// Condition `code` right after first − second.
template <unsigned code, class T>
bool holds_after(const LazyFlags& flags, Sub, T first, T second) {
  using S = std::make_signed_t<T>;
  constexpr bool negated = (code & 1) != 0;
  const auto difference = static_cast<T>(first - second);
  switch (code / 2) {
    case 1: return (first < second) != negated;
    case 2: return (first == second) != negated;
    case 3: return (first <= second) != negated;
    case 4: return (static_cast<S>(difference) < 0) != negated;
    case 6: return (static_cast<S>(first) < static_cast<S>(second)) != negated;
    case 7: return (static_cast<S>(first) <= static_cast<S>(second)) != negated;
    default: return condition<code>(flags);
  }
}

/// Condition `code` right after first & second: CF and OF are clear.
template <unsigned code, class T>
bool holds_after(const LazyFlags& flags, And, T first, T second) {
  using S = std::make_signed_t<T>;
  constexpr bool negated = (code & 1) != 0;
  const auto r = static_cast<S>(first & second);
  switch (code / 2) {
    case 0:
    case 1: return negated;
    case 2:
    case 3: return (r == 0) != negated;
    case 4:
    case 6: return (r < 0) != negated;
    case 7: return (r <= 0) != negated;
    default: return condition<code>(flags);
  }
}

template <class Operation, unsigned code, class T, class Pair>
const Record* compare_and_jump(Cpu& cpu, const Record* r) {
  T first;
  T second;
  if (!Pair::template operands<T>(cpu, *r, first, second)) [[unlikely]]
    return run_complete<compare<Operation, T, typename Pair::General>>(cpu, r);
  LazyFlags& flags = cpu.state.flags;
  Operation::template apply<T>(flags, first, second);
  const Record& jump = r[1];
  const u64 successor = next_rip(cpu, jump);
  if (holds_after<code>(flags, Operation(), first, second)) return follow_link(cpu, r + 2, successor + jump.imm);
  return follow_link(cpu, r + 3, successor);
}

template <class Operation, class T, class Pair>
Handler by_condition(unsigned code) {
  switch (code) {
    case 0x2: return compare_and_jump<Operation, 0x2, T, Pair>;
    case 0x3: return compare_and_jump<Operation, 0x3, T, Pair>;
    case 0x4: return compare_and_jump<Operation, 0x4, T, Pair>;
    case 0x5: return compare_and_jump<Operation, 0x5, T, Pair>;
    case 0x6: return compare_and_jump<Operation, 0x6, T, Pair>;
    case 0x7: return compare_and_jump<Operation, 0x7, T, Pair>;
    case 0x8: return compare_and_jump<Operation, 0x8, T, Pair>;
    case 0x9: return compare_and_jump<Operation, 0x9, T, Pair>;
    case 0xc: return compare_and_jump<Operation, 0xc, T, Pair>;
    case 0xd: return compare_and_jump<Operation, 0xd, T, Pair>;
    case 0xe: return compare_and_jump<Operation, 0xe, T, Pair>;
    case 0xf: return compare_and_jump<Operation, 0xf, T, Pair>;
    default: return nullptr;  // overflow and parity are rarely asked for
  }
}

template <class Operation, class T, class Memory>
Handler by_memory(unsigned code, bool immediate, bool reversed) {
  if (immediate) return by_condition<Operation, T, RmImm<Memory>>(code);
  return reversed ? by_condition<Operation, T, RegRm<Memory>>(code) : by_condition<Operation, T, RmReg<Memory>>(code);
}

template <class Operation, class T>
Handler by_pair(const Decoded& d, unsigned code) {
  const Op second = d.row->operands[1];
  if (d.row->operands[0] == Op::Al || d.row->operands[0] == Op::Av) return by_condition<Operation, T, AccImm>(code);
  const bool immediate = second == Op::Ib || second == Op::Ibs || second == Op::Iz;
  const bool reversed = d.row->operands[0] == Op::Gb || d.row->operands[0] == Op::Gv;
  if (!d.memory) {
    if (immediate) return by_condition<Operation, T, RmImm<RegisterRm>>(code);
    return reversed ? by_condition<Operation, T, RegRm<RegisterRm>>(code)
                    : by_condition<Operation, T, RmReg<RegisterRm>>(code);
  }
  return d.observed ? by_memory<Operation, T, FlatMemory<u64, ByLine>>(code, immediate, reversed)
                    : by_memory<Operation, T, FlatMemory<u64>>(code, immediate, reversed);
}

template <class Operation>
Handler by_type(const Decoded& d, unsigned code) {
  switch (d.operand_bytes) {
    case 1: return by_pair<Operation, u8>(d, code);
    case 4: return by_pair<Operation, u32>(d, code);
    case 8: return by_pair<Operation, u64>(d, code);
    default: return nullptr;
  }
}

}  // namespace

Handler fuse(const Decoded& compare, const Decoded& jump) {
  if (compare.row == nullptr || jump.row == nullptr || (jump.row->attributes & attr::conditional_jump) == 0)
    return nullptr;
  if (compare.code_bits != 64 || !jump.linkable) return nullptr;
  if (compare.memory && (!compare.flat || compare.record.address_bytes() != 8)) return nullptr;
  if (compare.row->mnemonic == "cmp") return by_type<Sub>(compare, jump.opcode & 0xf);
  if (compare.row->mnemonic == "test") return by_type<And>(compare, jump.opcode & 0xf);
  return nullptr;
}

}  // namespace bunshin
