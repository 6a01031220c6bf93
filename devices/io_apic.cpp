#include "devices/io_apic.h"

namespace bunshin {

namespace {

constexpr u64 select_offset = 0x00, window_offset = 0x10, eoi_offset = 0x40;
constexpr u8 id_index = 0x00, version_index = 0x01, arbitration_index = 0x02, first_entry_index = 0x10;
constexpr u32 version_value = (IoApic::input_count - 1) << 16 | 0x20;

// Redirection entry, 82093AA 3.2.4.
constexpr u64 entry_logical = 1 << 11, entry_remote_irr = 1 << 14, entry_level = 1 << 15, entry_masked = 1 << 16;
constexpr u32 entry_low_writable = 0x0001afff;
constexpr u32 entry_high_writable = 0xff000000;

DeliveryMode mode_of(u64 entry) { return static_cast<DeliveryMode>(entry >> 8 & 7); }

// Only Fixed and LowestPriority interrupts have an EOI that could clear remote IRR; the rest count as edges.
bool is_level(u64 entry) {
  const DeliveryMode mode = mode_of(entry);
  return (entry & entry_level) != 0 && (mode == DeliveryMode::Fixed || mode == DeliveryMode::LowestPriority);
}

}  // namespace

void IoApic::reset() {
  select_ = 0;
  id_ = initial_id_;
  entries_.fill(entry_masked);
}

u64 IoApic::read(unsigned /*region*/, u64 offset, unsigned size) {
  u64 value = 0;
  if ((offset & ~u64{3}) == select_offset) value = select_;
  if ((offset & ~u64{3}) == window_offset) value = read_window();
  value >>= 8 * (offset & 3);
  return size >= 4 ? value : value & ((u64{1} << (8 * size)) - 1);
}

void IoApic::write(unsigned /*region*/, u64 offset, unsigned size, u64 value) {
  switch (offset) {
    case select_offset: select_ = static_cast<u8>(value); break;
    case window_offset:
      if (size == 4) write_window(static_cast<u32>(value));
      break;
    case eoi_offset: end_of_interrupt(static_cast<u8>(value)); break;
    default: break;
  }
}

u32 IoApic::read_window() const {
  switch (select_) {
    case id_index:
    case arbitration_index: return u32{id_} << 24;
    case version_index: return version_value;
    default: break;
  }
  const unsigned pin = (select_ - first_entry_index) / 2u;
  if (select_ < first_entry_index || pin >= input_count) return 0;
  return static_cast<u32>((select_ & 1) != 0 ? entries_[pin] >> 32 : entries_[pin]);
}

void IoApic::write_window(u32 value) {
  if (select_ == id_index) id_ = value >> 24 & 15;
  const unsigned pin = (select_ - first_entry_index) / 2u;
  if (select_ < first_entry_index || pin >= input_count) return;
  if ((select_ & 1) != 0) {
    entries_[pin] = (entries_[pin] & 0xffffffff) | u64{value & entry_high_writable} << 32;
  } else {
    write_entry_low(pin, value);
  }
}

void IoApic::write_entry_low(unsigned pin, u32 value) {
  const u64 before = entries_[pin];
  u64 entry = (before & ~u64{0xffffffff}) | (value & entry_low_writable);
  // An entry made edge-triggered forgets its remote IRR: how software without the EOI register unblocks a pin.
  if ((entry & entry_level) != 0) entry |= before & entry_remote_irr;
  entries_[pin] = entry;
  if ((entry & entry_masked) != 0 || (inputs_ >> pin & 1) == 0) return;
  if (is_level(entry)) {
    request_level(pin);
  } else if (mode_of(entry) == DeliveryMode::ExtInt && (before & entry_masked) != 0) {
    // The PIC's INTR is a level: a request that stood while the entry was masked has not been seen.
    send(pin);
  }
}

void IoApic::set_input(unsigned pin, bool level) {
  if (pin >= input_count) return;
  const u32 bit = u32{1} << pin;
  const bool rising = level && (inputs_ & bit) == 0;
  inputs_ = level ? inputs_ | bit : inputs_ & ~bit;
  if (!rising || (entries_[pin] & entry_masked) != 0) return;
  if (is_level(entries_[pin])) {
    request_level(pin);
  } else {
    send(pin);
  }
}

void IoApic::request_level(unsigned pin) {
  if ((entries_[pin] & entry_remote_irr) != 0) return;
  entries_[pin] |= entry_remote_irr;
  send(pin);
}

void IoApic::end_of_interrupt(u8 vector) {
  for (unsigned pin = 0; pin < input_count; ++pin) {
    u64& entry = entries_[pin];
    if ((entry & entry_remote_irr) == 0 || static_cast<u8>(entry) != vector) continue;
    entry &= ~entry_remote_irr;
    if ((inputs_ >> pin & 1) != 0 && (entry & entry_masked) == 0 && is_level(entry)) request_level(pin);
  }
}

void IoApic::send(unsigned pin) {
  const u64 entry = entries_[pin];
  InterruptMessage message;
  message.destination = static_cast<u32>(entry >> 56);
  message.logical = (entry & entry_logical) != 0;
  message.mode = mode_of(entry);
  message.vector = static_cast<u8>(entry);
  message.level_triggered = is_level(entry);
  bus_.send(message);
}

u8 IoApic::edge_vector(unsigned pin) const {
  const u64 entry = entries_[pin];
  const DeliveryMode mode = mode_of(entry);
  const bool own = mode == DeliveryMode::Fixed || mode == DeliveryMode::LowestPriority;
  return own && (entry & (entry_masked | entry_level)) == 0 ? static_cast<u8>(entry) : u8{0};
}

void IoApic::hash(StateHash& hash) const {
  hash.add(u64{select_} << 8 | id_);
  hash.add(inputs_);
  for (const u64 entry : entries_) hash.add(entry);
}

}  // namespace bunshin
