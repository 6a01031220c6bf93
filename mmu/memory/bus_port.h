#pragma once

// The port to whatever is not RAM. The processor side declares it here; the bus (devices/tlm) implements it; sim binds.

#include "base/time.h"
#include "base/types.h"

namespace bunshin {

enum class BusSpace : u8 { Memory, Io };

class BusPort {
 public:
  /// Reads `size` (1, 2, 4 or 8) bytes. Nobody there: all ones, as on a PC. `delay` is, as in TLM-2.0, the initiator's
  /// offset from the kernel's time on entry; the target adds what the access takes.
  virtual u64 read(BusSpace space, u64 address, unsigned size, SimTime& delay) = 0;
  virtual void write(BusSpace space, u64 address, unsigned size, u64 value, SimTime& delay) = 0;

 protected:
  ~BusPort() = default;
};

}  // namespace bunshin
