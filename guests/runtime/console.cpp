#include "guests/runtime/console.h"

namespace guest {

namespace {

constexpr u16 com1 = 0x3f8;
constexpr u16 line_status = com1 + 5;
constexpr u8 transmitter_empty = 0x20;
constexpr u16 debug_exit = 0xf4;

void write_digits(u64 value, u32 base) {
  char digits[20];
  unsigned count = 0;
  do {
    u32 digit;
    value = divide(value, base, &digit);
    digits[count++] = "0123456789abcdef"[digit];
  } while (value != 0);
  while (count != 0) write(digits[--count]);
}

}  // namespace

void write(char c) {
  while ((in8(line_status) & transmitter_empty) == 0) pause();
  out8(com1, static_cast<u8>(c));
}

void write(const char* text) {
  for (; *text != 0; ++text) write(*text);
}

void write(u64 value) { write_digits(value, 10); }

void write(Hex value) {
  write("0x");
  write_digits(value.value, 16);
}

extern "C" [[noreturn]] void finish(u32 value) {
  out32(debug_exit, value);
  while (true) asm volatile("cli; hlt");
}

}  // namespace guest
