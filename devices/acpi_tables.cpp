#include "devices/acpi_tables.h"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string_view>

#include "base/check.h"
#include "devices/acpi_pm.h"
#include "devices/pci_host.h"

namespace bunshin {
namespace {

#include "devices/dsdt.hex"  // dsdt_aml_code: devices/dsdt.asl as iasl compiled it

constexpr u32 local_apic_address = 0xfee0'0000, io_apic_address = 0xfec0'0000, hpet_address = 0xfed0'0000;
/// Offset of the checksum in a system description table header (ACPI 5.2.6).
constexpr unsigned header_checksum = 9;

/// Bytes written in order, little endian.
class Writer {
 public:
  Writer& u(unsigned size, u64 value) {
    for (unsigned i = 0; i < size; ++i) bytes_.push_back(static_cast<u8>(value >> (8 * i)));
    return *this;
  }
  /// Text, padded with blanks or cut to `size`.
  Writer& text(unsigned size, std::string_view value) {
    for (unsigned i = 0; i < size; ++i) bytes_.push_back(i < value.size() ? static_cast<u8>(value[i]) : u8{' '});
    return *this;
  }
  Writer& zeros(unsigned size) { return u(0, 0).pad(bytes_.size() + size); }
  Writer& pad(std::size_t size) {
    bytes_.resize(size, 0);
    return *this;
  }
  void patch(std::size_t at, unsigned size, u64 value) {
    for (unsigned i = 0; i < size; ++i) bytes_[at + i] = static_cast<u8>(value >> (8 * i));
  }
  /// Makes the bytes [0, size) sum to zero.
  void checksum(std::size_t at, std::size_t size) {
    bytes_[at] = 0;
    u8 sum = 0;
    for (std::size_t i = 0; i < size; ++i) sum = static_cast<u8>(sum + bytes_[i]);
    bytes_[at] = static_cast<u8>(-sum);
  }
  std::size_t size() const { return bytes_.size(); }
  const std::vector<u8>& bytes() const { return bytes_; }

