#pragma once

// What the 32-bit and the 16-bit guest share: text on the first serial line and the end of the run. Included by one
// file each, so that the real-mode guest's comes out as 16-bit code too.

namespace guest {

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;

inline unsigned failed = 0;

[[gnu::noinline]] inline void write(const char* text) {
  constexpr u16 com1 = 0x3f8, line_status = com1 + 5;
  constexpr u8 transmitter_empty = 0x20;
  for (; *text != 0; ++text) {
    u8 status;
    do asm volatile("inb %1, %0" : "=a"(status) : "d"(line_status));
    while ((status & transmitter_empty) == 0);
    asm volatile("outb %0, %1" : : "a"(*text), "d"(com1));
  }
}

[[gnu::noinline]] inline void report(const char* name, bool passed) {
  write(name);
  write(passed ? ": ok\n" : ": FAILED\n");
  if (!passed) ++failed;
}

[[noreturn]] inline void finish() {
  write(failed == 0 ? "all checks passed\n" : "some checks failed\n");
  asm volatile("outl %0, $0xf4" : : "a"(failed != 0 ? 1 : 0));
  for (;;) asm volatile("hlt");
}

struct [[gnu::packed]] TablePointer {
  u16 limit;
  u32 base;
};

inline u32 address_of(const volatile void* object) { return reinterpret_cast<u32>(object); }

}  // namespace guest
