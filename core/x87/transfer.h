#pragma once

// x87 data transfer: loads, stores, moves, exchanges, constants (SDM vol. 1, 8.3.3 and 8.3.4). A store is prepared
// first and committed when memory has taken the value, so that a page fault leaves the FPU as it was.

#include "core/x87/arithmetic.h"

namespace bunshin::x87 {

/// FLD m32, m64; FLD m80 and FILD (X87Register); FBLD.
void load(X87State& s, Float32 source);
void load(X87State& s, Float64 source);
void load(X87State& s, const X87Register& source);
void load(X87State& s, const host::Bcd& source);
/// FLD ST(i).
void load(X87State& s, unsigned i);
/// FLD1 … FLDZ.
void load_constant(X87State& s, host::Constant c);

/// `write`: memory receives the value; false if an unmasked exception prevents it. `status`: for commit_store.
template <class T>
struct PreparedStore {
  T value{};
  u16 status = 0;
  bool write = true;
};
PreparedStore<u32> prepare_float32(const X87State& s);
PreparedStore<u64> prepare_float64(const X87State& s);
PreparedStore<X87Register> prepare_float80(const X87State& s);
PreparedStore<u16> prepare_int16(const X87State& s, bool truncate);
PreparedStore<u32> prepare_int32(const X87State& s, bool truncate);
PreparedStore<u64> prepare_int64(const X87State& s, bool truncate);
PreparedStore<host::Bcd> prepare_bcd(const X87State& s);
/// Sets the flags of a prepared store, and pops if asked and the store happened.
void commit_store(X87State& s, u16 status, bool written, bool then_pop);

/// FST, FSTP ST(i).
void store(X87State& s, unsigned i, bool then_pop);
/// FSTPNCE (D9 D8+i): FSTP that does not report an empty ST(0) and then only pops.
void store_without_fault(X87State& s, unsigned i);
/// FXCH.
void exchange(X87State& s, unsigned i);
/// FCMOVcc; `condition` is the flags' verdict.
void move_if(X87State& s, unsigned i, bool condition);
/// FFREE, FFREEP.
void free_register(X87State& s, unsigned i, bool then_pop);
/// FINCSTP (+1), FDECSTP (-1).
void rotate(X87State& s, int by);

}  // namespace bunshin::x87
