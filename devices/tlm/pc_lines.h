#pragma once

// The board's interrupt lines: global system interrupts 0..23, each the OR of all that drive it.

#include <array>

#include "devices/io_apic.h"
#include "devices/pic.h"

namespace bunshin {

class InterruptLines {
 public:
  static constexpr unsigned count = 24;
  static constexpr unsigned pic_inputs = 16;
  enum class Source : u8 { Isa, Hpet, TestDevice, Pci };

  InterruptLines(Pic& pic, IoApic& io_apic) : pic_(pic), io_apic_(io_apic) {}

  /// Lines below 16 reach the PIC and the IOAPIC (IRQ 0 its input 2: ACPI 6.4, 5.2.12.5), the others the IOAPIC.
  void drive(Source source, unsigned line, bool level) {
    if (line >= count) return;
    const u32 bit = u32{1} << static_cast<unsigned>(source);
    drivers_[line] = level ? drivers_[line] | bit : drivers_[line] & ~bit;
    if (line < pic_inputs) update_pic(line);
    if (line == 0 || line == 2) {
      io_apic_.set_input(2, (drivers_[0] | drivers_[2]) != 0);
    } else {
      io_apic_.set_input(line, drivers_[line] != 0);
    }
  }
  /// An edge of the line asks for an interrupt.
  bool listened_to(unsigned line) const {
    return io_apic_.edge_vector(io_apic_input(line)) != 0 || (line < pic_inputs && !pic_.masked(line));
  }
  /// The line's last edge still waits to be taken by the processor of this local APIC: one more would be lost in it.
  bool edge_waits(unsigned line, const LocalApic& apic) const {
    const u8 vector = io_apic_.edge_vector(io_apic_input(line));
    return vector != 0 ? apic.requested(vector) : line < pic_inputs && pic_.edge_waits(line);
  }
  /// A PIRQ that the LPC bridge routes to an ISA interrupt.
  void drive_pic_only(unsigned irq, bool level) {
    const u32 bit = u32{1} << (irq % pic_inputs);
    pirqs_ = level ? pirqs_ | bit : pirqs_ & ~bit;
    update_pic(irq % pic_inputs);
  }
  void reset() {
    drivers_.fill(0);
    pirqs_ = 0;
  }

 private:
  static constexpr unsigned io_apic_input(unsigned line) { return line == 0 ? 2 : line; }
  void update_pic(unsigned irq) { pic_.set_input(irq, drivers_[irq] != 0 || (pirqs_ >> irq & 1) != 0); }

  Pic& pic_;
  IoApic& io_apic_;
  std::array<u32, count> drivers_{};
  u32 pirqs_ = 0;
};

}  // namespace bunshin
