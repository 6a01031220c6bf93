// The x87 instructions (SDM vol. 2, A.5: escape opcodes D8-DF, and 9B). Undocumented encodings that Intel's processors
// execute as aliases have the alias's name.

#include "core/decode/bind.h"
#include "core/decode/row.h"
#include "core/x87/semantics.h"

namespace bunshin {

namespace x87 {

namespace {

template <Arithmetic op>
void to_st0(X87State& s, unsigned i) {
  arithmetic(s, op, 0, i, false);
}

template <Arithmetic op, bool then_pop>
void to_sti(X87State& s, unsigned i) {
  arithmetic(s, op, i, 0, then_pop);
}

template <class T, Arithmetic op>
void arithmetic_memory(X87State& s, const T& value) {
  arithmetic(s, op, value);
}

template <class T, unsigned pops>
void compare_memory(X87State& s, const T& value) {
  compare(s, value, pops);
}

template <bool quiet, unsigned pops>
void compare_st(X87State& s, unsigned i) {
  compare(s, quiet, i, pops);
}

template <bool quiet>
void compare_st1(X87State& s, unsigned) {
  compare(s, quiet, 1, 2);
}

template <class T>
void load_memory(X87State& s, const T& value) {
  load(s, value);
}

template <class T>
void load_integer(X87State& s, const T& value) {
  load(s, from_integer(value));
}

void load_st(X87State& s, unsigned i) { load(s, i); }

template <bool then_pop>
void store_st(X87State& s, unsigned i) {
  store(s, i, then_pop);
}

template <bool then_pop>
void free_st(X87State& s, unsigned i) {
  free_register(s, i, then_pop);
}

template <host::Constant c>
void constant(X87State& s, unsigned) {
  load_constant(s, c);
}

template <void (*body)(X87State&)>
void alone(X87State& s, unsigned) {
  body(s);
}

template <void (*body)(X87State&, Function), Function f>
void function(X87State& s, unsigned) {
  body(s, f);
}

template <int by>
void turn(X87State& s, unsigned) {
  rotate(s, by);
}

void nothing(X87State&, unsigned) {}

template <auto prepare>
auto rounded(const X87State& s) {
  return prepare(s, false);
}

template <auto prepare>
auto truncated(const X87State& s) {
  return prepare(s, true);
}

// clang-format off
constexpr Row rows[] = {
    // clang-format off
    {"9B", "fwait", {}, plain<fwait>, Feature::Fpu, 0},
    // D8
    {"D8 /0 mem", "fadd", {Op::Md},
     plain<from_memory<Float32, arithmetic_memory<Float32, Arithmetic::Add>>>, Feature::Fpu, attr::x87},
    {"D8 /1 mem", "fmul", {Op::Md},
     plain<from_memory<Float32, arithmetic_memory<Float32, Arithmetic::Mul>>>, Feature::Fpu, attr::x87},
    {"D8 /2 mem", "fcom", {Op::Md}, plain<from_memory<Float32, compare_memory<Float32, 0>>>, Feature::Fpu, attr::x87},
    {"D8 /3 mem", "fcomp", {Op::Md}, plain<from_memory<Float32, compare_memory<Float32, 1>>>, Feature::Fpu, attr::x87},
    {"D8 /4 mem", "fsub", {Op::Md},
     plain<from_memory<Float32, arithmetic_memory<Float32, Arithmetic::Sub>>>, Feature::Fpu, attr::x87},
    {"D8 /5 mem", "fsubr", {Op::Md},
     plain<from_memory<Float32, arithmetic_memory<Float32, Arithmetic::SubReversed>>>, Feature::Fpu, attr::x87},
    {"D8 /6 mem", "fdiv", {Op::Md},
     plain<from_memory<Float32, arithmetic_memory<Float32, Arithmetic::Div>>>, Feature::Fpu, attr::x87},
    {"D8 /7 mem", "fdivr", {Op::Md},
     plain<from_memory<Float32, arithmetic_memory<Float32, Arithmetic::DivReversed>>>, Feature::Fpu, attr::x87},
    {"D8 /0 reg", "fadd", {Op::St0, Op::Sti}, plain<on_registers<to_st0<Arithmetic::Add>>>, Feature::Fpu, attr::x87},
    {"D8 /1 reg", "fmul", {Op::St0, Op::Sti}, plain<on_registers<to_st0<Arithmetic::Mul>>>, Feature::Fpu, attr::x87},
    {"D8 /2 reg", "fcom", {Op::Sti}, plain<on_registers<compare_st<false, 0>>>, Feature::Fpu, attr::x87},
    {"D8 /3 reg", "fcomp", {Op::Sti}, plain<on_registers<compare_st<false, 1>>>, Feature::Fpu, attr::x87},
    {"D8 /4 reg", "fsub", {Op::St0, Op::Sti}, plain<on_registers<to_st0<Arithmetic::Sub>>>, Feature::Fpu, attr::x87},
    {"D8 /5 reg", "fsubr", {Op::St0, Op::Sti},
     plain<on_registers<to_st0<Arithmetic::SubReversed>>>, Feature::Fpu, attr::x87},
    {"D8 /6 reg", "fdiv", {Op::St0, Op::Sti}, plain<on_registers<to_st0<Arithmetic::Div>>>, Feature::Fpu, attr::x87},
    {"D8 /7 reg", "fdivr", {Op::St0, Op::Sti},
     plain<on_registers<to_st0<Arithmetic::DivReversed>>>, Feature::Fpu, attr::x87},
    // D9
    {"D9 /0 mem", "fld", {Op::Md}, plain<from_memory<Float32, load_memory<Float32>>>, Feature::Fpu, attr::x87},
    {"D9 /2 mem", "fst", {Op::Md}, plain<to_memory<prepare_float32, false>>, Feature::Fpu, attr::x87},
    {"D9 /3 mem", "fstp", {Op::Md}, plain<to_memory<prepare_float32, true>>, Feature::Fpu, attr::x87},
    {"D9 /4 mem", "fldenv", {Op::M}, plain<fldenv>, Feature::Fpu, attr::x87},
    {"D9 /5 mem", "fldcw", {Op::Mw}, plain<fldcw>, Feature::Fpu, attr::x87},
    {"D9 /6 mem", "fnstenv", {Op::M}, plain<fnstenv>, Feature::Fpu, attr::x87},
    {"D9 /7 mem", "fnstcw", {Op::Mw}, plain<fnstcw>, Feature::Fpu, attr::x87},
    {"D9 /0 reg", "fld", {Op::Sti}, plain<on_registers<load_st>>, Feature::Fpu, attr::x87},
    {"D9 /1 reg", "fxch", {Op::Sti}, plain<on_registers<exchange>>, Feature::Fpu, attr::x87},
    {"D9 D0", "fnop", {}, plain<on_registers<nothing>>, Feature::Fpu, attr::x87},
    {"D9 /3 reg", "fstpnce", {Op::Sti}, plain<on_registers<store_without_fault>>, Feature::Fpu, attr::x87},
    {"D9 E0", "fchs", {}, plain<on_registers<alone<change_sign>>>, Feature::Fpu, attr::x87},
    {"D9 E1", "fabs", {}, plain<on_registers<alone<absolute>>>, Feature::Fpu, attr::x87},
    {"D9 E4", "ftst", {}, plain<on_registers<alone<test>>>, Feature::Fpu, attr::x87},
    {"D9 E5", "fxam", {}, plain<on_registers<alone<examine>>>, Feature::Fpu, attr::x87},
    {"D9 E8", "fld1", {}, plain<on_registers<constant<host::Constant::One>>>, Feature::Fpu, attr::x87},
    {"D9 E9", "fldl2t", {}, plain<on_registers<constant<host::Constant::Log2Ten>>>, Feature::Fpu, attr::x87},
    {"D9 EA", "fldl2e", {}, plain<on_registers<constant<host::Constant::Log2E>>>, Feature::Fpu, attr::x87},
    {"D9 EB", "fldpi", {}, plain<on_registers<constant<host::Constant::Pi>>>, Feature::Fpu, attr::x87},
    {"D9 EC", "fldlg2", {}, plain<on_registers<constant<host::Constant::Log10Two>>>, Feature::Fpu, attr::x87},
    {"D9 ED", "fldln2", {}, plain<on_registers<constant<host::Constant::LnTwo>>>, Feature::Fpu, attr::x87},
    {"D9 EE", "fldz", {}, plain<on_registers<constant<host::Constant::Zero>>>, Feature::Fpu, attr::x87},
    {"D9 F0", "f2xm1", {}, plain<on_registers<function<unary, Function::F2xm1>>>, Feature::Fpu, attr::x87},
    {"D9 F1", "fyl2x", {}, plain<on_registers<function<binary_pop, Function::Yl2x>>>, Feature::Fpu, attr::x87},
    {"D9 F2", "fptan", {}, plain<on_registers<function<unary_push, Function::Ptan>>>, Feature::Fpu, attr::x87},
    {"D9 F3", "fpatan", {}, plain<on_registers<function<binary_pop, Function::Patan>>>, Feature::Fpu, attr::x87},
    {"D9 F4", "fxtract", {}, plain<on_registers<function<unary_push, Function::Xtract>>>, Feature::Fpu, attr::x87},
    {"D9 F5", "fprem1", {}, plain<on_registers<function<binary, Function::Prem1>>>, Feature::Fpu, attr::x87},
    {"D9 F6", "fdecstp", {}, plain<on_registers<turn<-1>>>, Feature::Fpu, attr::x87},
    {"D9 F7", "fincstp", {}, plain<on_registers<turn<1>>>, Feature::Fpu, attr::x87},
    {"D9 F8", "fprem", {}, plain<on_registers<function<binary, Function::Prem>>>, Feature::Fpu, attr::x87},
    {"D9 F9", "fyl2xp1", {}, plain<on_registers<function<binary_pop, Function::Yl2xp1>>>, Feature::Fpu, attr::x87},
    {"D9 FA", "fsqrt", {}, plain<on_registers<function<unary, Function::Sqrt>>>, Feature::Fpu, attr::x87},
    {"D9 FB", "fsincos", {}, plain<on_registers<function<unary_push, Function::Sincos>>>, Feature::Fpu, attr::x87},
    {"D9 FC", "frndint", {}, plain<on_registers<function<unary, Function::Rndint>>>, Feature::Fpu, attr::x87},
    {"D9 FD", "fscale", {}, plain<on_registers<function<binary, Function::Scale>>>, Feature::Fpu, attr::x87},
    {"D9 FE", "fsin", {}, plain<on_registers<function<unary, Function::Sin>>>, Feature::Fpu, attr::x87},
    {"D9 FF", "fcos", {}, plain<on_registers<function<unary, Function::Cos>>>, Feature::Fpu, attr::x87},
    // DA
    {"DA /0 mem", "fiadd", {Op::Md},
     plain<from_memory<i32, arithmetic_memory<i32, Arithmetic::Add>>>, Feature::Fpu, attr::x87},
    {"DA /1 mem", "fimul", {Op::Md},
     plain<from_memory<i32, arithmetic_memory<i32, Arithmetic::Mul>>>, Feature::Fpu, attr::x87},
    {"DA /2 mem", "ficom", {Op::Md}, plain<from_memory<i32, compare_memory<i32, 0>>>, Feature::Fpu, attr::x87},
    {"DA /3 mem", "ficomp", {Op::Md}, plain<from_memory<i32, compare_memory<i32, 1>>>, Feature::Fpu, attr::x87},
    {"DA /4 mem", "fisub", {Op::Md},
     plain<from_memory<i32, arithmetic_memory<i32, Arithmetic::Sub>>>, Feature::Fpu, attr::x87},
    {"DA /5 mem", "fisubr", {Op::Md},
     plain<from_memory<i32, arithmetic_memory<i32, Arithmetic::SubReversed>>>, Feature::Fpu, attr::x87},
    {"DA /6 mem", "fidiv", {Op::Md},
     plain<from_memory<i32, arithmetic_memory<i32, Arithmetic::Div>>>, Feature::Fpu, attr::x87},
    {"DA /7 mem", "fidivr", {Op::Md},
     plain<from_memory<i32, arithmetic_memory<i32, Arithmetic::DivReversed>>>, Feature::Fpu, attr::x87},
    {"DA /0 reg", "fcmovb", {Op::St0, Op::Sti}, plain<cmov<Condition::Below, false>>, Feature::Cmov, attr::x87},
    {"DA /1 reg", "fcmove", {Op::St0, Op::Sti}, plain<cmov<Condition::Equal, false>>, Feature::Cmov, attr::x87},
    {"DA /2 reg", "fcmovbe", {Op::St0, Op::Sti}, plain<cmov<Condition::BelowOrEqual, false>>, Feature::Cmov, attr::x87},
    {"DA /3 reg", "fcmovu", {Op::St0, Op::Sti}, plain<cmov<Condition::Unordered, false>>, Feature::Cmov, attr::x87},
    {"DA E9", "fucompp", {}, plain<on_registers<compare_st1<true>>>, Feature::Fpu, attr::x87},
    // DB
    {"DB /0 mem", "fild", {Op::Md}, plain<from_memory<i32, load_integer<i32>>>, Feature::Fpu, attr::x87},
    {"DB /1 mem", "fisttp", {Op::Md}, plain<to_memory<truncated<prepare_int32>, true>>, Feature::Sse3, attr::x87},
    {"DB /2 mem", "fist", {Op::Md}, plain<to_memory<rounded<prepare_int32>, false>>, Feature::Fpu, attr::x87},
    {"DB /3 mem", "fistp", {Op::Md}, plain<to_memory<rounded<prepare_int32>, true>>, Feature::Fpu, attr::x87},
    {"DB /5 mem", "fld", {Op::Mt}, plain<from_memory<X87Register, load_memory<X87Register>>>, Feature::Fpu, attr::x87},
    {"DB /7 mem", "fstp", {Op::Mt}, plain<to_memory<prepare_float80, true>>, Feature::Fpu, attr::x87},
    {"DB /0 reg", "fcmovnb", {Op::St0, Op::Sti}, plain<cmov<Condition::Below, true>>, Feature::Cmov, attr::x87},
    {"DB /1 reg", "fcmovne", {Op::St0, Op::Sti}, plain<cmov<Condition::Equal, true>>, Feature::Cmov, attr::x87},
    {"DB /2 reg", "fcmovnbe", {Op::St0, Op::Sti}, plain<cmov<Condition::BelowOrEqual, true>>, Feature::Cmov, attr::x87},
    {"DB /3 reg", "fcmovnu", {Op::St0, Op::Sti}, plain<cmov<Condition::Unordered, true>>, Feature::Cmov, attr::x87},
    {"DB E0", "fneni", {}, plain<ignored>, Feature::Fpu, attr::x87},
    {"DB E1", "fndisi", {}, plain<ignored>, Feature::Fpu, attr::x87},
    {"DB E2", "fnclex", {}, plain<fnclex>, Feature::Fpu, attr::x87},
    {"DB E3", "fninit", {}, plain<fninit>, Feature::Fpu, attr::x87},
    {"DB E4", "fnsetpm", {}, plain<ignored>, Feature::Fpu, attr::x87},
    {"DB /5 reg", "fucomi", {Op::St0, Op::Sti}, plain<comi<true, false>>, Feature::Cmov, attr::x87},
    {"DB /6 reg", "fcomi", {Op::St0, Op::Sti}, plain<comi<false, false>>, Feature::Cmov, attr::x87},
    // DC; D0 and D8 repeat D8's comparisons
    {"DC /0 mem", "fadd", {Op::Mq},
     plain<from_memory<Float64, arithmetic_memory<Float64, Arithmetic::Add>>>, Feature::Fpu, attr::x87},
    {"DC /1 mem", "fmul", {Op::Mq},
     plain<from_memory<Float64, arithmetic_memory<Float64, Arithmetic::Mul>>>, Feature::Fpu, attr::x87},
    {"DC /2 mem", "fcom", {Op::Mq}, plain<from_memory<Float64, compare_memory<Float64, 0>>>, Feature::Fpu, attr::x87},
    {"DC /3 mem", "fcomp", {Op::Mq}, plain<from_memory<Float64, compare_memory<Float64, 1>>>, Feature::Fpu, attr::x87},
    {"DC /4 mem", "fsub", {Op::Mq},
     plain<from_memory<Float64, arithmetic_memory<Float64, Arithmetic::Sub>>>, Feature::Fpu, attr::x87},
    {"DC /5 mem", "fsubr", {Op::Mq},
     plain<from_memory<Float64, arithmetic_memory<Float64, Arithmetic::SubReversed>>>, Feature::Fpu, attr::x87},
    {"DC /6 mem", "fdiv", {Op::Mq},
     plain<from_memory<Float64, arithmetic_memory<Float64, Arithmetic::Div>>>, Feature::Fpu, attr::x87},
    {"DC /7 mem", "fdivr", {Op::Mq},
     plain<from_memory<Float64, arithmetic_memory<Float64, Arithmetic::DivReversed>>>, Feature::Fpu, attr::x87},
    {"DC /0 reg", "fadd", {Op::Sti, Op::St0},
     plain<on_registers<to_sti<Arithmetic::Add, false>>>, Feature::Fpu, attr::x87},
    {"DC /1 reg", "fmul", {Op::Sti, Op::St0},
     plain<on_registers<to_sti<Arithmetic::Mul, false>>>, Feature::Fpu, attr::x87},
    {"DC /2 reg", "fcom", {Op::Sti}, plain<on_registers<compare_st<false, 0>>>, Feature::Fpu, attr::x87},
    {"DC /3 reg", "fcomp", {Op::Sti}, plain<on_registers<compare_st<false, 1>>>, Feature::Fpu, attr::x87},
    {"DC /4 reg", "fsubr", {Op::Sti, Op::St0},
     plain<on_registers<to_sti<Arithmetic::SubReversed, false>>>, Feature::Fpu, attr::x87},
    {"DC /5 reg", "fsub", {Op::Sti, Op::St0},
     plain<on_registers<to_sti<Arithmetic::Sub, false>>>, Feature::Fpu, attr::x87},
    {"DC /6 reg", "fdivr", {Op::Sti, Op::St0},
     plain<on_registers<to_sti<Arithmetic::DivReversed, false>>>, Feature::Fpu, attr::x87},
    {"DC /7 reg", "fdiv", {Op::Sti, Op::St0},
     plain<on_registers<to_sti<Arithmetic::Div, false>>>, Feature::Fpu, attr::x87},
    // DD; C8 repeats FXCH
    {"DD /0 mem", "fld", {Op::Mq}, plain<from_memory<Float64, load_memory<Float64>>>, Feature::Fpu, attr::x87},
    {"DD /1 mem", "fisttp", {Op::Mq}, plain<to_memory<truncated<prepare_int64>, true>>, Feature::Sse3, attr::x87},
    {"DD /2 mem", "fst", {Op::Mq}, plain<to_memory<prepare_float64, false>>, Feature::Fpu, attr::x87},
    {"DD /3 mem", "fstp", {Op::Mq}, plain<to_memory<prepare_float64, true>>, Feature::Fpu, attr::x87},
    {"DD /4 mem", "frstor", {Op::M}, plain<frstor>, Feature::Fpu, attr::x87},
    {"DD /6 mem", "fnsave", {Op::M}, plain<fnsave>, Feature::Fpu, attr::x87},
    {"DD /7 mem", "fnstsw", {Op::Mw}, plain<fnstsw>, Feature::Fpu, attr::x87},
    {"DD /0 reg", "ffree", {Op::Sti}, plain<on_registers<free_st<false>>>, Feature::Fpu, attr::x87},
    {"DD /1 reg", "fxch", {Op::Sti}, plain<on_registers<exchange>>, Feature::Fpu, attr::x87},
    {"DD /2 reg", "fst", {Op::Sti}, plain<on_registers<store_st<false>>>, Feature::Fpu, attr::x87},
    {"DD /3 reg", "fstp", {Op::Sti}, plain<on_registers<store_st<true>>>, Feature::Fpu, attr::x87},
    {"DD /4 reg", "fucom", {Op::Sti}, plain<on_registers<compare_st<true, 0>>>, Feature::Fpu, attr::x87},
    {"DD /5 reg", "fucomp", {Op::Sti}, plain<on_registers<compare_st<true, 1>>>, Feature::Fpu, attr::x87},
    // DE; D0 repeats FCOMP
    {"DE /0 mem", "fiadd", {Op::Mw},
     plain<from_memory<i16, arithmetic_memory<i16, Arithmetic::Add>>>, Feature::Fpu, attr::x87},
    {"DE /1 mem", "fimul", {Op::Mw},
     plain<from_memory<i16, arithmetic_memory<i16, Arithmetic::Mul>>>, Feature::Fpu, attr::x87},
    {"DE /2 mem", "ficom", {Op::Mw}, plain<from_memory<i16, compare_memory<i16, 0>>>, Feature::Fpu, attr::x87},
    {"DE /3 mem", "ficomp", {Op::Mw}, plain<from_memory<i16, compare_memory<i16, 1>>>, Feature::Fpu, attr::x87},
    {"DE /4 mem", "fisub", {Op::Mw},
     plain<from_memory<i16, arithmetic_memory<i16, Arithmetic::Sub>>>, Feature::Fpu, attr::x87},
    {"DE /5 mem", "fisubr", {Op::Mw},
     plain<from_memory<i16, arithmetic_memory<i16, Arithmetic::SubReversed>>>, Feature::Fpu, attr::x87},
    {"DE /6 mem", "fidiv", {Op::Mw},
     plain<from_memory<i16, arithmetic_memory<i16, Arithmetic::Div>>>, Feature::Fpu, attr::x87},
    {"DE /7 mem", "fidivr", {Op::Mw},
     plain<from_memory<i16, arithmetic_memory<i16, Arithmetic::DivReversed>>>, Feature::Fpu, attr::x87},
    {"DE /0 reg", "faddp", {Op::Sti, Op::St0},
     plain<on_registers<to_sti<Arithmetic::Add, true>>>, Feature::Fpu, attr::x87},
    {"DE /1 reg", "fmulp", {Op::Sti, Op::St0},
     plain<on_registers<to_sti<Arithmetic::Mul, true>>>, Feature::Fpu, attr::x87},
    {"DE /4 reg", "fsubrp", {Op::Sti, Op::St0},
     plain<on_registers<to_sti<Arithmetic::SubReversed, true>>>, Feature::Fpu, attr::x87},
    {"DE /5 reg", "fsubp", {Op::Sti, Op::St0},
     plain<on_registers<to_sti<Arithmetic::Sub, true>>>, Feature::Fpu, attr::x87},
    {"DE /6 reg", "fdivrp", {Op::Sti, Op::St0},
     plain<on_registers<to_sti<Arithmetic::DivReversed, true>>>, Feature::Fpu, attr::x87},
    {"DE /7 reg", "fdivp", {Op::Sti, Op::St0},
     plain<on_registers<to_sti<Arithmetic::Div, true>>>, Feature::Fpu, attr::x87},
    {"DE /2 reg", "fcomp", {Op::Sti}, plain<on_registers<compare_st<false, 1>>>, Feature::Fpu, attr::x87},
    {"DE D9", "fcompp", {}, plain<on_registers<compare_st1<false>>>, Feature::Fpu, attr::x87},
    // DF; C8, D0 and D8 repeat FXCH and FSTP
    {"DF /0 mem", "fild", {Op::Mw}, plain<from_memory<i16, load_integer<i16>>>, Feature::Fpu, attr::x87},
    {"DF /1 mem", "fisttp", {Op::Mw}, plain<to_memory<truncated<prepare_int16>, true>>, Feature::Sse3, attr::x87},
    {"DF /2 mem", "fist", {Op::Mw}, plain<to_memory<rounded<prepare_int16>, false>>, Feature::Fpu, attr::x87},
    {"DF /3 mem", "fistp", {Op::Mw}, plain<to_memory<rounded<prepare_int16>, true>>, Feature::Fpu, attr::x87},
    {"DF /4 mem", "fbld", {Op::Mt}, plain<from_memory<host::Bcd, load_memory<host::Bcd>>>, Feature::Fpu, attr::x87},
    {"DF /5 mem", "fild", {Op::Mq}, plain<from_memory<i64, load_integer<i64>>>, Feature::Fpu, attr::x87},
    {"DF /6 mem", "fbstp", {Op::Mt}, plain<to_memory<prepare_bcd, true>>, Feature::Fpu, attr::x87},
    {"DF /7 mem", "fistp", {Op::Mq}, plain<to_memory<rounded<prepare_int64>, true>>, Feature::Fpu, attr::x87},
    {"DF /0 reg", "ffreep", {Op::Sti}, plain<on_registers<free_st<true>>>, Feature::Fpu, attr::x87},
    {"DF /1 reg", "fxch", {Op::Sti}, plain<on_registers<exchange>>, Feature::Fpu, attr::x87},
    {"DF /2 reg", "fstp", {Op::Sti}, plain<on_registers<store_st<true>>>, Feature::Fpu, attr::x87},
    {"DF /3 reg", "fstp", {Op::Sti}, plain<on_registers<store_st<true>>>, Feature::Fpu, attr::x87},
    {"DF E0", "fnstsw", {Op::Ax}, plain<fnstsw_ax>, Feature::Fpu, attr::x87},
    {"DF /5 reg", "fucomip", {Op::St0, Op::Sti}, plain<comi<true, true>>, Feature::Cmov, attr::x87},
    {"DF /6 reg", "fcomip", {Op::St0, Op::Sti}, plain<comi<false, true>>, Feature::Cmov, attr::x87},
    // clang-format on
};
// clang-format on

}  // namespace

}  // namespace x87

std::span<const Row> x87_rows() { return x87::rows; }

}  // namespace bunshin
