#include "guests/runtime/processors.h"

#include "guests/runtime/apic.h"

extern "C" {
extern char ap_trampoline[], ap_trampoline_end[];
extern volatile guest::u32 processors_started;

// A program with one processor has no other one to start.
[[gnu::weak]] void processor_main(guest::u32) {}
}

namespace guest {

namespace {

constexpr u64 trampoline_address = 0x8000;
constexpr u32 init_others = 0xc4500, startup_others = 0xc4600 | trampoline_address >> 12;
constexpr u16 fw_cfg_selector = 0x510, fw_cfg_data = 0x511, fw_cfg_processors = 5;

/// Port 0x80 takes about a microsecond on real boards; here it is only something that takes time.
void delay(unsigned accesses) {
  for (unsigned i = 0; i < accesses; ++i) out8(0x80, 0);
}

}  // namespace

u32 processor_count() {
  out16(fw_cfg_selector, fw_cfg_processors);
  const u32 low = in8(fw_cfg_data);
  return low | u32{in8(fw_cfg_data)} << 8;
}

void start_processors() {
  const u32 count = processor_count();
  auto* to = reinterpret_cast<volatile char*>(trampoline_address);
  for (const char* from = ap_trampoline; from != ap_trampoline_end; ++from) *to++ = *from;
  send_command(0, init_others);
  delay(10'000);
  send_command(0, startup_others);
  delay(200);
  while (processors_started != count) pause();
}

}  // namespace guest
