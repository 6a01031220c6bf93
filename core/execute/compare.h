#pragma once

// Comparisons: an operation on a pair of operands that leaves flags and no result (CMP, TEST).

#include "core/execute/operands.h"
#include "core/execute/operations.h"

namespace bunshin {

// The pairs, by encoding. `operands` returns false if the access did not happen; General is the same pair with the
// memory operand reached the general way.

template <class Rm>
struct RmReg {
  using General = RmReg<SegmentedMemory>;
  static constexpr bool may_miss = is_flat_memory<Rm>;
  template <class T>
  static bool operands(Cpu& cpu, const Record& r, T& first, T& second) {
    second = cpu.reg<T>(r.reg);
    return Rm::template load<T>(cpu, r, first);
  }
};

template <class Rm>
struct RegRm {
  using General = RegRm<SegmentedMemory>;
  static constexpr bool may_miss = is_flat_memory<Rm>;
  template <class T>
  static bool operands(Cpu& cpu, const Record& r, T& first, T& second) {
    first = cpu.reg<T>(r.reg);
    return Rm::template load<T>(cpu, r, second);
  }
};

template <class Rm>
struct RmImm {
  using General = RmImm<SegmentedMemory>;
  static constexpr bool may_miss = is_flat_memory<Rm>;
  template <class T>
  static bool operands(Cpu& cpu, const Record& r, T& first, T& second) {
    second = static_cast<T>(r.imm);
    return Rm::template load<T>(cpu, r, first);
  }
};

struct AccImm {
  using General = AccImm;
  static constexpr bool may_miss = false;
  template <class T>
  static bool operands(Cpu& cpu, const Record& r, T& first, T& second) {
    first = cpu.reg<T>(RAX);
    second = static_cast<T>(r.imm);
    return true;
  }
};

template <class Operation, class T, class Pair>
bool compare(Cpu& cpu, const Record& r) {
  T first;
  T second;
  if (!Pair::template operands<T>(cpu, r, first, second)) [[unlikely]]
    return false;
  Operation::template apply<T>(cpu.state.flags, first, second);
  return true;
}

}  // namespace bunshin
