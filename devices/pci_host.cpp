#include "devices/pci_host.h"

#include <algorithm>

namespace bunshin {
namespace {

constexpr u32 address_enable = u32{1} << 31;
constexpr u16 no_offset = 4096;

constexpr u32 all_ones(unsigned size) { return size >= 4 ? ~u32{0} : (u32{1} << (8 * size)) - 1; }
/// A configuration cycle carries byte enables of one doubleword.
constexpr bool in_doubleword(u64 offset, unsigned size) { return (offset & 3) + size <= 4; }

constexpr u16 pirq_route(unsigned pirq) { return static_cast<u16>(pirq < 4 ? 0x60 + pirq : 0x68 + pirq - 4); }
constexpr u8 route_disabled = 0x80;

}  // namespace

bool PciHost::attach(u16 routing_id, PciConfigTarget& target) {
  if (count_ == max_functions || find(routing_id) != nullptr) return false;
  slots_[count_++] = {routing_id, &target};
  return true;
}

void PciHost::detach(u16 routing_id) {
  const auto end = slots_.begin() + count_;
  const auto kept = std::remove_if(slots_.begin(), end, [&](const Slot& slot) { return slot.id == routing_id; });
  count_ = static_cast<unsigned>(kept - slots_.begin());
}

PciConfigTarget* PciHost::find(u16 routing_id) const {
  for (unsigned i = 0; i < count_; ++i) {
    if (slots_[i].id == routing_id) return slots_[i].target;
  }
  return nullptr;
}

u32 PciHost::config_read(u16 id, u16 offset, unsigned size) const {
  PciConfigTarget* target = find(id);
  return target == nullptr || offset >= no_offset ? all_ones(size) : target->config_read(offset, size);
}

void PciHost::config_write(u16 id, u16 offset, unsigned size, u32 value) {
  PciConfigTarget* target = find(id);
  if (target != nullptr && offset < no_offset) target->config_write(offset, size, value);
}

u64 PciHost::read(unsigned region, u64 offset, unsigned size) {
  if (region == 1) {
    const u16 id = static_cast<u16>(offset >> 12);
    if (size == 8) {
      return config_read(id, offset & 0xff8, 4) | u64{config_read(id, static_cast<u16>((offset & 0xff8) + 4), 4)} << 32;
    }
    return in_doubleword(offset, size) ? config_read(id, offset & 0xfff, size) : all_ones(size);
  }
  if (offset < 4) {
    if (offset == 0 && size == 4) return address_;
    if (offset == 1 && size == 1 && reset_control_ != nullptr) return reset_control_->read(reset_control_region_, 0, 1);
    return all_ones(size);
  }
  if ((address_ & address_enable) == 0 || !in_doubleword(offset, size)) return all_ones(size);
  return config_read(selected_id(), selected_offset(offset), size);
}

void PciHost::write(unsigned region, u64 offset, unsigned size, u64 value) {
  if (region == 1) {
    const u16 id = static_cast<u16>(offset >> 12);
    if (size == 8) {
      config_write(id, offset & 0xff8, 4, static_cast<u32>(value));
      config_write(id, static_cast<u16>((offset & 0xff8) + 4), 4, static_cast<u32>(value >> 32));
    } else if (in_doubleword(offset, size)) {
      config_write(id, offset & 0xfff, size, static_cast<u32>(value));
    }
    return;
  }
  if (offset < 4) {
    if (offset == 0 && size == 4) address_ = static_cast<u32>(value) & 0x80ff'fffc;
    if (offset == 1 && size == 1 && reset_control_ != nullptr)
      reset_control_->write(reset_control_region_, 0, 1, value);
    return;
  }
  if ((address_ & address_enable) == 0 || !in_doubleword(offset, size)) return;
  config_write(selected_id(), selected_offset(offset), size, static_cast<u32>(value));
}

PciHostBridge::PciHostBridge(DeviceHost& host, u64 ecam_base)
    : PciFunction(host, {0x8086, 0x29c0, 0x060000, 2, 0x8086, 0x29c0}) {
  // Intel 3 Series datasheet, 5.1.16 PCIEXBAR: enabled, 256 buses.
  define(0x60, 4, static_cast<u32>(ecam_base) | 1, 0);
  define(0x64, 4, static_cast<u32>(ecam_base >> 32), 0);
  for (u16 pam = 0x90; pam <= 0x96; ++pam) define(pam, 1, 0x33, 0x33);  // all of C0000..FFFFF reads and writes RAM
}

LpcBridge::LpcBridge(DeviceHost& host, u16 pm_base) : PciFunction(host, {0x8086, 0x2918, 0x060100, 2, 0x8086, 0x2918}) {
  define(0x40, 4, u32{pm_base} | 1, 0);  // PMBASE
  define(0x44, 1, 0x80, 0);              // ACPI_CNTL: enabled, SCI on IRQ 9
  for (unsigned pirq = 0; pirq < pirqs; ++pirq) define(pirq_route(pirq), 1, route_disabled, 0x8f);
}

void LpcBridge::route_interrupts() {
  for (unsigned pirq = 0; pirq < pirqs; ++pirq) put(pirq_route(pirq), 1, firmware_irq(pirq));
  drive();
}

void LpcBridge::config_write(u16 offset, unsigned size, u32 value) {
  PciFunction::config_write(offset, size, value);
  drive();
}

void LpcBridge::set_input(unsigned pin, bool level) {
  const unsigned device = pin / 4;
  if (device >= 32) return;
  u32& line = asserted_[pirq_of(device, pin % 4)];
  line = (line & ~(u32{1} << device)) | u32{level} << device;
  drive();
}

void LpcBridge::drive() {
  u32 outputs = 0;
  for (unsigned pirq = 0; pirq < pirqs; ++pirq) {
    if (asserted_[pirq] == 0) continue;
    outputs |= u32{1} << (first_gsi + pirq);
    const u32 route = get(pirq_route(pirq), 1);
    if ((route & route_disabled) == 0) outputs |= u32{1} << (route & 15);
  }
  const u32 changed = outputs ^ outputs_;
  outputs_ = outputs;
  for (unsigned pin = 0; pin < first_gsi + pirqs; ++pin) {
    if ((changed >> pin & 1) != 0) host_.set_pin(pin, (outputs >> pin & 1) != 0);
  }
}

void LpcBridge::reset() {
  PciFunction::reset();
  asserted_.fill(0);
  drive();
}

void LpcBridge::hash(StateHash& hash) const {
  PciFunction::hash(hash);
  for (const u32 line : asserted_) hash.add(line);
}

namespace {

/// Sizes one BAR and gives it an address; returns the number of BAR slots it takes.
unsigned assign_bar(PciConfigTarget& function, unsigned bar, u64& memory, u64 memory_end, u32& io) {
  const u16 at = static_cast<u16>(0x10 + 4 * bar);
  function.config_write(at, 4, ~u32{0});
  const u32 low = function.config_read(at, 4);
  if (low == 0) return 1;
  if ((low & 1) != 0) {
    const u32 size = ~(low & ~u32{3}) + 1;
    const u32 base = (io + size - 1) & ~(size - 1);
    const bool fits = size <= 0x10000 && u64{base} + size <= 0x10000;
    function.config_write(at, 4, fits ? base : 0);
    if (fits) io = base + size;
    return 1;
  }
  const bool is_64bit = (low & 6) == 4 && bar < 5;
  u64 mask = (low & ~u32{15}) | u64{0xffff'ffff} << 32;
  if (is_64bit) {
    function.config_write(at + 4, 4, ~u32{0});
    mask = (mask & 0xffff'ffff) | u64{function.config_read(at + 4, 4)} << 32;
  }
  const u64 size = ~mask + 1;
  const u64 base = (memory + size - 1) & ~(size - 1);
  const bool fits = size != 0 && base >= memory && base < memory_end && size <= memory_end - base;
  function.config_write(at, 4, fits ? static_cast<u32>(base) : 0);
  if (is_64bit) function.config_write(at + 4, 4, fits ? static_cast<u32>(base >> 32) : 0);
  if (fits) memory = base + size;
  return is_64bit ? 2 : 1;
}

}  // namespace

void assign_pci_resources(PciHost& host, const PciWindows& windows) {
  u64 memory = windows.memory_base;
  u32 io = windows.io_base;
  for (unsigned devfn = 0; devfn < 256; ++devfn) {
    PciConfigTarget* function = host.find(static_cast<u16>(devfn));
    if (function == nullptr || (function->config_read(0x0e, 1) & 0x7f) != 0) continue;
    for (unsigned bar = 0; bar < PciFunction::bar_count;)
      bar += assign_bar(*function, bar, memory, windows.memory_end, io);
    const u32 pin = function->config_read(0x3d, 1);
    if (pin >= 1 && pin <= 4) {
      function->config_write(0x3c, 1, LpcBridge::firmware_irq(LpcBridge::pirq_of(devfn >> 3, pin - 1)));
    }
    function->config_write(0x04, 2, 0x7);  // I/O, memory, bus master
  }
}

}  // namespace bunshin
