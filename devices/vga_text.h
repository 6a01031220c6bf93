#pragma once

// The text mode of a VGA: 32 KiB of characters and attributes at 0xB8000, and the register files behind ports
// 0x3B0..0x3DF (IBM VGA Technical Reference), so that firmware-era programs can print.

#include <array>
#include <span>

#include "devices/device.h"

namespace bunshin {

/// Region 0: memory 0xB8000..0xBFFFF. Region 1: ports 0x3B0..0x3DF.
class VgaText final : public Device {
 public:
  static constexpr unsigned columns = 80;
  static constexpr unsigned rows = 25;
  static constexpr unsigned memory_bytes = 0x8000;

  VgaText() { reset(); }

  /// The screen as ASCII, row after row; what does not print is a blank.
  void text(std::span<char, columns * rows> screen) const;

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void reset() override;
  void hash(StateHash& hash) const override;

 private:
  u8 read_port(unsigned port);
  void write_port(unsigned port, u8 value);

  std::array<u8, memory_bytes> memory_{};
  std::array<u8, 32> crtc_{};
  std::array<u8, 32> attribute_{};
  std::array<u8, 8> sequencer_{};
  std::array<u8, 16> graphics_{};
  std::array<u8, 768> palette_{};
  u8 crtc_index_ = 0;
  u8 attribute_index_ = 0;
  u8 sequencer_index_ = 0;
  u8 graphics_index_ = 0;
  u8 misc_output_ = 0;
  u8 pixel_mask_ = 0;
  u16 palette_read_ = 0;
  u16 palette_write_ = 0;
  u8 input_status_ = 0;
  bool attribute_data_next_ = false;
};

}  // namespace bunshin
