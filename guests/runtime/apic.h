#pragma once

// The local APIC through its memory-mapped registers, and the two 8259As (Intel SDM vol. 3, chapter 10; 8259A datasheet).

#include "guests/runtime/processor.h"

namespace guest {

constexpr unsigned spurious_vector = 0xff, pic_vector = 0x20;

enum class ApicRegister : u32 {
  Id = 0x20,
  Version = 0x30,
  EndOfInterrupt = 0xb0,
  Spurious = 0xf0,
  CommandLow = 0x300,
  CommandHigh = 0x310,
  Timer = 0x320,
  Lint0 = 0x350,
  InitialCount = 0x380,
  CurrentCount = 0x390,
  DivideConfiguration = 0x3e0,
};

u32 read_apic(ApicRegister index);
void write_apic(ApicRegister index, u32 value);
/// Switches the local APIC on; `external` lets the 8259A's interrupts in through LINT0.
void enable_apic(bool external);
void end_of_interrupt();
/// Sends an interrupt command and waits until it is accepted.
void send_command(u32 destination, u32 command);

/// Vectors 0x20 to 0x2F, all lines masked but those in `open` (bit 0: IRQ 0).
void initialize_pics(u16 open);
void end_of_pic_interrupt();

}  // namespace guest
