// How the local APIC accepts, prioritises, delivers and sends interrupts (SDM vol. 3, 10.5, 10.6 and 10.8).

#include <algorithm>

#include "devices/local_apic.h"

namespace bunshin {

namespace {

constexpr u32 broadcast_x2apic = 0xffffffff;
constexpr u32 broadcast_xapic = 0xff;
constexpr u32 dfr_flat = 0xf;
constexpr u32 dfr_cluster = 0x0;
constexpr u8 first_legal_vector = 16;

constexpr u8 priority_class(int vector) { return vector < 0 ? 0 : static_cast<u8>(vector & 0xf0); }

}  // namespace

// 10.8.3.1.
u8 LocalApic::processor_priority() const {
  const u8 in_service = priority_class(isr_.highest());
  return (tpr_ & 0xf0) >= in_service ? tpr_ : in_service;
}

// 10.6.2.4.
u8 LocalApic::arbitration_priority() const {
  const u8 requested = priority_class(irr_.highest());
  const u8 in_service = priority_class(isr_.highest());
  const u8 task = tpr_ & 0xf0;
  if (task >= requested && task > in_service) return tpr_;
  return std::max({task, requested, in_service});
}

// An ExtINT is level-like: it stands while the PIC drives LINT0, or until the message of an IOAPIC is acknowledged.
bool LocalApic::external_pending() const {
  if (!globally_enabled()) return lint_[0];
  if (external_message_) return true;
  const u32 lint0 = lvt_[lvt_lint0];
  return lint_[0] && (lint0 & lvt_masked) == 0 && mode_of(lint0) == DeliveryMode::ExtInt;
}

void LocalApic::update() {
  bool pending = external_pending();
  if (!pending && globally_enabled()) {
    const int requested = irr_.highest();
    pending = requested >= 0 && priority_class(requested) > (processor_priority() & 0xf0);
  }
  if (pending == pending_) return;
  pending_ = pending;
  pins_.interrupt_request_changed();
}

u8 LocalApic::held_back_class() const {
  if ((tpr_ & 0xf0) == 0) return 0;
  const u8 requested = priority_class(irr_.highest());
  const bool held = globally_enabled() && requested > priority_class(isr_.highest()) && requested <= (tpr_ & 0xf0);
  return held ? requested >> 4 : u8{0};
}

u8 LocalApic::acknowledge() {
  if (external_pending()) {
    external_message_ = false;
    const u8 vector = bus_.acknowledge_external();
    update();
    return vector;
  }
  const int requested = irr_.highest();
  if (!globally_enabled() || requested < 0 || priority_class(requested) <= (processor_priority() & 0xf0)) {
    return static_cast<u8>(svr_);  // 10.9
  }
  const u8 vector = static_cast<u8>(requested);
  irr_.clear(vector);
  isr_.set(vector);
  update();
  return vector;
}

void LocalApic::accept(u8 vector, bool level_triggered) {
  if (vector < first_legal_vector) return raise_error(receive_illegal_vector);
  irr_.set(vector);
  if (level_triggered) {
    tmr_.set(vector);
  } else {
    tmr_.clear(vector);
  }
  update();
}

// 10.8.5.
void LocalApic::end_of_interrupt() {
  const int in_service = isr_.highest();
  if (in_service < 0) return;
  const u8 vector = static_cast<u8>(in_service);
  isr_.clear(vector);
  update();
  if (!tmr_.test(vector)) return;
  for (const Lvt entry : {lvt_lint0, lvt_lint1}) {
    if ((lvt_[entry] & lvt_remote_irr) == 0 || (lvt_[entry] & 0xff) != vector) continue;
    lvt_[entry] &= ~lvt_remote_irr;
    evaluate_level_input(entry);
  }
  if ((svr_ & svr_suppress_eoi_broadcast) == 0) bus_.end_of_interrupt(vector);
}

// 10.6.1. Since the Pentium 4 the level and trigger bits mean something for INIT only, whose de-assertion does nothing.
void LocalApic::send_icr(u32 low) {
  constexpr u32 level = 1 << 14, level_triggered = 1 << 15;
  InterruptMessage message;
  message.vector = static_cast<u8>(low);
  message.mode = mode_of(low);
  message.logical = (low >> 11 & 1) != 0;
  message.x2apic_destination = x2apic_enabled();
  message.destination = static_cast<u32>(x2apic_enabled() ? icr_ >> 32 : icr_ >> 56);
  const unsigned shorthand = low >> 18 & 3;
  switch (message.mode) {
    case DeliveryMode::Fixed:
    case DeliveryMode::LowestPriority:
      if (message.vector < first_legal_vector) return raise_error(send_illegal_vector);
      break;
    case DeliveryMode::Smi:
    case DeliveryMode::Nmi: break;
    case DeliveryMode::Init:
      if ((low & level_triggered) != 0 && (low & level) == 0) return;
      [[fallthrough]];
    case DeliveryMode::Startup:
      // Table 10-3: not to a set that includes oneself by shorthand.
      if (shorthand == 1 || shorthand == 2) return;
      break;
    default: return;  // reserved encodings, and ExtINT which no IPI can be
  }
  bus_.send_ipi(index_, shorthand, message);
}

// 10.5.3: the error interrupt is armed by a write to ESR, so that errors in a row interrupt once.
void LocalApic::raise_error(u32 error) {
  const bool armed = esr_detected_ == 0;
  esr_detected_ |= error;
  if (armed) deliver_local(lvt_error);
}

void LocalApic::deliver_local(Lvt entry, bool level_triggered) {
  const u32 lvt = lvt_[entry];
  if ((lvt & lvt_masked) != 0 || !globally_enabled()) return;
  const bool has_mode = entry != lvt_timer && entry != lvt_error;
  switch (has_mode ? mode_of(lvt) : DeliveryMode::Fixed) {
    case DeliveryMode::Fixed: return accept(static_cast<u8>(lvt), level_triggered);
    case DeliveryMode::Smi: return pins_.smi();
    case DeliveryMode::Nmi: return pins_.nmi();
    case DeliveryMode::Init: return pins_.init();
    default: return;
  }
}

void LocalApic::performance_interrupt() {
  deliver_local(lvt_performance);
  lvt_[lvt_performance] |= lvt_masked;
}

// A level-triggered LINT asks again after each EOI while it is asserted; remote IRR says that one is under way.
void LocalApic::evaluate_level_input(Lvt entry) {
  const u32 lvt = lvt_[entry];
  const bool asserted = lint_[entry == lvt_lint0 ? 0 : 1];
  if (!asserted || (lvt & (lvt_masked | lvt_remote_irr)) != 0) return;
  if ((lvt & lvt_level) == 0 || mode_of(lvt) != DeliveryMode::Fixed || !globally_enabled()) return;
  lvt_[entry] |= lvt_remote_irr;
  accept(static_cast<u8>(lvt), true);
}

void LocalApic::set_input(unsigned pin, bool level) {
  if (pin > 1 || lint_[pin] == level) return;
  lint_[pin] = level;
  const Lvt entry = pin == 0 ? lvt_lint0 : lvt_lint1;
  if (!globally_enabled()) {
    // 10.4.3: the pins are INTR and NMI then.
    if (pin == 1 && level) pins_.nmi();
  } else if (mode_of(lvt_[entry]) == DeliveryMode::Fixed && (lvt_[entry] & lvt_level) != 0) {
    evaluate_level_input(entry);
  } else if (level) {
    deliver_local(entry);
  }
  update();
}

// 10.6.2. 8-bit destinations come from xAPICs, IOAPICs and MSIs; an APIC in x2APIC mode takes them as its low bits.
bool LocalApic::accepts(const InterruptMessage& message) const {
  if (!globally_enabled()) return false;
  const u32 destination = message.destination;
  const u32 broadcast = message.x2apic_destination ? broadcast_x2apic : broadcast_xapic;
  if (destination == broadcast) return true;
  if (!message.logical) return destination == id_;
  if (x2apic_enabled()) {
    return (destination >> 16) == (ldr_ >> 16) && (destination & ldr_ & 0xffff) != 0;
  }
  if (destination > broadcast_xapic) return false;
  const u32 logical_id = ldr_ >> 24;
  switch (dfr_ >> 28) {
    case dfr_flat: return (logical_id & destination) != 0;
    case dfr_cluster: return (logical_id >> 4) == (destination >> 4) && (logical_id & destination & 0xf) != 0;
    default: return false;
  }
}

// 10.4.7.2: disabled by software it still answers INIT, NMI, SMI and SIPI.
void LocalApic::deliver(const InterruptMessage& message) {
  if (!globally_enabled()) return;
  switch (message.mode) {
    case DeliveryMode::Fixed:
    case DeliveryMode::LowestPriority:
      if (software_enabled()) accept(message.vector, message.level_triggered);
      return;
    case DeliveryMode::Smi: return pins_.smi();
    case DeliveryMode::Nmi: return pins_.nmi();
    case DeliveryMode::Init:
      if (message.assert_level || !message.level_triggered) pins_.init();
      return;
    case DeliveryMode::Startup: return pins_.startup(message.vector);
    case DeliveryMode::ExtInt:
      if (!software_enabled()) return;
      external_message_ = true;
      return update();
    default: return;
  }
}

}  // namespace bunshin
