// The manual's responses to stack faults and unmasked exceptions, stated one by one (SDM vol. 1, 8.4 and 8.5).

#include <gtest/gtest.h>

#include "core/x87/transfer.h"

namespace bunshin::x87 {
namespace {

constexpr X87Register one{u64{1} << 63, 0x3fff};
constexpr X87Register three{u64{3} << 62, 0x4000};
constexpr X87Register zero{0, 0};
constexpr X87Register denormal{1, 0};
constexpr X87Register signaling{0xa000000000000000, 0x7fff};
constexpr X87Register huge{~u64{0}, 0x7ffe};
constexpr X87Register tiny{u64{1} << 63, 1};

testing::AssertionResult same(const X87Register& a, const X87Register& b) {
  if (a.mantissa == b.mantissa && a.sign_exponent == b.sign_exponent) return testing::AssertionSuccess();
  return testing::AssertionFailure() << std::hex << a.sign_exponent << ':' << a.mantissa << " is not "
                                     << b.sign_exponent << ':' << b.mantissa;
}

/// FNINIT, then the values pushed so that the last is ST(0).
X87State stack(std::initializer_list<X87Register> values, u16 unmasked = 0) {
  X87State s;
  initialize(s);
  set_control_word(s, static_cast<u16>(s.control & ~unmasked));
  for (const X87Register& v : values) load(s, v);
  return s;
}

X87State full(u16 unmasked = 0) { return stack({one, one, one, one, one, one, one, one}, unmasked); }

TEST(X87StackFault, MaskedOverflowPushesTheIndefiniteAndSetsC1) {
  X87State s = full();
  load(s, three);
  EXPECT_TRUE(same(st(s, 0), indefinite));
  EXPECT_EQ(s.status, IE | SF | C1);
  EXPECT_EQ(s.top, 7);
}

TEST(X87StackFault, UnmaskedOverflowLeavesTheStackAlone) {
  X87State s = full(IE);
  load(s, three);
  EXPECT_TRUE(same(st(s, 0), one));
  EXPECT_EQ(s.top, 0);
  EXPECT_EQ(s.status, IE | SF | C1 | ES | B);
}

TEST(X87StackFault, MaskedUnderflowWritesTheIndefiniteAndClearsC1) {
  X87State s = stack({one});
  s.status = C1;
  arithmetic(s, Arithmetic::Add, 0, 1, false);
  EXPECT_TRUE(same(st(s, 0), indefinite));
  EXPECT_EQ(s.status, IE | SF);
}

TEST(X87StackFault, UnmaskedUnderflowDoesNotPop) {
  X87State s = stack({one}, IE);
  arithmetic(s, Arithmetic::Add, 1, 0, true);
  EXPECT_EQ(s.top, 7);
  EXPECT_FALSE(is_empty(s, 0));
  EXPECT_TRUE(is_empty(s, 1));
}

TEST(X87StackFault, StoringAnEmptyRegisterGivesTheFormatsIndefinite) {
  const X87State s = stack({});
  EXPECT_EQ(prepare_float32(s).value, 0xffc00000u);
  EXPECT_EQ(prepare_float64(s).value, 0xfff8000000000000u);
  EXPECT_EQ(prepare_int16(s, false).value, 0x8000u);
  EXPECT_EQ(prepare_int32(s, true).value, 0x80000000u);
  EXPECT_EQ(prepare_int64(s, false).value, u64{1} << 63);
  EXPECT_EQ(prepare_bcd(s).value, (host::Bcd{0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff}));
  EXPECT_TRUE(prepare_float64(s).write);
}

TEST(X87StackFault, StoringAnEmptyRegisterUnmaskedWritesNothing) {
  const X87State s = stack({}, IE);
  EXPECT_FALSE(prepare_float64(s).write);
  EXPECT_EQ(prepare_float64(s).status, IE | SF);
}

TEST(X87Unmasked, InvalidKeepsTheDestination) {
  X87State s = stack({signaling, one}, IE);
  arithmetic(s, Arithmetic::Mul, 0, 1, false);
  EXPECT_TRUE(same(st(s, 0), one));
  EXPECT_EQ(s.status, IE | ES | B);
}

TEST(X87Unmasked, ZeroDivideKeepsTheDestinationAndDoesNotPop) {
  X87State s = stack({zero, one}, ZE);
  arithmetic(s, Arithmetic::DivReversed, 1, 0, true);
  EXPECT_EQ(s.status, ZE | ES | B);
  EXPECT_EQ(s.top, 6);
  EXPECT_TRUE(same(st(s, 1), zero));
}

TEST(X87Unmasked, DenormalKeepsTheDestination) {
  X87State s = stack({denormal, one}, DE);
  arithmetic(s, Arithmetic::Add, 0, 1, false);
  EXPECT_TRUE(same(st(s, 0), one));
  EXPECT_EQ(s.status, DE | ES | B);
}

TEST(X87Unmasked, DenormalLoadCompletes) {
  X87State s = stack({}, DE);
  load(s, Float64{1});
  EXPECT_EQ(s.top, 7);
  EXPECT_EQ(s.status, DE | ES | B);
}

TEST(X87Unmasked, SignalingLoadDoesNotPush) {
  X87State s = stack({}, IE);
  load(s, Float32{0x7fa00000});
  EXPECT_EQ(s.top, 0);
  EXPECT_TRUE(is_empty(s, 7));
}

TEST(X87Unmasked, OverflowInARegisterIsScaledDownBy24576) {
  X87State s = stack({huge, huge}, OE);
  arithmetic(s, Arithmetic::Add, 0, 1, false);
  EXPECT_TRUE(same(st(s, 0), {~u64{0}, 0x7fff - 24576}));
  EXPECT_EQ(s.status, OE | ES | B);
}

TEST(X87Unmasked, UnderflowInARegisterIsScaledUpBy24576) {
  X87State s = stack({{u64{1} << 63, 0x3ffe}, tiny}, UE);
  arithmetic(s, Arithmetic::Mul, 0, 1, false);
  EXPECT_TRUE(same(st(s, 0), {u64{1} << 63, 24576}));
  EXPECT_EQ(s.status, UE | ES | B);
}

TEST(X87Unmasked, OverflowInMemoryIsNotStoredNorPopped) {
  X87State s = stack({huge}, OE);
  const auto p = prepare_float32(s);
  EXPECT_FALSE(p.write);
  commit_store(s, p.status, p.write, true);
  EXPECT_EQ(s.top, 7);
  EXPECT_EQ(s.status & ~C1, OE | ES | B);
}

TEST(X87Unmasked, InexactStoreCompletesAndIsPending) {
  X87State s = stack({{(u64{1} << 63) | 1, 0x3fff}}, PE);
  const auto p = prepare_float64(s);
  EXPECT_TRUE(p.write);
  commit_store(s, p.status, p.write, true);
  EXPECT_EQ(s.top, 0);
  EXPECT_EQ(s.status, PE | ES | B);
}

TEST(X87Unmasked, IntegerTooLargeIsNotStored) {
  const X87State s = stack({huge}, IE);
  EXPECT_FALSE(prepare_int32(s, false).write);
  EXPECT_EQ(prepare_int32(stack({huge}), false).value, 0x80000000u);
}

TEST(X87Unmasked, ComparisonSetsNoConditionsAndDoesNotPop) {
  X87State s = stack({signaling, one}, IE);
  s.status = C0;
  compare(s, true, 1, 2);
  EXPECT_EQ(s.status, C0 | IE | ES | B);
  EXPECT_EQ(s.top, 6);
}

TEST(X87Unmasked, ComparisonToFlagsLeavesThem) {
  X87State s = stack({signaling, one}, IE);
  u64 flags = 0;
  EXPECT_FALSE(compare_to_flags(s, false, 1, true, flags));
  EXPECT_EQ(s.top, 6);
}

TEST(X87Compare, QuietNanIsUnorderedWithoutExceptionOnlyForFucom) {
  X87State s = stack({indefinite, one});
  compare(s, true, 1, 0);
  EXPECT_EQ(s.status, C3 | C2 | C0);
  compare(s, false, 1, 0);
  EXPECT_EQ(s.status, C3 | C2 | C0 | IE);
}

TEST(X87Summary, ControlWordDecidesWhatIsPending) {
  X87State s = stack({zero, one});
  arithmetic(s, Arithmetic::Div, 0, 1, false);
  EXPECT_FALSE(exception_pending(s));
  set_control_word(s, static_cast<u16>(s.control & ~ZE));
  EXPECT_TRUE(exception_pending(s));
  clear_exceptions(s);
  EXPECT_FALSE(exception_pending(s));
}

TEST(X87Summary, FerrIsAssertedOnlyWithoutNe) {
  CpuState cpu;
  cpu.x87.status = ES;
  EXPECT_TRUE(ferr(cpu));
  cpu.cr0 |= cr0::NE;
  EXPECT_FALSE(ferr(cpu));
}

TEST(X87Formats, UnsupportedEncodingsAreInvalid) {
  for (const X87Register& r : {X87Register{u64{1} << 62, 0x3fff}, X87Register{1, 0x7fff}, X87Register{0, 0x7fff}}) {
    X87State s = stack({r});
    arithmetic(s, Arithmetic::Add, 0, 0, false);
    EXPECT_TRUE(same(st(s, 0), indefinite));
    EXPECT_EQ(s.status & exceptions, IE);
  }
}

TEST(X87Formats, LoadsAndStoresOfTenBytesKeepEveryEncoding) {
  for (const X87Register& r : {X87Register{u64{1} << 63, 0}, X87Register{1, 0x4000}, signaling, denormal}) {
    EXPECT_TRUE(same(prepare_float80(stack({r})).value, r));
    EXPECT_EQ(stack({r}).status, 0);
  }
}

TEST(X87Formats, IntegersConvertExactly) {
  for (const i64 v : {i64{0}, i64{1}, i64{-1}, i64{0x7fffffffffffffff}, i64{-0x7fffffffffffffff} - 1, i64{123456789}}) {
    EXPECT_EQ(prepare_int64(stack({from_integer(v)}), false).value, static_cast<u64>(v));
  }
}

TEST(X87Host, TheProcessKeepsItsOwnControlWord) {
  X87State s = stack({three, one});
  set_control_word(s, 0x0c00);
  arithmetic(s, Arithmetic::Div, 0, 1, false);
  EXPECT_TRUE(exception_pending(s));
  u16 control = 0;
  u16 status = 0;
  __asm__ volatile("fnstcw %0" : "=m"(control));
  __asm__ volatile("fnstsw %0" : "=m"(status));
  EXPECT_EQ(control, 0x37f);
  EXPECT_EQ(status & ES, 0);
}

TEST(X87Tags, FullAndAbridgedAgree) {
  X87State s = stack({one, zero, denormal});
  EXPECT_EQ(full_tag_word(s), 0b00'01'10'11'11'11'11'11);
  EXPECT_EQ(abridged_tag_word(s), 0b1110'0000);
  X87State copy;
  set_full_tag_word(copy, full_tag_word(s));
  EXPECT_EQ(copy.empty, s.empty);
  set_abridged_tag_word(copy, 0x81);
  EXPECT_EQ(copy.empty, 0x7e);
}

}  // namespace
}  // namespace bunshin::x87
