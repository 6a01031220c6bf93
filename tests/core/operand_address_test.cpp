// Where the parts of an operand lie that ends behind what its address size can reach.

#include <gtest/gtest.h>

#include "tests/core/engine_fixture.h"

namespace bunshin {
namespace {

/// LDS ESI, [FFFE] with 16-bit addresses; HLT. As AMD's processors and Bochs have it.
TEST(OperandAddress, TheSelectorOfAFarPointerWrapsAroundAtTheAddressSize) {
  TestMachine m;
  m.enter_protected(0x1000);
  m.write(0x1000, {0x67, 0xc5, 0x36, 0xfe, 0xff, 0xf4});
  m.poke<u32>(0xfffe, 0x11223344);
  m.poke<u16>(0x10002, 0xfff8);  // where no descriptor is
  m.poke<u16>(0x0002, 0);
  EXPECT_EQ(m.processor.run(1000), Stop::Halted);
  EXPECT_EQ(m.state().gpr[RSI], 0x11223344u);
  EXPECT_TRUE(m.state().segment(Seg::DS).is_null());
}

/// FLD tbyte [FFFC] with 16-bit addresses; HLT.
TEST(OperandAddress, TheExponentOfAnX87OperandWrapsAroundAtTheAddressSize) {
  TestMachine m;
  m.enter_protected(0x1000);
  m.write(0x1000, {0x67, 0xdb, 0x2e, 0xfc, 0xff, 0xf4});
  m.poke<u64>(0xfffc, 0x8000000000000000);
  m.poke<u16>(0x10004, 0x4001);
  m.poke<u16>(0x0004, 0x3fff);
  EXPECT_EQ(m.processor.run(1000), Stop::Halted);
  EXPECT_EQ(m.state().x87.registers[m.state().x87.top].sign_exponent, 0x3fff);
}

}  // namespace
}  // namespace bunshin
