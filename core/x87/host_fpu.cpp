#include "core/x87/host_fpu.h"

#include "core/x87/x87.h"

// The statements of one operation leave values on the host's register stack between them. That is sound because a
// compiler for x86-64 keeps nothing there unless the function computes with long double, and these do not.

namespace bunshin::x87::host {

namespace {

/// What every process starts with (System V ABI, 3.4.1), and what it gets back.
constexpr u16 default_control = 0x37f;

[[gnu::always_inline]] inline u16 read_status() {
  u16 v;
  __asm__ volatile("fnstsw %0" : "=a"(v));
  return v;
}

[[gnu::always_inline]] inline void clear_flags() { __asm__ volatile("fnclex"); }

[[gnu::always_inline]] inline void load_control(u16 word) { __asm__ volatile("fldcw %0" : : "m"(word)); }

/// Starts with the guest's control word and without flags from before, which may also stem from other code of this
/// process.
[[gnu::always_inline]] inline u16 enter(Control control) {
  const u16 before = read_status();
  const u16 unwanted = exceptions | SF | ES;
  if ((before & (control.inexact_known ? unwanted & ~PE : unwanted)) != 0) clear_flags();
  if (control.word != default_control) [[unlikely]]
    load_control(control.word);
  return before;
}

/// The operation's status. A pending exception is cleared before any waiting instruction could deliver it.
[[gnu::always_inline]] inline u16 collect() {
  const u16 status = read_status();
  if ((status & ES) != 0) [[unlikely]]
    clear_flags();
  return status;
}

[[gnu::always_inline]] inline void leave(Control control) {
  if (control.word != default_control) [[unlikely]]
    load_control(default_control);
}

[[gnu::always_inline]] inline void push(const X87Register& r) { __asm__ volatile("fldt %0" : : "m"(r)); }

[[gnu::always_inline]] inline X87Register pop_value() {
  X87Register r;
  __asm__ volatile("fstpt %0" : "+m"(r));
  return r;
}

[[gnu::always_inline]] inline void drop() { __asm__ volatile("fstp %%st(0)" : :); }

void operate(Arithmetic op) {
  switch (op) {
    case Arithmetic::Add: __asm__ volatile("fadd %%st(1), %%st" : :); break;
    case Arithmetic::Mul: __asm__ volatile("fmul %%st(1), %%st" : :); break;
    case Arithmetic::Sub: __asm__ volatile("fsub %%st(1), %%st" : :); break;
    case Arithmetic::SubReversed: __asm__ volatile("fsubr %%st(1), %%st" : :); break;
    case Arithmetic::Div: __asm__ volatile("fdiv %%st(1), %%st" : :); break;
    case Arithmetic::DivReversed: __asm__ volatile("fdivr %%st(1), %%st" : :); break;
  }
}

void operate(Arithmetic op, const Float32& source) {
  switch (op) {
    case Arithmetic::Add: __asm__ volatile("fadds %0" : : "m"(source)); break;
    case Arithmetic::Mul: __asm__ volatile("fmuls %0" : : "m"(source)); break;
    case Arithmetic::Sub: __asm__ volatile("fsubs %0" : : "m"(source)); break;
    case Arithmetic::SubReversed: __asm__ volatile("fsubrs %0" : : "m"(source)); break;
    case Arithmetic::Div: __asm__ volatile("fdivs %0" : : "m"(source)); break;
    case Arithmetic::DivReversed: __asm__ volatile("fdivrs %0" : : "m"(source)); break;
  }
}

void operate(Arithmetic op, const Float64& source) {
  switch (op) {
    case Arithmetic::Add: __asm__ volatile("faddl %0" : : "m"(source)); break;
    case Arithmetic::Mul: __asm__ volatile("fmull %0" : : "m"(source)); break;
    case Arithmetic::Sub: __asm__ volatile("fsubl %0" : : "m"(source)); break;
    case Arithmetic::SubReversed: __asm__ volatile("fsubrl %0" : : "m"(source)); break;
    case Arithmetic::Div: __asm__ volatile("fdivl %0" : : "m"(source)); break;
    case Arithmetic::DivReversed: __asm__ volatile("fdivrl %0" : : "m"(source)); break;
  }
}

void operate(Function f) {
  switch (f) {
    case Function::Sqrt: __asm__ volatile("fsqrt"); break;
    case Function::Rndint: __asm__ volatile("frndint"); break;
    case Function::F2xm1: __asm__ volatile("f2xm1"); break;
    case Function::Sin: __asm__ volatile("fsin"); break;
    case Function::Cos: __asm__ volatile("fcos"); break;
    case Function::Scale: __asm__ volatile("fscale"); break;
    case Function::Prem: __asm__ volatile("fprem"); break;
    case Function::Prem1: __asm__ volatile("fprem1"); break;
    case Function::Patan: __asm__ volatile("fpatan"); break;
    case Function::Yl2x: __asm__ volatile("fyl2x"); break;
    case Function::Yl2xp1: __asm__ volatile("fyl2xp1"); break;
    case Function::Xtract: __asm__ volatile("fxtract"); break;
    case Function::Ptan: __asm__ volatile("fptan"); break;
    case Function::Sincos: __asm__ volatile("fsincos"); break;
  }
}

template <class Source>
Result arithmetic_with_memory(Control control, Arithmetic op, const X87Register& destination, const Source& source) {
  Result r;
  enter(control);
  push(destination);
  operate(op, source);
  r.status = collect();
  r.value = pop_value();
  leave(control);
  return r;
}

/// `fetch` pushes one value; an unmasked exception keeps it from doing so, and TOP tells.
template <class Fetch>
Result load_with(Control control, Fetch fetch) {
  Result r;
  const u16 before = enter(control);
  fetch();
  r.status = collect();
  if (((before ^ r.status) & 0x3800) != 0) r.value = pop_value();
  leave(control);
  return r;
}

/// `put` stores ST(0) and pops it, unless an unmasked exception keeps it from doing so.
template <class T, class Put>
Stored<T> store_with(Control control, const X87Register& source, Put put) {
  Stored<T> r;
  const u16 before = enter(control);
  push(source);
  put(r.value);
  r.status = collect();
  if (((before ^ r.status) & 0x3800) != 0) drop();
  leave(control);
  return r;
}

StackResult finish(Control control, u16 before, Function f) {
  StackResult r;
  operate(f);
  r.status = collect();
  r.depth = ((before >> 11) - (r.status >> 11)) & 7u;
  r.st0 = pop_value();
  if (r.depth == 2) r.st1 = pop_value();
  leave(control);
  return r;
}

}  // namespace

Result arithmetic(Control control, Arithmetic op, const X87Register& destination, const X87Register& source) {
  Result r;
  enter(control);
  push(source);
  push(destination);
  operate(op);
  r.status = collect();
  r.value = pop_value();
  drop();
  leave(control);
  return r;
}

Result arithmetic(Control control, Arithmetic op, const X87Register& destination, Float32 source) {
  return arithmetic_with_memory(control, op, destination, source);
}

Result arithmetic(Control control, Arithmetic op, const X87Register& destination, Float64 source) {
  return arithmetic_with_memory(control, op, destination, source);
}

u16 compare(Control control, bool quiet, const X87Register& a, const X87Register& b) {
  enter(control);
  push(b);
  push(a);
  if (quiet) {
    __asm__ volatile("fucom %%st(1)" : :);
  } else {
    __asm__ volatile("fcom %%st(1)" : :);
  }
  const u16 status = collect();
  drop();
  drop();
  leave(control);
  return status;
}

u16 compare(Control control, const X87Register& a, Float32 b) {
  enter(control);
  push(a);
  __asm__ volatile("fcoms %0" : : "m"(b));
  const u16 status = collect();
  drop();
  leave(control);
  return status;
}

u16 compare(Control control, const X87Register& a, Float64 b) {
  enter(control);
  push(a);
  __asm__ volatile("fcoml %0" : : "m"(b));
  const u16 status = collect();
  drop();
  leave(control);
  return status;
}

Result load(Control control, Float32 source) {
  return load_with(control, [&] { __asm__ volatile("flds %0" : : "m"(source)); });
}

Result load(Control control, Float64 source) {
  return load_with(control, [&] { __asm__ volatile("fldl %0" : : "m"(source)); });
}

Result load(Control control, const Bcd& source) {
  return load_with(control, [&] { __asm__ volatile("fbld %0" : : "m"(source)); });
}

X87Register constant(Control control, Constant c) {
  enter(control);
  switch (c) {
    case Constant::One: __asm__ volatile("fld1"); break;
    case Constant::Log2Ten: __asm__ volatile("fldl2t"); break;
    case Constant::Log2E: __asm__ volatile("fldl2e"); break;
    case Constant::Pi: __asm__ volatile("fldpi"); break;
    case Constant::Log10Two: __asm__ volatile("fldlg2"); break;
    case Constant::LnTwo: __asm__ volatile("fldln2"); break;
    case Constant::Zero: __asm__ volatile("fldz"); break;
  }
  const X87Register r = pop_value();
  leave(control);
  return r;
}

Stored<u32> store_float32(Control control, const X87Register& source) {
  return store_with<u32>(control, source, [](u32& v) { __asm__ volatile("fstps %0" : "+m"(v)); });
}

Stored<u64> store_float64(Control control, const X87Register& source) {
  return store_with<u64>(control, source, [](u64& v) { __asm__ volatile("fstpl %0" : "+m"(v)); });
}

Stored<u16> store_int16(Control control, const X87Register& source, bool truncate) {
  return store_with<u16>(control, source, [truncate](u16& v) {
    if (truncate) {
      __asm__ volatile("fisttps %0" : "+m"(v));
    } else {
      __asm__ volatile("fistps %0" : "+m"(v));
    }
  });
}

Stored<u32> store_int32(Control control, const X87Register& source, bool truncate) {
  return store_with<u32>(control, source, [truncate](u32& v) {
    if (truncate) {
      __asm__ volatile("fisttpl %0" : "+m"(v));
    } else {
      __asm__ volatile("fistpl %0" : "+m"(v));
    }
  });
}

Stored<u64> store_int64(Control control, const X87Register& source, bool truncate) {
  return store_with<u64>(control, source, [truncate](u64& v) {
    if (truncate) {
      __asm__ volatile("fisttpll %0" : "+m"(v));
    } else {
      __asm__ volatile("fistpll %0" : "+m"(v));
    }
  });
}

Stored<Bcd> store_bcd(Control control, const X87Register& source) {
  return store_with<Bcd>(control, source, [](Bcd& v) { __asm__ volatile("fbstp %0" : "+m"(v)); });
}

StackResult apply(Control control, Function f, const X87Register& st0) {
  const u16 before = enter(control);
  push(st0);
  return finish(control, before, f);
}

StackResult apply(Control control, Function f, const X87Register& st0, const X87Register& st1) {
  const u16 before = enter(control);
  push(st1);
  push(st0);
  return finish(control, before, f);
}

}  // namespace bunshin::x87::host
