#include "devices/interrupt_bus.h"

#include "base/check.h"
#include "devices/io_apic.h"
#include "devices/pic.h"

namespace bunshin {

void InterruptRouter::attach(unsigned index, LocalApic& apic) {
  SIM_CHECK(index < max_local_apics);
  local_apics_[index] = &apic;
}

void InterruptRouter::attach(IoApic& io_apic) {
  for (IoApic*& slot : io_apics_) {
    if (slot != nullptr) continue;
    slot = &io_apic;
    return;
  }
  SIM_CHECK(false);
}

void InterruptRouter::send_ipi(unsigned sender, unsigned shorthand, const InterruptMessage& message) {
  const u32 self = sender < max_local_apics ? u32{1} << sender : 0;
  const u32 all = (u32{1} << max_local_apics) - 1;
  switch (shorthand) {
    case 1: return deliver(message, self);
    case 2: return deliver(message, all);
    case 3: return deliver(message, all & ~self);
    default: return send(message);
  }
}

void InterruptRouter::send(const InterruptMessage& message) {
  u32 targets = 0;
  for (unsigned index = 0; index < max_local_apics; ++index) {
    const LocalApic* apic = local_apics_[index];
    if (apic != nullptr && apic->accepts(message)) targets |= u32{1} << index;
  }
  deliver(message, targets);
}

// Lowest-priority arbitration is the chipset's choice (10.6.2.4); equal priorities go to the lowest number, always.
void InterruptRouter::deliver(const InterruptMessage& message, u32 targets) {
  LocalApic* chosen = nullptr;
  for (unsigned index = 0; index < max_local_apics; ++index) {
    LocalApic* apic = local_apics_[index];
    if (apic == nullptr || (targets >> index & 1) == 0) continue;
    if (message.mode != DeliveryMode::LowestPriority) {
      apic->deliver(message);
    } else if (apic->arbitrates() &&
               (chosen == nullptr || apic->arbitration_priority() < chosen->arbitration_priority())) {
      chosen = apic;
    }
  }
  if (chosen != nullptr) chosen->deliver(message);
}

void InterruptRouter::end_of_interrupt(u8 vector) {
  for (IoApic* io_apic : io_apics_) {
    if (io_apic != nullptr) io_apic->end_of_interrupt(vector);
  }
}

u8 InterruptRouter::acknowledge_external() {
  constexpr u8 floating_bus = 0xff;
  return pic_ != nullptr ? pic_->acknowledge() : floating_bus;
}

void InterruptRouter::message_signalled(u64 address, u32 data) {
  constexpr u64 message_window = 0xfee;
  if (address >> 20 != message_window) return;
  InterruptMessage message;
  message.destination = static_cast<u32>(address >> 12 & 0xff);
  message.logical = (address >> 2 & 1) != 0;
  message.vector = static_cast<u8>(data);
  message.mode = static_cast<DeliveryMode>(data >> 8 & 7);
  message.level_triggered = (data >> 15 & 1) != 0;
  message.assert_level = (data >> 14 & 1) != 0;
  if (message.level_triggered && !message.assert_level) return;
  const bool redirection_hint = (address >> 3 & 1) != 0;
  if (redirection_hint && message.logical && message.mode == DeliveryMode::Fixed) {
    message.mode = DeliveryMode::LowestPriority;
  }
  send(message);
}

}  // namespace bunshin
