#pragma once

// A guest's serial output on its way to the one line that all guests share: whole lines, each with its guest's name before it,
// when there is more than one guest; as it comes when there is one.

#include "vmm-model/hardware.h"

namespace bunshin::vmm {

class OutputLine {
 public:
  OutputLine(Hardware& hardware, std::string_view name, bool prefix)
      : hardware_(hardware), name_(name), prefix_(prefix) {}

  void put(u8 byte) {
    line_[used_++] = static_cast<char>(byte);
    if (!prefix_ || byte == '\n' || used_ == line_.size()) flush();
  }
  void flush() {
    if (used_ == 0) return;
    if (prefix_) {
      hardware_.guest_output(name_);
      hardware_.guest_output(separator);
    }
    hardware_.guest_output(std::span<const char>(line_.data(), used_));
    if (prefix_ && line_[used_ - 1] != '\n') hardware_.guest_output(newline);
    used_ = 0;
  }

 private:
  static constexpr std::string_view separator = "| ", newline = "\n";
  Hardware& hardware_;
  const std::string_view name_;
  const bool prefix_;
  std::array<char, 240> line_{};
  std::size_t used_ = 0;
};

}  // namespace bunshin::vmm
