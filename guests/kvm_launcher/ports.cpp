#include "guests/kvm_launcher/ports.h"

#include <ctime>

#include "guests/kvm_launcher/acpi.h"

namespace launcher {

namespace {

constexpr std::uint16_t clock_index = 0x70, clock_data = 0x71, debug_exit = 0xf4;

std::uint8_t decimal(int value) { return static_cast<std::uint8_t>(value / 10 * 16 + value % 10); }

/// ACPI 6.4, 4.8.3.3: 3.579545 MHz.
std::uint32_t power_management_timer() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const auto seconds = static_cast<std::uint64_t>(now.tv_sec), nanoseconds = static_cast<std::uint64_t>(now.tv_nsec);
  return static_cast<std::uint32_t>(seconds * 3579545 + nanoseconds * 3579545 / 1'000'000'000);
}

}  // namespace

/// MC146818: time in BCD, 24 hours; its interrupts do not exist here.
std::uint8_t Ports::read_clock() const {
  const time_t seconds = time(nullptr);
  tm now{};
  gmtime_r(&seconds, &now);
  switch (clock_index_) {
    case 0x00: return decimal(now.tm_sec);
    case 0x02: return decimal(now.tm_min);
    case 0x04: return decimal(now.tm_hour);
    case 0x06: return static_cast<std::uint8_t>(now.tm_wday + 1);
    case 0x07: return decimal(now.tm_mday);
    case 0x08: return decimal(now.tm_mon + 1);
    case 0x09: return decimal(now.tm_year % 100);
    case 0x32: return decimal((now.tm_year + 1900) / 100);
    case 0x0a: return 0x26;
    case 0x0b: return 0x02;
    case 0x0d: return 0x80;  // the battery is good
    default: return 0;
  }
}

void Ports::read(std::uint16_t port, unsigned size, std::uint8_t* data) {
  pthread_mutex_lock(&mutex_);
  for (unsigned i = 0; i < size; ++i) data[i] = read_byte(static_cast<std::uint16_t>(port + i));
  pthread_mutex_unlock(&mutex_);
}

Ending Ports::write(std::uint16_t port, unsigned size, const std::uint8_t* data) {
  pthread_mutex_lock(&mutex_);
  Ending ending = Ending::None;
  for (unsigned i = 0; i < size && ending == Ending::None; ++i) {
    ending = write_byte(static_cast<std::uint16_t>(port + i), data[i]);
  }
  pthread_mutex_unlock(&mutex_);
  return ending;
}

std::uint8_t Ports::read_byte(std::uint16_t port) {
  if (port >= Uart::first_port && port <= Uart::last_port) return uart_.read(port - Uart::first_port);
  if (port >= acpi::timer_port && port < acpi::timer_port + 4) {
    if (port == acpi::timer_port) timer_ = power_management_timer();
    return static_cast<std::uint8_t>(timer_ >> (8 * (port - acpi::timer_port)));
  }
  switch (port) {
    case clock_data: return read_clock();
    case acpi::status_port:
    case acpi::status_port + 1: return 0;
    case acpi::status_port + 2:
    case acpi::status_port + 3: return acpi_enable_[port - acpi::status_port];
    case acpi::control_port: return 1;  // SCI_EN: ACPI mode, always
    case acpi::control_port + 1: return 0;
    default: return 0xff;
  }
}

Ending Ports::write_byte(std::uint16_t port, std::uint8_t value) {
  if (port >= Uart::first_port && port <= Uart::last_port) {
    uart_.write(port - Uart::first_port, value);
    return Ending::None;
  }
  switch (port) {
    case clock_index: clock_index_ = value & 0x7f; break;
    case acpi::status_port + 2:
    case acpi::status_port + 3: acpi_enable_[port - acpi::status_port] = value; break;
    case acpi::control_port + 1:  // SLP_TYP in bits 10 to 12, SLP_EN in bit 13
      if ((value & 0x20) != 0 && (value >> 2 & 7) == acpi::power_off_type) return Ending::PoweredOff;
      break;
    case acpi::reset_port:
      if (value == acpi::reset_value) return Ending::Reset;
      break;
    case debug_exit: debug_value_ = value; return Ending::DebugExit;
    default: break;
  }
  return Ending::None;
}

}  // namespace launcher
