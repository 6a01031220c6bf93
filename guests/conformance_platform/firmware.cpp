// fw_cfg (QEMU: docs/specs/fw_cfg.rst), ACPI tables (ACPI 6.4, 5.2) and PCI configuration mechanism 1 (PCI 3.0, 3.2.2.3.2).

#include "guests/conformance_platform/platform.h"
#include "guests/runtime/console.h"
#include "guests/runtime/processors.h"

namespace guest {

namespace {

constexpr u16 signature_item = 0, id_item = 1, ram_size_item = 3, processors_item = 5, directory_item = 0x19;
constexpr u16 address_port = 0xcf8, data_port = 0xcfc;

bool same(u64 address, const char* text, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    if (load<u8>(address + i) != static_cast<u8>(text[i])) return false;
  }
  return true;
}

bool sums_to_zero(u64 address, u32 length) {
  u8 sum = 0;
  for (u32 i = 0; i < length; ++i) sum = static_cast<u8>(sum + load<u8>(address + i));
  return sum == 0;
}

u64 find_root() {
  for (u64 at = 0xe0000; at < 0x10'0000; at += 16) {
    if (same(at, "RSD PTR ", 8) && sums_to_zero(at, 20)) return at;
  }
  return 0;
}

bool has_signature() { return firmware_value(signature_item, 4) == 0x554d4551; }
bool has_interface() { return (firmware_value(id_item, 4) & 1) != 0; }
bool counts_processors() { return firmware_value(processors_item, 2) == processor_count(); }
bool tells_ram_size() {
  return firmware_value(ram_size_item, 8) % 0x10'0000 == 0 && firmware_value(ram_size_item, 8) != 0;
}

bool item_ends_in_zeros() {
  out16(0x510, signature_item);
  for (int i = 0; i < 4; ++i) in8(0x511);
  return in8(0x511) == 0 && in8(0x511) == 0;
}

bool has_memory_map_file() {
  out16(0x510, directory_item);
  u32 count = 0;
  for (int i = 0; i < 4; ++i) count = count << 8 | in8(0x511);
  bool found = false;
  for (u32 file = 0; file < count; ++file) {
    char entry[64];
    for (char& c : entry) c = static_cast<char>(in8(0x511));
    found = found || same(reinterpret_cast<u64>(entry) + 8, "etc/e820\0", 9);
  }
  return found;
}

bool has_root_table() { return find_root() != 0 && load<u32>(find_root() + 16) != 0; }

bool tables_sum_to_zero() {
  const u64 root = load<u32>(find_root() + 16);
  if (!same(root, "RSDT", 4) || !sums_to_zero(root, load<u32>(root + 4))) return false;
  for (u64 at = root + 36; at < root + load<u32>(root + 4); at += 4) {
    const u64 table = load<u32>(at);
    if (!sums_to_zero(table, load<u32>(table + 4))) return false;
  }
  return true;
}

bool madt_lists_processors() {
  const u64 madt = find_table("APIC");
  if (madt == 0) return false;
  u32 enabled = 0;
  for (u64 at = madt + 44; at < madt + load<u32>(madt + 4); at += load<u8>(at + 1)) {
    if (load<u8>(at) == 0 && (load<u32>(at + 4) & 1) != 0) ++enabled;
    if (load<u8>(at + 1) < 2) return false;
  }
  return enabled == processor_count();
}

bool facs_is_there() {
  const u64 fadt = find_table("FACP");
  return fadt != 0 && same(load<u32>(fadt + 36), "FACS", 4) && load<u32>(load<u32>(fadt + 36) + 4) >= 64;
}

bool acpi_mode_is_on() {
  const u64 fadt = find_table("FACP");
  const u16 control = static_cast<u16>(load<u32>(fadt + 64));
  if ((in16(control) & 1) == 0) out8(static_cast<u16>(load<u32>(fadt + 48)), load<u8>(fadt + 52));
  return (in16(control) & 1) != 0;
}

bool host_bridge_answers() {
  out32(address_port, 0x8000'0000);
  return in16(data_port) == 0x8086 && in32(data_port) != 0xffff'ffff && in8(data_port + 1) == 0x80;
}

bool absent_function_reads_ones() {
  out32(address_port, 0x8000'0000 | 0x1d << 11);
  return in32(data_port) == 0xffff'ffff;
}

bool disabled_address_reads_ones() {
  out32(address_port, 0);
  return in32(data_port) == 0xffff'ffff;
}

bool address_reads_back() {
  out32(address_port, 0x8000'0008);
  return in32(address_port) == 0x8000'0008 && in8(data_port + 3) == 0x06;  // class code: bridge
}

constexpr Check checks[] = {
    {"fw_cfg's signature", has_signature},
    {"fw_cfg's interface", has_interface},
    {"fw_cfg's RAM size", tells_ram_size},
    {"fw_cfg's processors", counts_processors},
    {"fw_cfg behind an item", item_ends_in_zeros},
    {"fw_cfg's memory map", has_memory_map_file},
    {"ACPI root", has_root_table},
    {"ACPI checksums", tables_sum_to_zero},
    {"MADT", madt_lists_processors},
    {"FACS", facs_is_there},
    {"ACPI mode", acpi_mode_is_on},
    {"host bridge", host_bridge_answers},
    {"absent function", absent_function_reads_ones},
    {"disabled configuration address", disabled_address_reads_ones},
    {"configuration address", address_reads_back},
};

}  // namespace

u64 find_table(const char* signature) {
  const u64 root = find_root();
  if (root == 0) return 0;
  const u64 rsdt = load<u32>(root + 16);
  for (u64 at = rsdt + 36; at < rsdt + load<u32>(rsdt + 4); at += 4) {
    if (same(load<u32>(at), signature, 4)) return load<u32>(at);
  }
  return 0;
}

u16 pm_timer_port() { return static_cast<u16>(load<u32>(find_table("FACP") + 76)); }

u64 tsc_in_pm_ticks(u32 ticks) {
  const u16 port = pm_timer_port();
  const u64 start = read_tsc();
  const u32 first = in32(port);
  while (((in32(port) - first) & 0xff'ffff) < ticks) {}
  return read_tsc() - start;
}

unsigned check_firmware() { return run_checks("firmware", checks); }

}  // namespace guest
