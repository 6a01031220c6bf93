#pragma once

// The instructions by which a PC's devices are reached: what the two bindings of Hardware execute each in its own way.

#include "base/types.h"

namespace bunshin::vmm {

class MachineInstructions {
 public:
  /// IN and OUT; `size` is 1, 2 or 4.
  virtual u32 in(u16 port, unsigned size) = 0;
  virtual void out(u16 port, unsigned size, u32 value) = 0;
  /// A device's 32-bit register in memory.
  virtual u32 read_register(u64 address) = 0;
  virtual void write_register(u64 address, u32 value) = 0;
  /// RDTSC.
  virtual u64 time_stamp() = 0;

 protected:
  ~MachineInstructions() = default;
};

}  // namespace bunshin::vmm