 private:
  std::vector<u8> bytes_;
};

/// ACPI 5.2.6: every table's header; finish() fills in length and checksum.
Writer table(std::string_view signature, u8 revision) {
  Writer w;
  w.text(4, signature)
      .u(4, 0)
      .u(1, revision)
      .u(1, 0)
      .text(6, "BUNSHN")
      .text(8, "BUNSHIN")
      .u(4, 1)
      .text(4, "BNSH")
      .u(4, 1);
  return w;
}

const std::vector<u8>& finish(Writer& w) {
  w.patch(4, 4, w.size());
  w.checksum(header_checksum, w.size());
  return w.bytes();
}

/// ACPI 5.2.3.2: generic address structure.
void io_address(Writer& w, u16 port, unsigned bytes) {
  const unsigned access = bytes == 1 ? 1 : bytes == 2 ? 2 : bytes == 4 ? 3 : 0;
  w.u(1, port != 0).u(1, port == 0 ? 0 : 8 * bytes).u(1, 0).u(1, port == 0 ? 0 : access).u(8, port);
}

Writer make_fadt(u64 facs, u64 dsdt) {
  constexpr u16 pm1_event = AcpiPm::pm_base, pm1_control = AcpiPm::pm_base + 4, pm_timer = AcpiPm::pm_base + 8;
  constexpr u16 gpe0 = AcpiPm::pm_base + 0x20;
  // WBINVD, PROC_C1, no fixed sleep button, no RTC wake, reset register.
  constexpr u32 flags = 1 << 0 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 10;
  Writer w = table("FACP", 5);
  w.u(4, facs).u(4, dsdt).u(1, 0).u(1, 1).u(2, AcpiPm::sci_irq).u(4, 0xb2);
  w.u(1, AcpiPm::acpi_enable).u(1, AcpiPm::acpi_disable).u(1, 0).u(1, 0);
  w.u(4, pm1_event).u(4, 0).u(4, pm1_control).u(4, 0).u(4, 0).u(4, pm_timer).u(4, gpe0).u(4, 0);
  w.u(1, 4).u(1, 2).u(1, 0).u(1, 4).u(1, 16).u(1, 0).u(1, 0).u(1, 0);
  w.u(2, 0xfff).u(2, 0xfff).u(2, 0).u(2, 0);     // C2 and C3 unsupported, no flush
  w.u(1, 0).u(1, 0).u(1, 0).u(1, 0).u(1, 0x32);  // no duty cycle, no RTC alarm day and month; century
  w.u(2, 1 << 0 | 1 << 1).u(1, 0).u(4, flags);   // legacy devices, 8042
  io_address(w, 0xcf9, 1);
  w.u(1, 0x06).u(2, 0).u(1, 0);  // reset value
  w.u(8, facs).u(8, dsdt);
  io_address(w, pm1_event, 4);
  io_address(w, 0, 0);
  io_address(w, pm1_control, 2);
  io_address(w, 0, 0);
  io_address(w, 0, 0);
  io_address(w, pm_timer, 4);
  io_address(w, gpe0, 16);
  for (int unused = 0; unused < 3; ++unused) io_address(w, 0, 0);  // GPE1, sleep control and status
  SIM_CHECK(w.size() == 268);
  return w;
}

Writer make_facs() {  // 5.2.10: has no checksum
  Writer w;
  w.text(4, "FACS").u(4, 64).pad(64);
  w.patch(32, 1, 2);
  return w;
}

Writer make_madt(const FirmwareConfig& config) {
  Writer w = table("APIC", 3);
  w.u(4, local_apic_address).u(4, 1);  // PCAT_COMPAT: there are 8259s too
  for (unsigned core = 0; core < config.cores; ++core) w.u(1, 0).u(1, 8).u(1, core).u(1, core).u(4, 1);
  w.u(1, 1).u(1, 12).u(1, config.io_apic_id).u(1, 0).u(4, io_apic_address).u(4, 0);
  // 5.2.12.5: the PIT's line is input 2; the SCI is level triggered, active high.
  w.u(1, 2).u(1, 10).u(1, 0).u(1, 0).u(4, 2).u(2, 0);
  w.u(1, 2).u(1, 10).u(1, 0).u(1, AcpiPm::sci_irq).u(4, AcpiPm::sci_irq).u(2, 0xd);
  w.u(1, 4).u(1, 6).u(1, 0xff).u(2, 0).u(1, 1);  // NMI: LINT1 of all
  return w;
}

Writer make_hpet() {  // IA-PC HPET 1.0a, 3.2.4
  constexpr u32 block = u32{0x8086} << 16 | 1 << 15 | 1 << 13 | 2 << 8 | 1;
  Writer w = table("HPET", 1);
  w.u(4, block).u(1, 0).u(1, 64).u(1, 0).u(1, 0).u(8, hpet_address).u(1, 0).u(2, 128).u(1, 0);
  return w;
}

Writer make_mcfg(u64 ecam_base) {  // PCI firmware specification 3.2, 4.1.2
  Writer w = table("MCFG", 1);
  w.zeros(8).u(8, ecam_base).u(2, 0).u(1, 0).u(1, 255).u(4, 0);
  return w;
}

/// Places tables one after the other, 64-byte aligned.
class Segment {
 public:
  explicit Segment(std::vector<u8>& bytes) : bytes_(bytes) {}
  u64 place(const std::vector<u8>& table_bytes) {
    next_ = (next_ + 63) & ~std::size_t{63};
    const u64 address = FirmwareTables::base + next_;
    SIM_CHECK(next_ + table_bytes.size() <= FirmwareTables::mp_pointer - FirmwareTables::base);
    put(next_, table_bytes);
    next_ += table_bytes.size();
    return address;
  }
  void put(std::size_t at, std::span<const u8> data) {
    if (bytes_.size() < at + data.size()) bytes_.resize(at + data.size());
    std::ranges::copy(data, bytes_.begin() + static_cast<std::ptrdiff_t>(at));
  }

