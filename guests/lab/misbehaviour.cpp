// What a neighbour on the same machine must survive.

#include "guests/lab/boot_information.h"
#include "guests/lab/system_calls.h"
#include "guests/lab/terminal.h"

extern "C" char image_end[];

namespace lab {

namespace {

constexpr word kernel_begin = 0x10'0000, pattern = 0x6c61'6221;
constexpr u32 reset_port = 0xcf9;

/// Everything that this kernel can reach but itself and its page tables: low memory, memory behind it, what lies behind
/// memory's end, all ports but those below 400H and those that end the machine.
void scribble() {
  constexpr word tables = 0x10'0000;
  AddressSpace::activate_kernel();
  for (word at = page_bytes; at < user_begin; at += 4) {
    if (at == kernel_begin) at = round_up(reinterpret_cast<word>(image_end) + tables, page_bytes);
    if (at >= memory_end()) at += page_bytes - 4;
    *at_physical<volatile u32>(at) = pattern;
  }
  for (u32 port = 0x400; port < 0x1'0000; ++port) {
    const bool power = (port >= 0x600 && port <= 0x6ff) || port == reset_port;
    if (!power) guest::out8(static_cast<u16>(port), 0xff);
  }
}

[[noreturn]] void hang() {
  while (true) asm volatile("cli; pause");
}

[[noreturn]] void triple_fault() {
  const struct [[gnu::packed]] {
    u16 limit = 0;
    word base = 0;
  } nothing;
  asm volatile("lidt %0; ud2" : : "m"(nothing));
  hang();
}

}  // namespace

void misbehave(Misbehaviour kind) {
  switch (kind) {
    case Misbehaviour::Hang: hang();
    case Misbehaviour::TripleFault: triple_fault();
    case Misbehaviour::Scribble:
      scribble();
      guest::print("lab: scribbled\n");
      hang();
    case Misbehaviour::Panic: break;
  }
  panic("on demand");
}

}  // namespace lab
