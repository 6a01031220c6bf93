#include "devices/pic.h"

namespace bunshin {

namespace {

constexpr unsigned cascade_input = 2;
constexpr unsigned elcr_region = 2;
// IRQ 0, 1, 2, 8 and 13 belong to the chipset and are always edge-triggered.
constexpr std::array<u8, 2> elcr_writable{0xf8, 0xde};

constexpr u8 bit(unsigned input) { return static_cast<u8>(1u << input); }

}  // namespace

int Pic::Chip::highest(u8 inputs) const {
  for (unsigned step = 1; step <= 8; ++step) {
    const unsigned input = (lowest + step) & 7;
    if ((inputs & bit(input)) != 0) return static_cast<int>(input);
  }
  return -1;
}

// "Fully nested mode", "Special mask mode" and "The special fully nested mode" of the datasheet.
int Pic::Chip::pending(bool cascade) const {
  if (!initialised) return -1;
  const u8 asking = static_cast<u8>(requests() | (cascade ? bit(cascade_input) : 0));
  const int input = highest(static_cast<u8>(asking & ~imr));
  if (input < 0) return -1;
  const int serving = highest(special_mask ? static_cast<u8>(isr & ~imr) : isr);
  if (serving < 0) return input;
  const unsigned asked = rank(static_cast<unsigned>(input));
  const unsigned served = rank(static_cast<unsigned>(serving));
  const bool again = special_fully_nested && cascade && input == static_cast<int>(cascade_input) && asked == served;
  return asked < served || again ? input : -1;
}

// An edge stays latched until it is acknowledged even if the line falls (the datasheet would answer IR7 then): devices
// here pulse their lines in no time at all.
void Pic::Chip::set_line(unsigned input, bool level) {
  if (level && (lines & bit(input)) == 0) irr |= bit(input);
  lines = static_cast<u8>(level ? lines | bit(input) : lines & ~bit(input));
}

void Pic::Chip::begin_service(unsigned input) {
  irr &= static_cast<u8>(~bit(input));
  if (!auto_eoi) {
    isr |= bit(input);
  } else if (rotate_on_auto_eoi) {
    lowest = static_cast<u8>(input);
  }
}

// OCW2: bits 7-5 are rotate, specific, EOI.
void Pic::Chip::end_of_interrupt(u8 ocw2) {
  constexpr u8 rotate = 0x80, specific = 0x40, eoi = 0x20;
  const bool turn = (ocw2 & rotate) != 0;
  if ((ocw2 & eoi) == 0) {
    if ((ocw2 & specific) == 0) {
      rotate_on_auto_eoi = turn;
    } else if (turn) {
      lowest = ocw2 & 7;
    }
    return;
  }
  int input = ocw2 & 7;
  if ((ocw2 & specific) == 0) input = highest(special_mask ? static_cast<u8>(isr & ~imr) : isr);
  if (input < 0) return;
  isr &= static_cast<u8>(~bit(static_cast<unsigned>(input)));
  if (turn) lowest = static_cast<u8>(input);
}

void Pic::Chip::write_command(u8 value) {
  if ((value & 0x10) != 0) {
    // ICW1: forgets edges, masks and priorities. The level bit (3) is overruled by the ELCR.
    *this = Chip{.lines = lines, .elcr = elcr, .vector_base = vector_base};
    expected_icw = 2;
    single = (value & 2) != 0;
    needs_icw4 = (value & 1) != 0;
  } else if ((value & 0x08) != 0) {
    // OCW3.
    if ((value & 0x40) != 0) special_mask = (value & 0x20) != 0;
    poll = (value & 0x04) != 0;
    if ((value & 0x02) != 0) read_isr = (value & 0x01) != 0;
  } else {
    end_of_interrupt(value);
  }
}

void Pic::Chip::write_data(u8 value) {
  switch (expected_icw) {
    case 2:
      vector_base = value & 0xf8;
      expected_icw = !single ? 3 : needs_icw4 ? 4 : 0;
      break;
    case 3:
      // The PC's wiring fixes the cascade; what ICW3 says of it is not needed.
      expected_icw = needs_icw4 ? 4 : 0;
      break;
    case 4:
      special_fully_nested = (value & 0x10) != 0;
      auto_eoi = (value & 0x02) != 0;
      expected_icw = 0;
      break;
    default: imr = value; return;
  }
  initialised = expected_icw == 0;
}

void Pic::Chip::hash(StateHash& hash) const {
  const std::array<u8, 18> bytes{
      irr,          lines,       imr,        isr,    elcr,     vector_base,        lowest,
      expected_icw, initialised, needs_icw4, single, auto_eoi, rotate_on_auto_eoi, special_fully_nested,
      special_mask, poll,        read_isr,   0};
  hash.add(bytes);
}

int Pic::pending(unsigned chip) const {
  const bool cascade = chip == master && chips_[slave].pending(false) >= 0;
  return chips_[chip].pending(cascade);
}

void Pic::update() {
  const bool level = pending(master) >= 0;
  if (level == output_) return;
  output_ = level;
  host_.set_pin(pin_intr, level);
}

u8 Pic::take(unsigned chip, int input) {
  constexpr unsigned spurious = 7;
  if (input >= 0) chips_[chip].begin_service(static_cast<unsigned>(input));
  return static_cast<u8>(chips_[chip].vector_base + (input >= 0 ? static_cast<unsigned>(input) : spurious));
}

u8 Pic::acknowledge() {
  const int input = pending(master);
  const int slave_input = pending(slave);
  u8 vector = take(master, input);
  if (input == static_cast<int>(cascade_input)) vector = take(slave, slave_input);
  if (output_) {
    output_ = false;
    host_.set_pin(pin_intr, false);
  }
  update();
  return vector;
}

void Pic::set_input(unsigned pin, bool level) {
  if (pin > 15 || pin == cascade_input) return;
  chips_[pin / 8].set_line(pin % 8, level);
  update();
}

u8 Pic::read_byte(unsigned region, u64 offset) {
  if (region == elcr_region) return offset < 2 ? chips_[offset].elcr : 0xff;
  if (region > elcr_region || offset > 1) return 0xff;
  Chip& chip = chips_[region];
  if (chip.poll) {
    // The read is the acknowledge: bit 7 says that there was a request, bits 2-0 which.
    chip.poll = false;
    const int input = pending(region);
    if (input < 0) return 0;
    chip.begin_service(static_cast<unsigned>(input));
    update();
    return static_cast<u8>(0x80 | input);
  }
  if (offset == 1) return chip.imr;
  if (chip.read_isr) return chip.isr;
  const bool cascade = region == master && pending(slave) >= 0;
  return static_cast<u8>(chip.requests() | (cascade ? bit(cascade_input) : 0));
}

void Pic::write_byte(unsigned region, u64 offset, u8 value) {
  if (region > elcr_region || offset > 1) return;
  if (region == elcr_region) {
    chips_[offset].elcr = value & elcr_writable[offset];
  } else if (offset == 0) {
    chips_[region].write_command(value);
  } else {
    chips_[region].write_data(value);
  }
  update();
}

u64 Pic::read(unsigned region, u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned byte = 0; byte < size; ++byte) value |= u64{read_byte(region, offset + byte)} << (8 * byte);
  return value;
}

void Pic::write(unsigned region, u64 offset, unsigned size, u64 value) {
  for (unsigned byte = 0; byte < size; ++byte) write_byte(region, offset + byte, static_cast<u8>(value >> (8 * byte)));
}

void Pic::reset() {
  for (Chip& chip : chips_) chip = Chip{.lines = chip.lines};
  update();
}

void Pic::hash(StateHash& hash) const {
  for (const Chip& chip : chips_) chip.hash(hash);
  hash.add(u64{output_});
}

}  // namespace bunshin