 private:
  std::vector<u8>& bytes_;
  std::size_t next_ = FirmwareTables::facs - FirmwareTables::base;
};

/// RSDT (entries of 4 bytes) or XSDT (8 bytes), 5.2.7 and 5.2.8.
Writer make_root(std::string_view signature, unsigned entry_bytes, std::span<const u64> tables) {
  Writer w = table(signature, 1);
  for (const u64 address : tables) w.u(entry_bytes, address);
  return w;
}

void place_rsdp(Segment& segment, u64 rsdt, u64 xsdt) {  // 5.2.5.3
  Writer w;
  w.text(8, "RSD PTR ").u(1, 0).text(6, "BUNSHN").u(1, 2).u(4, rsdt).u(4, 36).u(8, xsdt).u(1, 0).zeros(3);
  w.checksum(8, 20);
  w.checksum(32, 36);
  segment.put(FirmwareTables::rsdp - FirmwareTables::base, w.bytes());
}

/// MP specification 4.3: the base table's entries; returns their number.
unsigned mp_entries(Writer& w, const FirmwareConfig& config) {
  constexpr u8 pci_bus = 0, isa_bus = 1;
  constexpr u16 conforms = 0, level_low = 0xf, level_high = 0xd;
  const u8 io_apic = config.io_apic_id;
  unsigned count = 0;
  for (unsigned core = 0; core < config.cores; ++core, ++count) {
    w.u(1, 0)
        .u(1, core)
        .u(1, 0x14)
        .u(1, core == 0 ? 3 : 1)
        .u(4, config.cpu_signature)
        .u(4, config.cpu_features)
        .u(8, 0);
  }
  w.u(1, 1).u(1, pci_bus).text(6, "PCI");
  w.u(1, 1).u(1, isa_bus).text(6, "ISA");
  w.u(1, 2).u(1, io_apic).u(1, 0x20).u(1, 1).u(4, io_apic_address);
  count += 3;
  const auto interrupt = [&](u8 kind, u8 type, u16 flags, u8 bus, unsigned line, u8 to, unsigned input) {
    w.u(1, kind).u(1, type).u(2, flags).u(1, bus).u(1, line).u(1, to).u(1, input);
    ++count;
  };
  for (unsigned irq = 0; irq < 16; ++irq) {
    if (irq == 2 || irq == 10 || irq == 11) continue;  // the cascade; the PIRQs' way to the PIC
    interrupt(3, 0, irq == AcpiPm::sci_irq ? level_high : conforms, isa_bus, irq, io_apic, irq == 0 ? 2 : irq);
  }
  for (unsigned line = 0; line < 128; ++line) {
    interrupt(3, 0, level_low, pci_bus, line, io_apic, LpcBridge::first_gsi + LpcBridge::pirq_of(line / 4, line % 4));
  }
  interrupt(4, 3, conforms, isa_bus, 0, 0xff, 0);  // ExtINT on LINT0
  interrupt(4, 1, conforms, isa_bus, 0, 0xff, 1);  // NMI on LINT1
  return count;
}

void place_mp_table(Segment& segment, const FirmwareConfig& config) {
  constexpr u64 table_address = FirmwareTables::mp_pointer + 16;
  Writer pointer;
  pointer.text(4, "_MP_").u(4, table_address).u(1, 1).u(1, 4).u(1, 0).zeros(5);
  pointer.checksum(10, 16);
  Writer w;
  w.text(4, "PCMP").u(2, 0).u(1, 4).u(1, 0).text(8, "BUNSHIN").text(12, "PC").u(4, 0).u(2, 0).u(2, 0);
  w.u(4, local_apic_address).u(2, 0).u(1, 0).u(1, 0);
  w.patch(34, 2, mp_entries(w, config));
  w.patch(4, 2, w.size());
  w.checksum(7, w.size());
  segment.put(FirmwareTables::mp_pointer - FirmwareTables::base, pointer.bytes());
  segment.put(table_address - FirmwareTables::base, w.bytes());
}

}  // namespace

FirmwareTables build_firmware_tables(const FirmwareConfig& config) {
  if (config.cores < 1 || config.cores > 16)
    throw std::runtime_error("firmware tables: 1 to 16 cores can be described");
  FirmwareTables result;
  Segment segment(result.bytes);
  const u64 facs = segment.place(make_facs().bytes());
  SIM_CHECK(facs == FirmwareTables::facs);
  const u64 dsdt = segment.place(std::vector<u8>(std::begin(dsdt_aml_code), std::end(dsdt_aml_code)));
  std::vector<u64> tables;
  const auto add = [&](Writer w) { tables.push_back(segment.place(finish(w))); };
  add(make_fadt(facs, dsdt));
  add(make_madt(config));
  if (config.hpet) add(make_hpet());
  add(make_mcfg(config.ecam_base));
  Writer rsdt = make_root("RSDT", 4, tables);
  Writer xsdt = make_root("XSDT", 8, tables);
  const u64 rsdt_address = segment.place(finish(rsdt));
  place_rsdp(segment, rsdt_address, segment.place(finish(xsdt)));
  if (config.mp_table) place_mp_table(segment, config);
  return result;
}

}  // namespace bunshin
