#pragma once

// A 16550 that is polled: COM1 carries the guests' consoles, COM2 the hypervisor's own.

#include "vmm-model/machine/machine_instructions.h"

namespace bunshin::vmm {

class SerialLine {
 public:
  SerialLine(MachineInstructions& machine, u16 base) : machine_(machine), base_(base) {}

  void start() const {
    out(1, 0);
    out(3, 0x80);
    out(0, 1);  // 115200 baud
    out(1, 0);
    out(3, 3);  // 8n1
    out(2, 7);
    out(4, 3);
  }
  void put(char c) const {
    constexpr u32 holding_register_empty = 0x20;
    while ((status() & holding_register_empty) == 0) {}
    out(0, static_cast<u8>(c));
  }
  /// A byte that has arrived, or -1.
  int get() const {
    const u32 now = status();
    return now != 0xff && (now & 1) != 0 ? static_cast<int>(machine_.in(base_, 1)) : -1;
  }

 private:
  void out(unsigned offset, u8 value) const { machine_.out(static_cast<u16>(base_ + offset), 1, value); }
  u32 status() const { return machine_.in(static_cast<u16>(base_ + 5), 1); }

  MachineInstructions& machine_;
  u16 base_;
};

}  // namespace bunshin::vmm
