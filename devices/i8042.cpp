#include "devices/i8042.h"

namespace bunshin {
namespace {

// IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller".
constexpr u8 status_output_full = 0x01, status_system = 0x04, status_command = 0x08, status_unlocked = 0x10;
constexpr u8 command_byte_interrupt = 0x01, command_byte_system = 0x04, command_byte_keyboard_off = 0x10;
constexpr u8 command_byte_aux_off = 0x20, command_byte_translate = 0x40;
constexpr u8 output_reset_n = 0x01, output_a20 = 0x02;
constexpr u8 keyboard_ack = 0xfa;

}  // namespace

void I8042::reset() {
  ram_.fill(0);
  ram_[0] = command_byte_interrupt | command_byte_system | command_byte_aux_off | command_byte_translate;
  first_ = count_ = 0;
  last_ = awaiting_ = keyboard_awaiting_ = 0;
  scan_set_ = 2;
  output_port_ = output_reset_n | output_a20;
  last_was_command_ = false;
  update_interrupt();
}

void I8042::answer(u8 byte) {
  if (count_ < queue_capacity) queue_[(first_ + count_++) % queue_capacity] = byte;
}

void I8042::update_interrupt() {
  const bool level = count_ != 0 && (ram_[0] & command_byte_interrupt) != 0;
  if (level == interrupt_) return;
  interrupt_ = level;
  host_.set_pin(pin_irq, level);
}

u64 I8042::read(unsigned region, u64, unsigned) {
  if (region == 1) {
    u8 status = status_unlocked;
    if (count_ != 0) status |= status_output_full;
    if ((ram_[0] & command_byte_system) != 0) status |= status_system;
    if (last_was_command_) status |= status_command;
    return status;
  }
  if (count_ != 0) {
    last_ = queue_[first_];
    first_ = (first_ + 1) % queue_capacity;
    --count_;
    if (interrupt_) {  // the line falls with each byte, so that the next one is an edge again
      interrupt_ = false;
      host_.set_pin(pin_irq, false);
    }
    update_interrupt();
  }
  return last_;
}

void I8042::write(unsigned region, u64, unsigned, u64 value) {
  last_was_command_ = region == 1;
  if (region == 1) {
    command(static_cast<u8>(value));
  } else {
    data(static_cast<u8>(value));
  }
  update_interrupt();
}

void I8042::write_output_port(u8 value) {
  const u8 changed = output_port_ ^ value;
  output_port_ = value;
  if ((changed & output_a20) != 0) host_.set_pin(pin_a20, (value & output_a20) != 0);
  if ((value & output_reset_n) == 0) host_.set_pin(pin_reset, true);
}

void I8042::command(u8 code) {
  awaiting_ = 0;
  if (code >= 0x20 && code < 0x40) return answer(ram_[code & 0x1f]);
  if ((code >= 0x60 && code < 0x80) || (code >= 0xd1 && code <= 0xd4)) {
    awaiting_ = code;
    return;
  }
  if (code >= 0xf0) {  // pulse output port lines 0..3 that are zero in the code
    if ((code & 1) == 0) host_.set_pin(pin_reset, true);
    return;
  }
  switch (code) {
    case 0xa9: return answer(0xff);  // auxiliary interface test: there is none
    case 0xaa: return answer(0x55);  // self test passed
    case 0xab: return answer(0x00);  // keyboard interface test passed
    case 0xad: ram_[0] |= command_byte_keyboard_off; return;
    case 0xae: ram_[0] &= static_cast<u8>(~command_byte_keyboard_off); return;
    case 0xc0: return answer(0x80);  // input port: keyboard not inhibited
    case 0xd0: return answer(output_port_);
    case 0xdd: return write_output_port(output_port_ & static_cast<u8>(~output_a20));
    case 0xdf: return write_output_port(output_port_ | output_a20);
    case 0xe0: return answer(0x00);
    default: return;
  }
}

void I8042::data(u8 byte) {
  const u8 code = awaiting_;
  awaiting_ = 0;
  if (code >= 0x60 && code < 0x80) {
    // Without an auxiliary port its disable bit cannot be cleared.
    ram_[code & 0x1f] = code == 0x60 ? static_cast<u8>(byte | command_byte_aux_off) : byte;
    return;
  }
  switch (code) {
    case 0xd1: return write_output_port(byte);
    case 0xd2: return answer(byte);
    case 0xd3: return;  // write auxiliary output buffer: no such buffer
    case 0xd4: return;  // write to auxiliary device: nobody answers
    default: return keyboard(byte);
  }
}

// Whatever the keyboard sends goes through the controller's table from scan set 2 to set 1; of its answers only these
// come out changed.
u8 I8042::translated(u8 byte) const {
  if ((ram_[0] & command_byte_translate) == 0) return byte;
  switch (byte) {
    case 0x01: return 0x43;
    case 0x02:
    case 0x83: return 0x41;
    case 0x03: return 0x3f;
    default: return byte;
  }
}

void I8042::keyboard(u8 byte) {
  const u8 code = keyboard_awaiting_;
  keyboard_awaiting_ = 0;
  if (code != 0 && byte < 0xed) {  // the parameter of ED (indicators), F0 (scan codes) or F3 (typematic rate)
    answer(keyboard_ack);
    if (code == 0xf0 && byte == 0) answer(translated(scan_set_));
    if (code == 0xf0 && byte >= 1 && byte <= 3) scan_set_ = byte;
    return;
  }
  switch (byte) {
    case 0xed:
    case 0xf0:
    case 0xf3: keyboard_awaiting_ = byte; return answer(keyboard_ack);
    case 0xee: return answer(0xee);
    case 0xf2:
      answer(keyboard_ack);
      answer(0xab);
      return answer(translated(0x83));
    case 0xff:
      scan_set_ = 2;
      answer(keyboard_ack);
      return answer(0xaa);
    default: return answer(keyboard_ack);
  }
}

void I8042::hash(StateHash& hash) const {
  hash.add(ram_);
  for (unsigned i = 0; i < count_; ++i) hash.add(queue_[(first_ + i) % queue_capacity]);
  hash.add(u64{count_} << 48 | u64{last_} << 40 | u64{output_port_} << 32 | u64{awaiting_} << 24 |
           u64{keyboard_awaiting_} << 16 | u64{scan_set_} << 8 | u64{last_was_command_} << 1 | u64{interrupt_});
}

}  // namespace bunshin
