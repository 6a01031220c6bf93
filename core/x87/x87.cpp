#include "core/x87/x87.h"

namespace bunshin::x87 {

namespace {

unsigned tag_of(const X87Register& r) {
  const unsigned exponent = r.sign_exponent & 0x7fffu;
  if (exponent == 0 && r.mantissa == 0) return 1;
  const bool integer_bit = (r.mantissa >> 63) != 0;
  return exponent == 0 || exponent == 0x7fff || !integer_bit ? 2 : 0;
}

}  // namespace

u16 full_tag_word(const X87State& s) {
  unsigned tags = 0;
  for (unsigned i = 0; i < 8; ++i) {
    const bool empty = ((s.empty >> i) & 1) != 0;
    tags |= (empty ? 3u : tag_of(s.registers[i])) << (2 * i);
  }
  return static_cast<u16>(tags);
}

void set_full_tag_word(X87State& s, u16 tags) {
  unsigned empty = 0;
  for (unsigned i = 0; i < 8; ++i) {
    if (((tags >> (2 * i)) & 3) == 3) empty |= 1u << i;
  }
  s.empty = static_cast<u8>(empty);
}

void initialize(X87State& s) {
  s.control = 0x37f;
  s.status = 0;
  s.top = 0;
  s.empty = 0xff;
  s.opcode = 0;
  s.ip_selector = s.operand_selector = 0;
  s.ip = s.operand = 0;
}

}  // namespace bunshin::x87
