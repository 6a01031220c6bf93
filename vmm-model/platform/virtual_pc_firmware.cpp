// What a PC's firmware would have done before the guest's first instruction (see devices/tlm/pc.cpp, which does the same for
// the modeled machine).

#include "devices/acpi_tables.h"
#include "vmm-model/platform/firmware_image.h"
#include "vmm-model/platform/virtual_pc.h"

namespace bunshin::vmm {

void VirtualPc::power_on() {
  const Access access(*this);
  lines_.reset();
  owed_ = {};
  ticks_owed_ = 0;
  legacy_replacement_ = pit_level_ = rtc_level_ = false;
  for (Host& h : hosts_) h.alarm = SimTime::never();
  for (Device* device : std::initializer_list<Device*>{&pic_, &io_apic_, &pit_, &rtc_, &hpet_, &com1_, &keyboard_,
                                                       &control_, &pm_, &debug_exit_, &debug_console_, &post_code_,
                                                       &vga_, &pci_, &bridge_, &lpc_, &apic_}) {
    device->reset();
  }
  if (disk_) disk_->reset();
  apic_.set_virtual_wire();
  assign_pci_resources(pci_, {guest_pci_hole, ecam_base, 0xc000});
  lpc_.route_interrupts();
  start_legacy_chips();
  set_cmos();
  write_firmware_data();
}

void VirtualPc::start_legacy_chips() {
  constexpr u8 initialise = 0x11, mode_8086 = 0x01;
  struct Setting {
    u8 vector, cascade, mask;
  };
  constexpr std::array<Setting, 2> pics{{{0x08, 0x04, 0xb8}, {0x70, 0x02, 0x8e}}};
  for (unsigned i = 0; i < pics.size(); ++i) {
    pic_.write(i, 0, 1, initialise);
    for (const u8 word : {pics[i].vector, pics[i].cascade, mode_8086, pics[i].mask}) pic_.write(i, 1, 1, word);
  }
  pic_.write(2, 1, 1, 1 << (AcpiPm::sci_irq - 8) | 1 << (10 - 8) | 1 << (11 - 8));  // ELCR: SCI and PIRQs
  pit_.write(0, 3, 1, 0x34);                                                        // channel 0: mode 2, 65536
  pit_.write(0, 0, 1, 0);
  pit_.write(0, 0, 1, 0);
  com1_.write(0, 4, 1, 0x08);  // OUT2: interrupts reach the PIC
}

void VirtualPc::set_cmos() {
  const u64 low = memory_.low_size(), high = memory_.high_size();
  const auto word = [this](u8 index, u64 value) {
    rtc_.set_byte(index, static_cast<u8>(value));
    rtc_.set_byte(static_cast<u8>(index + 1), static_cast<u8>(value >> 8));
  };
  constexpr u64 mib = 1 << 20, kib = 1 << 10;
  const u64 extended = low > mib ? std::min<u64>((low - mib) / kib, 0xffff) : 0;
  rtc_.set_byte(0x14, 0x06);  // equipment: FPU, 80x25 colour
  word(0x15, 640);
  word(0x17, extended);
  word(0x30, extended);
  word(0x34, low > 16 * mib ? std::min<u64>((low - 16 * mib) / (64 * kib), 0xffff) : 0);
  word(0x5b, high / (64 * kib));
  rtc_.set_byte(0x5d, static_cast<u8>(high / (64 * kib) >> 16));
}

void VirtualPc::write_firmware_data() {
  const auto put_word = [this](u64 address, u16 value) { memory_.store(GuestPhysical(address), 2, value); };
  // IBM BIOS data area: COM1's port, EBDA segment, equipment, conventional memory in KiB, video mode 3.
  put_word(0x400, 0x3f8);
  put_word(0x40e, 0x9fc0);
  put_word(0x410, 0x0226);
  put_word(0x413, 639);
  put_word(0x449, 80 << 8 | 3);
  put_word(0x463, 0x3d4);
  put_word(0x9fc00, 1);
  // FFFF:0000, where old software jumps to restart the machine: MOV DX, CF9H; MOV AL, 6; OUT DX, AL; HLT.
  constexpr std::array<u8, 7> restart{0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xf4};
  memory_.write(GuestPhysical(0xffff0), restart);
  memory_.write(GuestPhysical(FirmwareTables::base), firmware_image());
}

}  // namespace bunshin::vmm
