#pragma once

// The host's own x87 as the arithmetic unit. Each function loads the operands, executes one instruction under the
// guest's whole control word (precision, rounding *and* masks, so that the unmasked responses, such as the scaled
// results of SDM vol. 1, 8.5.4 and 8.5.5, are the hardware's too), collects the status word and leaves the host's FPU
// empty, without pending exception and with its default control word. Tags, stack faults and pops are the caller's.
//
// Transcendental instructions therefore round their last bit as the host does: x87 vendors differ there.

#include <array>

#include "core/state.h"

namespace bunshin::x87::host {

/// The guest's control word, and whether its PE is set and masked anyway: then an inexact result is no news, and a PE
/// left on the host by the operation before need not be cleared (which costs more than most operations).
struct Control {
  u16 word;
  bool inexact_known;
};

/// `status`: exception flags and conditions of this operation alone.
struct Result {
  X87Register value;
  u16 status = 0;
};

/// Numbered as ModRM.reg of D8.
enum class Arithmetic : u8 { Add = 0, Mul = 1, Sub = 4, SubReversed = 5, Div = 6, DivReversed = 7 };

/// A source in memory, in IEEE format.
struct Float32 {
  u32 bits;
};
struct Float64 {
  u64 bits;
};
/// Packed decimal.
using Bcd = std::array<u8, 10>;

/// destination op source (reversed: source op destination).
Result arithmetic(Control control, Arithmetic op, const X87Register& destination, const X87Register& source);
Result arithmetic(Control control, Arithmetic op, const X87Register& destination, Float32 source);
Result arithmetic(Control control, Arithmetic op, const X87Register& destination, Float64 source);

/// FCOM, or FUCOM if `quiet`: C3, C2, C0 in the returned status.
u16 compare(Control control, bool quiet, const X87Register& a, const X87Register& b);
u16 compare(Control control, const X87Register& a, Float32 b);
u16 compare(Control control, const X87Register& a, Float64 b);

/// FLD m32, m64; FBLD.
Result load(Control control, Float32 source);
Result load(Control control, Float64 source);
Result load(Control control, const Bcd& source);

/// FLD1 … FLDZ, numbered as the low three bits of D9 E8 … D9 EE.
enum class Constant : u8 { One, Log2Ten, Log2E, Pi, Log10Two, LnTwo, Zero };
X87Register constant(Control control, Constant c);

/// FST m32, m64; FIST; FISTTP if `truncate`; FBSTP. The value is meaningless if an unmasked exception prevented the
/// store.
template <class T>
struct Stored {
  T value{};
  u16 status = 0;
};
Stored<u32> store_float32(Control control, const X87Register& source);
Stored<u64> store_float64(Control control, const X87Register& source);
Stored<u16> store_int16(Control control, const X87Register& source, bool truncate);
Stored<u32> store_int32(Control control, const X87Register& source, bool truncate);
Stored<u64> store_int64(Control control, const X87Register& source, bool truncate);
Stored<Bcd> store_bcd(Control control, const X87Register& source);

/// Instructions on the top of the stack.
enum class Function : u8 {
  Sqrt,
  Rndint,
  F2xm1,
  Sin,
  Cos,  ///< of ST(0)
  Scale,
  Prem,
  Prem1,  ///< of ST(0) and ST(1), result in ST(0)
  Patan,
  Yl2x,
  Yl2xp1,  ///< of ST(0) and ST(1), result in ST(1), pop
  Xtract,
  Ptan,
  Sincos,  ///< of ST(0), push
};
struct StackResult {
  X87Register st0, st1;  ///< st1 only if depth is 2
  unsigned depth = 1;    ///< values left of the operands: the pop or push happened or not
  u16 status = 0;
};
StackResult apply(Control control, Function f, const X87Register& st0);
StackResult apply(Control control, Function f, const X87Register& st0, const X87Register& st1);

}  // namespace bunshin::x87::host
