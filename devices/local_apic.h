#pragma once

// The local APIC of one processor (SDM vol. 3, ch. 10 "Advanced Programmable Interrupt Controller"; x2APIC 10.12).

#include <array>
#include <optional>

#include "devices/device.h"

namespace bunshin {

/// SDM vol. 3, 10.6.1 "Delivery Mode".
enum class DeliveryMode : u8 { Fixed = 0, LowestPriority = 1, Smi = 2, Nmi = 4, Init = 5, Startup = 6, ExtInt = 7 };

/// One interrupt message: an IPI, an MSI, or what an IOAPIC entry sends.
struct InterruptMessage {
  u32 destination = 0;  ///< APIC id (8 or 32 bits) or logical destination
  bool logical = false;
  DeliveryMode mode = DeliveryMode::Fixed;
  u8 vector = 0;
  bool level_triggered = false;
  bool assert_level = true;
  bool x2apic_destination = false;  ///< destination is 32 bits wide
};

/// Carries messages between local APICs, IOAPICs and MSI writers. Implemented by devices/interrupt_bus.
class InterruptBus {
 public:
  /// `shorthand`: 0 none, 1 self, 2 all including self, 3 all but self; `sender` is the index of the local APIC.
  virtual void send_ipi(unsigned sender, unsigned shorthand, const InterruptMessage& message) = 0;
  /// From an IOAPIC or a memory write to 0xFEExxxxx.
  virtual void send(const InterruptMessage& message) = 0;
  /// The end of a level-triggered interrupt, broadcast to the IOAPICs.
  virtual void end_of_interrupt(u8 vector) = 0;

 protected:
  ~InterruptBus() = default;
};

/// The processor's pins that interrupts arrive at. Implemented by core/processor.
class ProcessorPins {
 public:
  /// LocalApic::interrupt_pending() may have changed.
  virtual void interrupt_request_changed() = 0;
  virtual void nmi() = 0;
  virtual void smi() = 0;
  virtual void init() = 0;
  virtual void startup(u8 vector) = 0;

 protected:
  ~ProcessorPins() = default;
};

}  // namespace bunshin
