#pragma once

// A 16550 that is polled: COM1 carries the guests' consoles, COM2 the hypervisor's own.

#include <string_view>

#include "vmm-model/bare/instructions.h"

namespace bunshin::vmm::bare {

class SerialLine {
 public:
  explicit SerialLine(u16 base) : base_(base) {
    out8(base + 1, 0);
    out8(base + 3, 0x80);
    out8(base, 1);  // 115200 baud
    out8(base + 1, 0);
    out8(base + 3, 3);  // 8n1
    out8(base + 2, 7);
    out8(base + 4, 3);
  }
  void put(char c) const {
    constexpr u8 holding_register_empty = 0x20;
    while ((in8(base_ + 5) & holding_register_empty) == 0) {}
    out8(base_, static_cast<u8>(c));
  }
  /// A byte that has arrived, or -1.
  int get() const {
    const u8 status = in8(base_ + 5);
    return status != 0xff && (status & 1) != 0 ? in8(base_) : -1;
  }

 private:
  u16 base_;
};

}  // namespace bunshin::vmm::bare
