#pragma once

// The I/O ports that KVM leaves to its user: COM1, the clock, ACPI's fixed hardware, reset and debug exit.

#include <cstdint>

#include "guests/kvm_launcher/machine.h"
#include "guests/kvm_launcher/uart.h"

namespace launcher {

/// How a guest ends by itself.
enum class Ending { None, PoweredOff, Reset, DebugExit };

class Ports {
 public:
  explicit Ports(Uart& uart) : uart_(uart) {}

  /// An access of `size` bytes, for any thread. Ports where nothing is read as ones and forget what is written.
  void read(std::uint16_t port, unsigned size, std::uint8_t* data);
  Ending write(std::uint16_t port, unsigned size, const std::uint8_t* data);
  /// What was last written to the debug-exit port.
  std::uint8_t debug_value() const { return debug_value_; }

 private:
  std::uint8_t read_byte(std::uint16_t port);
  Ending write_byte(std::uint16_t port, std::uint8_t value);
  std::uint8_t read_clock() const;

  Uart& uart_;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  std::uint8_t clock_index_ = 0, debug_value_ = 0;
  std::uint8_t acpi_enable_[4] = {};
  /// The lowest byte of the timer latches the rest.
  std::uint32_t timer_ = 0;
};

}  // namespace launcher
