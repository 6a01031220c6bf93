#include "guests/runtime/apic.h"

namespace guest {

namespace {

constexpr uptr apic_base = 0xfee0'0000;
constexpr u32 apic_enable = 0x100, delivery_pending = 0x1000, external_interrupt = 0x700, masked = 0x1'0000;
constexpr u16 pic1 = 0x20, pic2 = 0xa0;

}  // namespace

u32 read_apic(ApicRegister index) { return *reinterpret_cast<volatile u32*>(apic_base + static_cast<u32>(index)); }

void write_apic(ApicRegister index, u32 value) {
  *reinterpret_cast<volatile u32*>(apic_base + static_cast<u32>(index)) = value;
}

void enable_apic(bool external) {
  write_apic(ApicRegister::Spurious, apic_enable | spurious_vector);
  write_apic(ApicRegister::Lint0, external ? external_interrupt : masked);
}

void end_of_interrupt() { write_apic(ApicRegister::EndOfInterrupt, 0); }

void send_command(u32 destination, u32 command) {
  write_apic(ApicRegister::CommandHigh, destination << 24);
  write_apic(ApicRegister::CommandLow, command);
  while ((read_apic(ApicRegister::CommandLow) & delivery_pending) != 0) pause();
}

void initialize_pics(u16 open) {
  out8(pic1, 0x11);
  out8(pic2, 0x11);
  out8(pic1 + 1, pic_vector);
  out8(pic2 + 1, pic_vector + 8);
  out8(pic1 + 1, 4);
  out8(pic2 + 1, 2);
  out8(pic1 + 1, 1);
  out8(pic2 + 1, 1);
  out8(pic1 + 1, static_cast<u8>(~open));
  out8(pic2 + 1, static_cast<u8>(~open >> 8));
}

void end_of_pic_interrupt() { out8(pic1, 0x20); }

}  // namespace guest
