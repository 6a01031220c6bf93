#pragma once

// The opcode map of D8-DF once more, transcribed from SDM vol. 2, A.5, bound to the functions over X87State.

#include <cstring>
#include <optional>

#include "core/x87/transfer.h"
#include "tests/core/x87_host.h"

namespace bunshin::x87_test {

using namespace bunshin::x87;

template <class T>
T from_bytes(const Memory& m) {
  T v{};
  std::memcpy(&v, m.data(), sizeof(T));
  return v;
}

template <class P>
void finish_store(X87State& s, const P& p, Memory& m, std::size_t size, bool then_pop) {
  if (p.write) std::memcpy(m.data(), &p.value, size);
  commit_store(s, p.status, p.write, then_pop);
}

inline bool arithmetic_group(unsigned reg) { return reg < 2 || reg > 3; }

template <class T>
void memory_group(X87State& s, unsigned reg, T value) {
  if (arithmetic_group(reg))
    arithmetic(s, static_cast<Arithmetic>(reg), value);
  else
    compare(s, value, reg - 2);
}

/// False if the map has no such data instruction (control instructions have their own tests).
inline bool model_memory(X87State& s, u8 opcode, unsigned reg, Memory& m) {
  switch (opcode) {
    case 0xd8: memory_group(s, reg, from_bytes<Float32>(m)); return true;
    case 0xda: memory_group(s, reg, from_bytes<i32>(m)); return true;
    case 0xdc: memory_group(s, reg, from_bytes<Float64>(m)); return true;
    case 0xde: memory_group(s, reg, from_bytes<i16>(m)); return true;
    default: break;
  }
  switch (opcode << 4 | reg) {
    case 0xd90: load(s, from_bytes<Float32>(m)); return true;
    case 0xd92:
    case 0xd93: finish_store(s, prepare_float32(s), m, 4, reg == 3); return true;
    case 0xdb0: load(s, from_integer(from_bytes<i32>(m))); return true;
    case 0xdb1: finish_store(s, prepare_int32(s, true), m, 4, true); return true;
    case 0xdb2:
    case 0xdb3: finish_store(s, prepare_int32(s, false), m, 4, reg == 3); return true;
    case 0xdb5: load(s, X87Register{from_bytes<u64>(m), static_cast<u16>(m[8] | m[9] << 8)}); return true;
    case 0xdb7: finish_store(s, prepare_float80(s), m, 10, true); return true;
    case 0xdd0: load(s, from_bytes<Float64>(m)); return true;
    case 0xdd1: finish_store(s, prepare_int64(s, true), m, 8, true); return true;
    case 0xdd2:
    case 0xdd3: finish_store(s, prepare_float64(s), m, 8, reg == 3); return true;
    case 0xdf0: load(s, from_integer(from_bytes<i16>(m))); return true;
    case 0xdf1: finish_store(s, prepare_int16(s, true), m, 2, true); return true;
    case 0xdf2:
    case 0xdf3: finish_store(s, prepare_int16(s, false), m, 2, reg == 3); return true;
    case 0xdf4: load(s, from_bytes<host::Bcd>(m)); return true;
    case 0xdf5: load(s, from_integer(from_bytes<i64>(m))); return true;
    case 0xdf6: finish_store(s, prepare_bcd(s), m, 10, true); return true;
    case 0xdf7: finish_store(s, prepare_int64(s, false), m, 8, true); return true;
    default: return false;
  }
}

inline bool model_d9_single(X87State& s, u8 modrm) {
  if (modrm >= 0xe8 && modrm <= 0xee) {
    load_constant(s, static_cast<host::Constant>(modrm - 0xe8));
    return true;
  }
  switch (modrm) {
    case 0xd0: return true;
    case 0xe0: change_sign(s); return true;
    case 0xe1: absolute(s); return true;
    case 0xe4: test(s); return true;
    case 0xe5: examine(s); return true;
    case 0xf0: unary(s, Function::F2xm1); return true;
    case 0xf1: binary_pop(s, Function::Yl2x); return true;
    case 0xf2: unary_push(s, Function::Ptan); return true;
    case 0xf3: binary_pop(s, Function::Patan); return true;
    case 0xf4: unary_push(s, Function::Xtract); return true;
    case 0xf5: binary(s, Function::Prem1); return true;
    case 0xf6: rotate(s, -1); return true;
    case 0xf7: rotate(s, 1); return true;
    case 0xf8: binary(s, Function::Prem); return true;
    case 0xf9: binary_pop(s, Function::Yl2xp1); return true;
    case 0xfa: unary(s, Function::Sqrt); return true;
    case 0xfb: unary_push(s, Function::Sincos); return true;
    case 0xfc: unary(s, Function::Rndint); return true;
    case 0xfd: binary(s, Function::Scale); return true;
    case 0xfe: unary(s, Function::Sin); return true;
    case 0xff: unary(s, Function::Cos); return true;
    default: return false;
  }
}

inline bool condition(unsigned reg, u64 flags) {
  const bool cf = (flags & 1) != 0, pf = (flags & 4) != 0, zf = (flags & 0x40) != 0;
  return reg == 0 ? cf : reg == 1 ? zf : reg == 2 ? cf || zf : pf;
}

inline bool model_registers(X87State& s, u8 opcode, u8 modrm, u64& flags) {
  const unsigned reg = (modrm >> 3) & 7, i = modrm & 7;
  const auto to_flags = [&](bool quiet, bool then_pop) {
    u64 result = 0;
    if (compare_to_flags(s, quiet, i, then_pop, result)) flags = result;
    return true;
  };
  switch (opcode) {
    case 0xd8:
      if (arithmetic_group(reg))
        arithmetic(s, static_cast<Arithmetic>(reg), 0, i, false);
      else
        compare(s, false, i, reg - 2);
      return true;
    case 0xd9:
      if (reg == 0)
        load(s, i);
      else if (reg == 1)
        exchange(s, i);
      else if (reg == 3)
        store_without_fault(s, i);
      else
        return model_d9_single(s, modrm);
      return true;
    case 0xda:
      if (reg < 4)
        move_if(s, i, condition(reg, flags));
      else if (modrm == 0xe9)
        compare(s, true, 1, 2);
      else
        return false;
      return true;
    case 0xdb:
      if (reg < 4)
        move_if(s, i, !condition(reg, flags));
      else
        return (reg == 5 || reg == 6) && to_flags(reg == 5, false);
      return true;
    case 0xdc:
    case 0xde:
      if (arithmetic_group(reg)) {
        arithmetic(s, static_cast<Arithmetic>(reg < 4 ? reg : reg ^ 1u), i, 0, opcode == 0xde);
      } else if (opcode == 0xdc) {
        compare(s, false, i, reg - 2);
      } else if (reg == 2) {
        compare(s, false, i, 1);
      } else if (modrm == 0xd9) {
        compare(s, false, 1, 2);
      } else {
        return false;
      }
      return true;
    case 0xdd:
      if (reg == 0)
        free_register(s, i, false);
      else if (reg == 1)
        exchange(s, i);
      else if (reg == 2 || reg == 3)
        store(s, i, reg == 3);
      else if (reg == 4 || reg == 5)
        compare(s, true, i, reg - 4);
      else
        return false;
      return true;
    default:
      if (reg == 0)
        free_register(s, i, true);
      else if (reg == 1)
        exchange(s, i);
      else if (reg == 2 || reg == 3)
        store(s, i, true);
      else
        return (reg == 5 || reg == 6) && to_flags(reg == 5, true);
      return true;
  }
}

/// Executes the instruction on the model; false if it is none.
inline bool model(X87State& s, u8 opcode, u8 modrm, Memory& m, u64& flags) {
  return modrm < 0xc0 ? model_memory(s, opcode, (modrm >> 3) & 7, m) : model_registers(s, opcode, modrm, flags);
}

}  // namespace bunshin::x87_test
