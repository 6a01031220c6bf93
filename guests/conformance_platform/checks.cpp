#include "guests/conformance_platform/platform.h"

#include "guests/runtime/apic.h"
#include "guests/runtime/console.h"
#include "guests/runtime/interrupts.h"

namespace guest {

namespace {

constexpr u64 io_apic = 0xfec0'0000;
constexpr u16 fw_cfg_selector = 0x510, fw_cfg_data = 0x511;

void on_interrupt(Frame&) {
  interrupts = interrupts + 1;
  end_of_interrupt();
}

}  // namespace

volatile u32 interrupts = 0;

void count_interrupts(unsigned vector) {
  set_handler(vector, on_interrupt);
  interrupts = 0;
}

unsigned run_checks(const char* group, const Check* checks, unsigned count) {
  unsigned failed = 0;
  for (unsigned i = 0; i < count; ++i) {
    print(group, ": ", checks[i].name, ": ");
    const bool passed = checks[i].passes();
    print(passed ? "ok\n" : "FAILED\n");
    if (!passed) ++failed;
  }
  return failed;
}

u64 firmware_value(u16 item, unsigned bytes) {
  out16(fw_cfg_selector, item);
  u64 value = 0;
  for (unsigned i = 0; i < bytes; ++i) value |= u64{in8(fw_cfg_data)} << (8 * i);
  return value;
}

void write_redirection(unsigned pin, u64 entry) {
  mmio(io_apic) = 0x10 + 2 * pin + 1;
  mmio(io_apic + 0x10) = static_cast<u32>(entry >> 32);
  mmio(io_apic) = 0x10 + 2 * pin;
  mmio(io_apic + 0x10) = static_cast<u32>(entry);
}

u64 read_redirection(unsigned pin) {
  mmio(io_apic) = 0x10 + 2 * pin;
  const u64 low = mmio(io_apic + 0x10);
  mmio(io_apic) = 0x10 + 2 * pin + 1;
  return low | u64{mmio(io_apic + 0x10)} << 32;
}

void set_test_line(unsigned pin, bool level) { out8(static_cast<u16>(0x2000 + pin), level ? 1 : 0); }

}  // namespace guest
