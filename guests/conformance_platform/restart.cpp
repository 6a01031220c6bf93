// INIT to the bootstrap processor: it runs the firmware, which goes on at 40:67 if CMOS byte 0Fh says so (IBM PC AT
// Technical Reference; Intel MP specification 1.4, B.4). With an argument, by a pulse of the keyboard controller.

#include "guests/conformance_platform/resume.h"
#include "guests/runtime/apic.h"
#include "guests/runtime/console.h"

extern "C" guest::u32 boot_information;

extern "C" guest::u32 kernel_main() {
  using namespace guest;
  place_resume_code();
  write_cmos(0x0f, 0x0a);
  mmio(0x467) = resume_address;  // offset 6000h, segment 0
  u64 argument = load<u32>(boot_information + 16);
  while (load<u8>(argument) != 0 && load<u8>(argument) != ' ') ++argument;
  const bool by_keyboard = load<u8>(argument) != 0 && load<u8>(argument + 1) != 0;
  print(by_keyboard ? "restart: 8042\n" : "restart: INIT\n");
  enable_apic(false);
  if (by_keyboard) {
    out8(0x64, 0xfe);
  } else {
    send_command(read_apic(ApicRegister::Id) >> 24, 0x4500);
  }
  for (int i = 0; i < 10'000'000; ++i) pause();
  return 1;
}
