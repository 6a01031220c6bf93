#pragma once

#include "base/types.h"

namespace bunshin {

/// The far end of a serial line, or of a debug console: where transmitted bytes go.
class SerialPort {
 public:
  virtual void transmit(u8 byte) = 0;

 protected:
  ~SerialPort() = default;
};

}  // namespace bunshin
