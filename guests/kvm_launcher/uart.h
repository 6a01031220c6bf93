#pragma once

// A 16550A at COM1 (PC16550D datasheet): the guest's console.

#include <pthread.h>
#include <cstdint>

#include "guests/kvm_launcher/machine.h"

namespace launcher {

class Uart {
 public:
  static constexpr std::uint16_t first_port = 0x3f8, last_port = 0x3ff;

  /// `prefix` is printed before each line. With `prompt_output` each character is printed at once, else each line.
  Uart(const Machine& machine, const char* prefix, bool prompt_output);

  std::uint8_t read(unsigned offset);
  void write(unsigned offset, std::uint8_t value);
  /// A character for the guest; waits while its buffer is full. For a thread of its own.
  void receive(std::uint8_t value);
  /// Prints what has not been printed yet.
  void flush();

 private:
  static constexpr unsigned buffer_size = 16;

  std::uint8_t identify();
  std::uint8_t read_data();
  std::uint8_t line_status() const;
  std::uint8_t modem_status() const;
  bool divisor_access() const { return (line_control_ & 0x80) != 0; }
  bool loopback() const { return (modem_control_ & 0x10) != 0; }
  void transmit(std::uint8_t value);
  void print();
  void append(char character);
  void update_interrupt();

  const Machine& machine_;
  const char* prefix_;
  bool prompt_output_;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t room_ = PTHREAD_COND_INITIALIZER;

  std::uint8_t interrupt_enable_ = 0, fifo_control_ = 0, line_control_ = 0, modem_control_ = 0, scratch_ = 0;
  std::uint8_t divisor_[2] = {12, 0};
  bool transmitter_empty_event_ = false, interrupt_ = false;
  std::uint8_t received_[buffer_size] = {};
  unsigned received_first_ = 0, received_count_ = 0;

  bool at_line_start_ = true;
  char line_[512] = {};
  unsigned line_size_ = 0;
};

}  // namespace launcher
