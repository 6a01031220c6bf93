#include "guests/kvm_launcher/acpi.h"

#include <cstring>

namespace launcher {

namespace {

constexpr std::size_t area = 0x4000, header_size = 36;

/// Appends tables in the area at place::acpi.
class Tables {
 public:
  explicit Tables(std::uint8_t* base) : base_(base) { memset(base, 0, area); }

  std::uint64_t begin(const char* signature, std::uint8_t revision) {
    end_ = (end_ + 63) & ~std::size_t{63};
    start_ = end_;
    text(signature, 4);
    number(std::uint32_t{0});
    number(revision);
    number(std::uint8_t{0});
    text("BUNSHN", 6);
    text("LAUNCHER", 8);
    number(std::uint32_t{1});
    text("BNSH", 4);
    number(std::uint32_t{1});
    return place::acpi + start_;
  }
  template <class T>
  void number(T value) {
    memcpy(base_ + end_, &value, sizeof value);
    end_ += sizeof value;
  }
  void text(const char* bytes, std::size_t size) {
    memcpy(base_ + end_, bytes, size);
    end_ += size;
  }
  template <class T>
  void put(std::size_t offset, T value) {
    memcpy(base_ + start_ + offset, &value, sizeof value);
  }
  void extend(std::size_t size) { end_ = start_ + size; }
  void finish() {
    put(4, static_cast<std::uint32_t>(end_ - start_));
    put(9, checksum(start_, end_ - start_));
  }
  std::uint8_t checksum(std::size_t from, std::size_t size) const {
    std::uint8_t sum = 0;
    for (std::size_t i = 0; i < size; ++i) sum = static_cast<std::uint8_t>(sum + base_[from + i]);
    return static_cast<std::uint8_t>(-sum);
  }
  /// Firmware control structure (5.2.10): no header of the common form.
  std::uint64_t control_structure() {
    end_ = (end_ + 63) & ~std::size_t{63};
    const std::size_t at = end_;
    text("FACS", 4);
    number(std::uint32_t{64});
    end_ = at + 64;
    return place::acpi + at;
  }
  /// Root pointer (5.2.5.3), at the very beginning.
  void root_pointer(std::uint64_t root_table) {
    memcpy(base_, "RSD PTR ", 8);
    memcpy(base_ + 9, "BUNSHN", 6);
    base_[15] = 2;
    const std::uint32_t size = 36;
    memcpy(base_ + 20, &size, 4);
    memcpy(base_ + 24, &root_table, 8);
    base_[8] = checksum(0, 20);
    base_[32] = checksum(0, 36);
  }

 private:
  std::uint8_t* base_;
  std::size_t start_ = 0, end_ = 64;
};

/// Name(_S5, Package(4){5, 5, 0, 0}): what Linux writes to power off.
std::uint64_t definitions(Tables& tables) {
  const std::uint64_t address = tables.begin("DSDT", 2);
  constexpr char code[] = {
      0x08, '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, acpi::power_off_type, 0x0a, acpi::power_off_type, 0x00, 0x00};
  tables.text(code, sizeof code);
  tables.finish();
  return address;
}

/// Fixed ACPI description table, revision 3 (5.2.9).
std::uint64_t fixed_description(Tables& tables, std::uint64_t control_structure, std::uint64_t dsdt) {
  const std::uint64_t address = tables.begin("FACP", 3);
  tables.extend(244);
  tables.put(36, static_cast<std::uint32_t>(control_structure));
  tables.put(40, static_cast<std::uint32_t>(dsdt));
  tables.put(46, std::uint16_t{9});  // the SCI, which nothing raises
  tables.put(56, std::uint32_t{acpi::status_port});
  tables.put(64, std::uint32_t{acpi::control_port});
  tables.put(76, std::uint32_t{acpi::timer_port});
  tables.put(88, std::uint8_t{4});
  tables.put(89, std::uint8_t{2});
  tables.put(91, std::uint8_t{4});
  tables.put(96, std::uint16_t{0xfff});  // no C2, no C3
  tables.put(98, std::uint16_t{0xfff});
  tables.put(108, std::uint8_t{0x32});                  // century byte of the clock
  tables.put(109, std::uint16_t{1 | 1 << 2 | 1 << 3});  // legacy devices, no VGA, no MSI
  tables.put(112,
             std::uint32_t{1 | 1 << 2 | 3 << 4 | 1 << 8 | 1 << 10});  // WBINVD, C1, no buttons, 32-bit timer, reset
  tables.put(116, std::uint8_t{1});                                   // reset register: an I/O port of 8 bits
  tables.put(117, std::uint8_t{8});
  tables.put(119, std::uint8_t{1});
  tables.put(120, std::uint64_t{acpi::reset_port});
  tables.put(128, acpi::reset_value);
  tables.put(140, dsdt);
  tables.finish();
  return address;
}

/// Multiple APIC description table (5.2.12).
std::uint64_t interrupt_controllers(Tables& tables, unsigned processors) {
  const std::uint64_t address = tables.begin("APIC", 3);
  tables.number(std::uint32_t{0xfee00000});
  tables.number(std::uint32_t{1});  // a pair of 8259 is there too
  for (unsigned i = 0; i < processors; ++i) {
    tables.number(std::uint16_t{0x0800});  // type 0, 8 bytes
    tables.number(static_cast<std::uint8_t>(i));
    tables.number(static_cast<std::uint8_t>(i));
    tables.number(std::uint32_t{1});
  }
  tables.number(std::uint16_t{0x0c01});  // I/O APIC
  tables.number(static_cast<std::uint8_t>(processors));
  tables.number(std::uint8_t{0});
  tables.number(std::uint32_t{0xfec00000});
  tables.number(std::uint32_t{0});
  tables.number(std::uint16_t{0x0a02});  // the SCI is level-triggered, active high
  tables.number(std::uint8_t{0});
  tables.number(std::uint8_t{9});
  tables.number(std::uint32_t{9});
  tables.number(std::uint16_t{0xd});
  tables.finish();
  return address;
}

}  // namespace

void write_acpi_tables(const Machine& machine, unsigned processors) {
  Tables tables(machine.memory(place::acpi, area, "ACPI tables"));
  const std::uint64_t control_structure = tables.control_structure();
  const std::uint64_t dsdt = definitions(tables);
  const std::uint64_t fixed = fixed_description(tables, control_structure, dsdt);
  const std::uint64_t apic = interrupt_controllers(tables, processors);
  const std::uint64_t root = tables.begin("XSDT", 1);
  tables.number(fixed);
  tables.number(apic);
  tables.finish();
  tables.root_pointer(root);
}

}  // namespace launcher
