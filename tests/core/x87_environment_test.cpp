// The four environment formats byte by byte (SDM vol. 1, figures 8-9 to 8-12).

#include <gtest/gtest.h>

#include "core/x87/environment.h"

namespace bunshin::x87 {
namespace {

X87State sample() {
  X87State s;
  set_control_word(s, 0x027f);
  set_status_word(s, 0x2920);
  s.empty = 0xf0;
  s.opcode = 0x5a5;
  s.ip_selector = 0x1234;
  s.ip = 0x89ab;
  s.operand_selector = 0xf000;
  s.operand = 0xfff0;
  return s;
}

template <class T>
T field(const EnvironmentImage& image, unsigned at) {
  T v;
  std::memcpy(&v, image.data() + at, sizeof(T));
  return v;
}

TEST(X87Environment, Protected32) {
  const auto image = store_environment(sample(), {true, true});
  EXPECT_EQ(field<u32>(image, 0), 0xffff027fu);
  EXPECT_EQ(field<u32>(image, 4), 0xffff2920u);
  EXPECT_EQ(field<u32>(image, 8), 0xffffff55u);
  EXPECT_EQ(field<u32>(image, 12), 0x89abu);
  EXPECT_EQ(field<u32>(image, 16), 0x05a51234u);
  EXPECT_EQ(field<u32>(image, 20), 0xfff0u);
  EXPECT_EQ(field<u32>(image, 24), 0xfffff000u);
}

TEST(X87Environment, Real32) {
  const auto image = store_environment(sample(), {true, false});
  EXPECT_EQ(field<u16>(image, 12), 0xacebu);
  EXPECT_EQ(field<u32>(image, 16), 0x15a5u);
  EXPECT_EQ(field<u16>(image, 20), 0xfff0u);
  EXPECT_EQ(field<u32>(image, 24), 0xf000u);
}

TEST(X87Environment, Protected16) {
  const auto image = store_environment(sample(), {false, true});
  EXPECT_EQ(field<u16>(image, 0), 0x027fu);
  EXPECT_EQ(field<u16>(image, 2), 0x2920u);
  EXPECT_EQ(field<u16>(image, 4), 0xff55u);
  EXPECT_EQ(field<u16>(image, 6), 0x89abu);
  EXPECT_EQ(field<u16>(image, 8), 0x1234u);
  EXPECT_EQ(field<u16>(image, 10), 0xfff0u);
  EXPECT_EQ(field<u16>(image, 12), 0xf000u);
}

TEST(X87Environment, Real16) {
  const auto image = store_environment(sample(), {false, false});
  EXPECT_EQ(field<u16>(image, 6), 0xacebu);
  EXPECT_EQ(field<u16>(image, 8), 0x15a5u);
  EXPECT_EQ(field<u16>(image, 10), 0xfff0u);
  EXPECT_EQ(field<u16>(image, 12), 0xf000u);
}

class Format : public testing::TestWithParam<int> {};

TEST_P(Format, LoadingIsTheInverseOfStoring) {
  const EnvironmentFormat format{(GetParam() & 1) != 0, (GetParam() & 2) != 0};
  const auto image = store_environment(sample(), format);
  X87State s;
  load_environment(s, image, format);
  EXPECT_EQ(store_environment(s, format), image);
  EXPECT_EQ(s.top, 5);
  EXPECT_EQ(s.empty, 0xf0);
}

INSTANTIATE_TEST_SUITE_P(All, Format, testing::Range(0, 4));

TEST(X87Environment, LoadingDerivesTheSummaryAndFixedBits) {
  X87State s = sample();
  EnvironmentImage image = store_environment(s, {});
  image[0] = image[1] = 0;  // all unmasked; PE is set
  load_environment(s, image, {});
  EXPECT_EQ(s.control, 0x40);
  EXPECT_TRUE(exception_pending(s));
}

TEST(X87Environment, RegistersAreInStackOrder) {
  X87State s = sample();
  for (unsigned i = 0; i < 8; ++i) s.registers[i].mantissa = i;
  const RegisterImage image = store_registers(s);
  EXPECT_EQ(image[0], 5);
  EXPECT_EQ(image[30], 0);
}

}  // namespace
}  // namespace bunshin::x87
