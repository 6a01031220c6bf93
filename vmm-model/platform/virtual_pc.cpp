#include "vmm-model/platform/virtual_pc.h"

namespace bunshin::vmm {

namespace {

constexpr unsigned lpc_slot = 31, disk_slot = 2;
constexpr u64 vga_text_base = 0xb8000;
constexpr std::array<char, 13> disk_serial{'b', 'u', 'n', 's', 'h', 'i', 'n', '-', 'g', 'u', 'e', 's', 't'};

}  // namespace

// Hosts must be connected before the devices that some constructors reset.
VirtualPc::VirtualPc(Hardware& hardware, GuestMemory& memory, VirtualPcEvents& events, const VirtualPcSetup& setup)
    : hardware_(hardware),
      memory_(memory),
      events_(events),
      hosts_([this] {
        std::array<Host, chips> hosts;
        for (unsigned i = 0; i < chips; ++i) hosts[i].connect(*this, static_cast<Chip>(i));
        return hosts;
      }()),
      pic_(host(Chip::pic)),
      io_apic_(router_),
      lines_(pic_, io_apic_),
      pit_(host(Chip::pit)),
      rtc_(host(Chip::rtc), setup.epoch),
      hpet_(host(Chip::hpet)),
      com1_(host(Chip::com1)),
      keyboard_(host(Chip::keyboard)),
      control_(host(Chip::control)),
      pm_(host(Chip::pm)),
      debug_exit_(host(Chip::debug_exit)),
      apic_(0, 0, true, host(Chip::apic), router_, *this, setup.apic_timer, setup.apic),
      bridge_(host(Chip::bridge), ecam_base),
      lpc_(host(Chip::lpc), AcpiPm::pm_base) {
  router_.attach(0, apic_);
  router_.attach(io_apic_);
  router_.attach(pic_);
  com1_.connect(this);
  debug_console_.connect(this);
  pci_.attach(0, bridge_);
  pci_.attach(lpc_slot << 3, lpc_);
  pci_.connect_reset_control(control_, 1);
  if (setup.disk != nullptr) {
    disk_.emplace(host(Chip::disk), *setup.disk, VirtioBlkTiming{}, disk_serial);
    disk_->connect(this);
    pci_.attach(disk_slot << 3, *disk_);
  }
  alarmed_ = {nullptr,
              &pit_,
              &rtc_,
              &hpet_,
              nullptr,
              nullptr,
              nullptr,
              &pm_,
              nullptr,
              &apic_,
              nullptr,
              nullptr,
              disk_ ? &*disk_ : nullptr};
  claim_ports();
}

void VirtualPc::claim(u16 port, u16 size, Device& device, u8 region) {
  ports_[port_count_++] = {port, size, &device, region};
}

void VirtualPc::claim_ports() {
  claim(0x3f8, 8, com1_, 0);
  claim(0x20, 2, pic_, 0);
  claim(0xa0, 2, pic_, 1);
  claim(0x4d0, 2, pic_, 2);
  claim(0x40, 4, pit_, 0);
  claim(0x61, 1, pit_, 1);
  claim(0x70, 2, rtc_, 0);
  claim(0x60, 1, keyboard_, 0);
  claim(0x64, 1, keyboard_, 1);
  claim(0x92, 1, control_, 0);
  claim(AcpiPm::pm_base, AcpiPm::pm_length, pm_, 0);
  claim(0xb2, 2, pm_, 1);
  claim(0x3b0, 0x30, vga_, 1);
  claim(0xe9, 1, debug_console_, 0);
  claim(0x80, 1, post_code_, 0);
  claim(0xf4, 4, debug_exit_, 0);
  claim(0xcf8, 8, pci_, 0);
}

const VirtualPc::Claim* VirtualPc::find_port(u16 port, unsigned size) const {
  for (unsigned i = 0; i < port_count_; ++i) {
    const Claim& c = ports_[i];
    if (port >= c.base && port + size <= c.base + c.size) return &c;
  }
  return nullptr;
}

const VirtualPc::Claim* VirtualPc::find_memory(u64 address, unsigned size, Claim& scratch) {
  const auto inside = [&](u64 base, u64 bytes, Device& device, u8 region) {
    if (address < base || address + size > base + bytes) return false;
    scratch = {base, bytes, &device, region};
    return true;
  };
  if (apic_.mmio_enabled() && inside(apic_.mmio_base(), page_size, apic_, 0)) return &scratch;
  if (inside(io_apic_base, page_size, io_apic_, 0)) return &scratch;
  if (inside(hpet_base, 0x400, hpet_, 0)) return &scratch;
  if (inside(vga_text_base, VgaText::memory_bytes, vga_, 0)) return &scratch;
  if (disk_bar_.size != 0 && inside(disk_bar_.base, disk_bar_.size, *disk_, disk_bar_.region)) return &scratch;
  if (inside(ecam_base, PciHost::ecam_bytes, pci_, 1)) return &scratch;
  return nullptr;
}

void VirtualPc::place_bar(unsigned bar, bool io, u64 base, u64 size) {
  if (!io) disk_bar_ = {base, size, &*disk_, static_cast<u8>(bar)};
}

u64 VirtualPc::read(const Claim& claim, u64 address, unsigned size) {
  catch_up(*claim.device);
  return claim.device->read(claim.region, address - claim.base, size);
}

void VirtualPc::write(const Claim& claim, u64 address, unsigned size, u64 value) {
  catch_up(*claim.device);
  forget_debts(claim, address - claim.base);
  claim.device->write(claim.region, address - claim.base, size, value);
}

// An access that no one device spans is made of bytes, as the ISA bus does it.
u64 VirtualPc::read_port(u16 port, unsigned size) {
  const Access access(*this);
  if (const Claim* c = find_port(port, size)) return read(*c, port, size);
  if (size == 1) return 0xff;
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) value |= read_port(static_cast<u16>(port + i), 1) << (8 * i);
  return value;
}

