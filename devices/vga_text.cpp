#include "devices/vga_text.h"

#include <algorithm>

namespace bunshin {
namespace {

// The registers' values in BIOS mode 3 (80x25, 16 colours), as firmware leaves them: IBM VGA Technical Reference.
constexpr std::array<u8, 25> mode3_crtc = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
                                           0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
constexpr std::array<u8, 5> mode3_sequencer = {0x03, 0x00, 0x03, 0x00, 0x02};
constexpr std::array<u8, 9> mode3_graphics = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};
constexpr std::array<u8, 21> mode3_attribute = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
                                                0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};
constexpr u8 mode3_misc = 0x67;
constexpr u8 misc_color = 0x01;  // CRTC at 3Dx rather than 3Bx
constexpr u8 status_blanking = 0x01, status_retrace = 0x08;

}  // namespace

void VgaText::reset() {
  for (unsigned i = 0; i < memory_bytes; i += 2) {
    memory_[i] = ' ';
    memory_[i + 1] = 0x07;
  }
  crtc_.fill(0);
  attribute_.fill(0);
  sequencer_.fill(0);
  graphics_.fill(0);
  palette_.fill(0);
  std::ranges::copy(mode3_crtc, crtc_.begin());
  std::ranges::copy(mode3_sequencer, sequencer_.begin());
  std::ranges::copy(mode3_graphics, graphics_.begin());
  std::ranges::copy(mode3_attribute, attribute_.begin());
  misc_output_ = mode3_misc;
  pixel_mask_ = 0xff;
  crtc_index_ = sequencer_index_ = graphics_index_ = input_status_ = 0;
  attribute_index_ = 0x20;
  palette_read_ = palette_write_ = 0;
  attribute_data_next_ = false;
}

void VgaText::text(std::span<char, columns * rows> screen) const {
  const unsigned start = unsigned{crtc_[0x0c]} << 8 | crtc_[0x0d];
  for (unsigned i = 0; i < columns * rows; ++i) {
    const u8 byte = memory_[((start + i) * 2) % memory_bytes];
    screen[i] = byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : ' ';
  }
}

u64 VgaText::read(unsigned region, u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) {
    const u8 byte =
        region == 0 ? memory_[(offset + i) % memory_bytes] : read_port(static_cast<unsigned>(0x3b0 + offset + i));
    value |= u64{byte} << (8 * i);
  }
  return value;
}

void VgaText::write(unsigned region, u64 offset, unsigned size, u64 value) {
  for (unsigned i = 0; i < size; ++i) {
    const u8 byte = static_cast<u8>(value >> (8 * i));
    if (region == 0) {
      memory_[(offset + i) % memory_bytes] = byte;
    } else {
      write_port(static_cast<unsigned>(0x3b0 + offset + i), byte);
    }
  }
}

u8 VgaText::read_port(unsigned port) {
  const unsigned crtc = (misc_output_ & misc_color) != 0 ? 0x3d0 : 0x3b0;
  if (port == crtc + 4) return crtc_index_;
  if (port == crtc + 5) return crtc_[crtc_index_ & 0x1f];
  if (port == crtc + 0xa) {
    attribute_data_next_ = false;
    input_status_ ^= status_blanking | status_retrace;  // whoever waits for either edge finds it
    return input_status_;
  }
  switch (port) {
    case 0x3c0: return attribute_index_;
    case 0x3c1: return attribute_[attribute_index_ & 0x1f];
    case 0x3c2: return 0x10;  // switch sense: a colour display
    case 0x3c4: return sequencer_index_;
    case 0x3c5: return sequencer_[sequencer_index_ & 7];
    case 0x3c6: return pixel_mask_;
    case 0x3c8: return static_cast<u8>(palette_write_ / 3);
    case 0x3c9: {
      const u8 level = palette_[palette_read_];
      palette_read_ = static_cast<u16>((palette_read_ + 1) % palette_.size());
      return level;
    }
    case 0x3cc: return misc_output_;
    case 0x3ce: return graphics_index_;
    case 0x3cf: return graphics_[graphics_index_ & 15];
    default: return 0xff;
  }
}

void VgaText::write_port(unsigned port, u8 value) {
  const unsigned crtc = (misc_output_ & misc_color) != 0 ? 0x3d0 : 0x3b0;
  if (port == crtc + 4) {
    crtc_index_ = value;
    return;
  }
  if (port == crtc + 5) {
    const unsigned index = crtc_index_ & 0x1f;
    const bool locked = (crtc_[0x11] & 0x80) != 0 && index < 8;  // CR11 bit 7 protects CR0..CR7
    if (!locked) crtc_[index] = value;
    return;
  }
  switch (port) {
    case 0x3c0:
      if (attribute_data_next_) {
        attribute_[attribute_index_ & 0x1f] = value;
      } else {
        attribute_index_ = value & 0x3f;
      }
      attribute_data_next_ = !attribute_data_next_;
      break;
    case 0x3c2: misc_output_ = value; break;
    case 0x3c4: sequencer_index_ = value; break;
    case 0x3c5: sequencer_[sequencer_index_ & 7] = value; break;
    case 0x3c6: pixel_mask_ = value; break;
    case 0x3c7: palette_read_ = static_cast<u16>(value * 3); break;
    case 0x3c8: palette_write_ = static_cast<u16>(value * 3); break;
    case 0x3c9:
      palette_[palette_write_] = value & 0x3f;
      palette_write_ = static_cast<u16>((palette_write_ + 1) % palette_.size());
      break;
    case 0x3ce: graphics_index_ = value; break;
    case 0x3cf: graphics_[graphics_index_ & 15] = value; break;
    default: break;
  }
}

void VgaText::hash(StateHash& hash) const {
  hash.add(memory_);
  hash.add(crtc_);
  hash.add(attribute_);
  hash.add(sequencer_);
  hash.add(graphics_);
  hash.add(palette_);
  hash.add(u64{crtc_index_} << 56 | u64{attribute_index_} << 48 | u64{sequencer_index_} << 40 |
           u64{graphics_index_} << 32 | u64{misc_output_} << 24 | u64{pixel_mask_} << 16 | u64{input_status_} << 8 |
           u64{attribute_data_next_});
  hash.add(u64{palette_read_} << 16 | palette_write_);
}

}  // namespace bunshin
