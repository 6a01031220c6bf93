#pragma once

// x87 arithmetic, comparison and transcendental instructions on the register stack: operands and tags from X87State,
// the numbers from the host (host_fpu.h), the responses to stack faults and unmasked exceptions here (SDM vol. 1, 8.4,
// 8.5).

#include "core/x87/host_fpu.h"
#include "core/x87/x87.h"

namespace bunshin::x87 {

using host::Arithmetic;
using host::Float32;
using host::Float64;
using host::Function;

inline host::Control control_of(const X87State& s) { return {s.control, (s.status & s.control & PE) != 0}; }

/// An integer is exact in the 64-bit significand.
X87Register from_integer(i64 v);

/// ST(destination) = ST(destination) op ST(source), then pops if asked.
void arithmetic(X87State& s, Arithmetic op, unsigned destination, unsigned source, bool then_pop);
/// ST(0) = ST(0) op memory.
void arithmetic(X87State& s, Arithmetic op, Float32 source);
void arithmetic(X87State& s, Arithmetic op, Float64 source);
void arithmetic(X87State& s, Arithmetic op, i32 source);

/// FCOM, FUCOM (quiet) with ST(i); pops are 0, 1 or 2.
void compare(X87State& s, bool quiet, unsigned i, unsigned pops);
void compare(X87State& s, Float32 source, unsigned pops);
void compare(X87State& s, Float64 source, unsigned pops);
void compare(X87State& s, i32 source, unsigned pops);
/// FTST.
void test(X87State& s);
/// FXAM.
void examine(X87State& s);
/// FCOMI, FUCOMI: false if an unmasked exception leaves EFLAGS as they are, else `flags` holds ZF, PF, CF.
bool compare_to_flags(X87State& s, bool quiet, unsigned i, bool then_pop, u64& flags);

/// FCHS, FABS.
void change_sign(X87State& s);
void absolute(X87State& s);

/// FSQRT, FRNDINT, F2XM1, FSIN, FCOS.
void unary(X87State& s, Function f);
/// FSCALE, FPREM, FPREM1: ST(0) from ST(0) and ST(1).
void binary(X87State& s, Function f);
/// FPATAN, FYL2X, FYL2XP1: ST(1) from both, pop.
void binary_pop(X87State& s, Function f);
/// FXTRACT, FPTAN, FSINCOS: two results from ST(0).
void unary_push(X87State& s, Function f);

/// Stack faults (SDM vol. 1, 8.5.1.1): set the flags; true if masked, so that the caller writes the indefinite.
/// `cleared`: conditions that the instruction clears besides.
bool stack_underflow(X87State& s, u16 cleared = C1);
bool stack_overflow(X87State& s, u16 cleared = C1);

}  // namespace bunshin::x87
