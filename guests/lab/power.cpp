// ACPI 6.4: 5.2.5 (root pointer), 5.2.9 (FADT), 7.4.2 (\_S5), 4.8.3.2 (PM1 control).

#include "guests/lab/power.h"

#include "guests/lab/boot_information.h"

namespace lab {

namespace {

constexpr u16 debug_exit = 0xf4, sleep_enable = 1 << 13, sci_enable = 1;
constexpr u32 fadt_dsdt = 40, fadt_command_port = 48, fadt_enable_value = 52, fadt_pm1a = 64, table_header = 36;

template <class T>
T load(word address) {
  asm("" : "+r"(address));  // GCC takes constants for mistakes
  return *at_physical<const volatile T>(address);
}

bool same(word address, const char* text, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) {
    if (load<char>(address + i) != text[i]) return false;
  }
  return true;
}

word find_fadt() {
  for (word at = 0xe'0000; at < 0x10'0000; at += 16) {
    if (!same(at, "RSD PTR ", 8)) continue;
    const word root = load<u32>(at + 16);
    if (root == 0 || root >= user_begin) return 0;
    for (word entry = root + table_header; entry < root + load<u32>(root + 4); entry += 4) {
      const word table = load<u32>(entry);
      if (table < user_begin && same(table, "FACP", 4)) return table;
    }
  }
  return 0;
}

/// What \_S5 has as its first element: a package of small integers (AML, ACPI 6.4, 20.2.3 and 20.2.5.4).
u16 sleep_type(word dsdt) {
  constexpr u8 byte_prefix = 0x0a;
  const word end = dsdt + load<u32>(dsdt + 4);
  for (word at = dsdt + table_header; at + 8 < end; ++at) {
    if (!same(at, "_S5_\x12", 5)) continue;
    const word element = at + 5 + (load<u8>(at + 5) >> 6) + 2;
    const u8 value = load<u8>(element);
    return value == byte_prefix ? load<u8>(element + 1) : value;
  }
  return 0;
}

void soft_off() {
  const word fadt = find_fadt();
  if (fadt == 0) return;
  const u16 control = static_cast<u16>(load<u32>(fadt + fadt_pm1a));
  if ((guest::in16(control) & sci_enable) == 0) {
    guest::out8(static_cast<u16>(load<u32>(fadt + fadt_command_port)), load<u8>(fadt + fadt_enable_value));
  }
  const u32 type = sleep_type(load<u32>(fadt + fadt_dsdt));
  guest::out16(control, static_cast<u16>(sleep_enable | type << 10));
}

}  // namespace

void power_off(u32 status) {
  if (!command_line_holds("power=acpi")) guest::out32(debug_exit, status);
  soft_off();
  while (true) asm volatile("cli; hlt");
}

}  // namespace lab
