#include "guests/lab/boot_information.h"

extern "C" guest::u32 boot_information;

namespace lab {

namespace {

constexpr word kernel_address = 0x10'0000;
constexpr u32 has_sizes = 1u << 0, has_command_line = 1u << 2, has_map = 1u << 6, available = 1;

/// Multiboot Specification 0.6.96, 3.3.
struct Information {
  u32 flags, lower_kib, upper_kib, boot_device, command_line, modules[2], symbols[4], map_bytes, map;
};

struct [[gnu::packed]] MapRecord {
  u32 size;
  u64 base, bytes;
  u32 type;
};

char line[512];
u32 line_bytes = 0;
word end = 0;

void copy_command_line(word from) {
  const char* text = at_physical<const char>(from);
  while (text[line_bytes] != 0 && line_bytes + 1 < sizeof(line)) line[line_bytes] = text[line_bytes], ++line_bytes;
}

word limited(u64 address) { return static_cast<word>(address < user_begin ? address : user_begin); }

word end_by_map(const Information& information) {
  word at = information.map;
  while (at < word{information.map} + information.map_bytes) {
    const auto& record = *at_physical<const MapRecord>(at);
    const u64 record_end = record.base + record.bytes;
    if (record.type == available && record.base <= kernel_address && record_end > kernel_address)
      return limited(record_end);
    at += record.size + sizeof(record.size);
  }
  return 0;
}

/// A loader that does not say: the firmware's count of 64 KiB above 16 MiB (CMOS 34H, 35H), whose last MiB it may use itself.
word end_by_firmware() {
  guest::out8(0x70, 0x35);
  word units = guest::in8(0x71);
  guest::out8(0x70, 0x34);
  units = units << 8 | guest::in8(0x71);
  return limited((u64{units} << 16) + 0xf0'0000);
}

}  // namespace

void read_boot_information() {
  const auto& information = *at_physical<const Information>(boot_information);
  if ((information.flags & has_command_line) != 0) copy_command_line(information.command_line);
  if ((information.flags & has_map) != 0) end = end_by_map(information);
  if (end == 0 && (information.flags & has_sizes) != 0)
    end = limited(kernel_address + u64{information.upper_kib} * 1024);
  if (end == 0) end = end_by_firmware();
}

const char* command_line() { return line; }
u32 command_line_bytes() { return line_bytes; }

bool command_line_holds(const char* text) {
  for (const char* at = line; *at != 0; ++at) {
    u32 i = 0;
    while (text[i] != 0 && at[i] == text[i]) ++i;
    if (text[i] == 0) return true;
  }
  return false;
}

word memory_end() { return end; }

}  // namespace lab