void VirtualPc::write_port(u16 port, unsigned size, u64 value) {
  const Access access(*this);
  if (const Claim* c = find_port(port, size)) return write(*c, port, size, value);
  if (size == 1) return;
  for (unsigned i = 0; i < size; ++i) write_port(static_cast<u16>(port + i), 1, value >> (8 * i) & 0xff);
}

u64 VirtualPc::read_memory(u64 address, unsigned size) {
  const Access access(*this);
  Claim scratch;
  const Claim* c = find_memory(address, size, scratch);
  return c != nullptr ? read(*c, address, size) : ~u64{0};
}

void VirtualPc::write_memory(u64 address, unsigned size, u64 value) {
  const Access access(*this);
  Claim scratch;
  if (const Claim* c = find_memory(address, size, scratch)) write(*c, address, size, value);
}

bool VirtualPc::read_apic_msr(u32 number, u64& value) {
  const Access access(*this);
  catch_up(apic_);
  if (number != msr::tsc_deadline) return apic_.read_msr(number, value);
  value = apic_.tsc_deadline();
  return true;
}

bool VirtualPc::write_apic_msr(u32 number, u64 value) {
  const Access access(*this);
  catch_up(apic_);
  if (number != msr::tsc_deadline) return apic_.write_msr(number, value);
  apic_.set_tsc_deadline(value, value == 0 ? SimTime::never() : hardware_.time_of_tsc(value));
  return true;
}

bool VirtualPc::Host::dma_read(u64 address, std::span<u8> data) {
  return pc_->memory_.read(GuestPhysical(address), data);
}

bool VirtualPc::Host::dma_write(u64 address, std::span<const u8> data) {
  constexpr u64 message_window = 0xfee;
  if (address >> 20 == message_window && data.size() == 4) {
    u32 message = 0;
    for (unsigned i = 0; i < 4; ++i) message |= u32{data[i]} << (8 * i);
    pc_->router_.message_signalled(address, message);
    return true;
  }
  if (!pc_->memory_.write(GuestPhysical(address), data)) return false;
  pc_->events_.memory_written(GuestPhysical(address), data.size());
  return true;
}

void VirtualPc::drive_legacy_timers() {
  lines_.drive(InterruptLines::Source::Isa, 0, pit_level_ && !legacy_replacement_);
  lines_.drive(InterruptLines::Source::Isa, 8, rtc_level_ && !legacy_replacement_);
}

// The board's wires, as devices/tlm/pc.cpp has them.
void VirtualPc::pin_changed(Chip chip, unsigned pin, bool level) {
  using Source = InterruptLines::Source;
  switch (chip) {
    case Chip::pic: apic_.set_input(0, level); break;
    case Chip::pit:
      if (level && !legacy_replacement_) note_edge(0);
      pit_level_ = level;
      drive_legacy_timers();
      break;
    case Chip::rtc:
      rtc_level_ = level;
      pm_.set_input(0, level);
      drive_legacy_timers();
      break;
    case Chip::hpet:
      if (pin == Hpet::pin_legacy_replacement) {
        legacy_replacement_ = level;
        drive_legacy_timers();
      } else {
        if (level) note_edge(pin);
        lines_.drive(Source::Hpet, pin, level);
      }
      break;
    case Chip::com1: lines_.drive(Source::Isa, 4, level); break;
    case Chip::keyboard:
      if (pin == I8042::pin_irq) lines_.drive(Source::Isa, 1, level);
      if (pin == I8042::pin_reset && level) events_.reset();
      break;
    case Chip::control:
      if (pin == SystemControl::pin_reset && level) events_.reset();
      break;
    case Chip::pm:
      if (pin == AcpiPm::pin_sci) lines_.drive(Source::Isa, AcpiPm::sci_irq, level);
      if (pin == AcpiPm::pin_power_off && level) events_.power_off();
      break;
    case Chip::debug_exit:
      if (level) events_.debug_exit(debug_exit_.value());
      break;
    case Chip::disk: lpc_.set_input(disk_slot * 4 + PciFunction::pin_intx, level); break;
    case Chip::lpc:
      if (pin < LpcBridge::first_gsi) {
        lines_.drive_pic_only(pin, level);
      } else {
        lines_.drive(Source::Pci, pin, level);
      }
      break;
    default: break;
  }
}

}  // namespace bunshin::vmm
