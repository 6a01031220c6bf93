// Suspend to RAM: the alarm of the real-time clock wakes the machine at the waking vector (ACPI 6.4, 16.1.3 and 16.3.2).

#include "guests/conformance_platform/resume.h"
#include "guests/runtime/console.h"

extern "C" guest::u32 kernel_main() {
  using namespace guest;
  place_resume_code();
  const u64 fadt = find_table("FACP");
  if (fadt == 0) return 2;
  mmio(load<u32>(fadt + 36) + 12) = resume_address;
  out16(static_cast<u16>(load<u32>(fadt + 56) + 2), 1 << 10);  // RTC_EN
  read_cmos(12);
  for (u8 alarm = 1; alarm <= 5; alarm = static_cast<u8>(alarm + 2)) write_cmos(alarm, 0xc0);
  write_cmos(11, read_cmos(11) | 0x20);
  print("suspend: S3\n");
  out16(static_cast<u16>(load<u32>(fadt + 64)), 1 << 13 | 1 << 10);
  while (true) pause();
}
