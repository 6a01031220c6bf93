#include "guests/kvm_launcher/uart.h"

#include <unistd.h>
#include <cstring>

namespace launcher {

namespace {

constexpr unsigned interrupt_line = 4;
constexpr std::uint8_t enable_received = 1, enable_transmitted = 2, out2 = 8;

class Lock {
 public:
  explicit Lock(pthread_mutex_t& mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_); }
  ~Lock() { pthread_mutex_unlock(&mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

}  // namespace

Uart::Uart(const Machine& machine, const char* prefix, bool prompt_output)
    : machine_(machine), prefix_(prefix), prompt_output_(prompt_output) {}

std::uint8_t Uart::read(unsigned offset) {
  const Lock lock(mutex_);
  switch (offset) {
    case 0: return divisor_access() ? divisor_[0] : read_data();
    case 1: return divisor_access() ? divisor_[1] : interrupt_enable_;
    case 2: return identify();
    case 3: return line_control_;
    case 4: return modem_control_;
    case 5: return line_status();
    case 6: return modem_status();
    default: return scratch_;
  }
}

void Uart::write(unsigned offset, std::uint8_t value) {
  const Lock lock(mutex_);
  switch (offset) {
    case 0:
      if (divisor_access()) {
        divisor_[0] = value;
      } else {
        transmit(value);
      }
      break;
    case 1:
      if (divisor_access()) {
        divisor_[1] = value;
        break;
      }
      // Enabling the transmitter's interrupt while it is empty raises it at once.
      if ((value & enable_transmitted) != 0 && (interrupt_enable_ & enable_transmitted) == 0) {
        transmitter_empty_event_ = true;
      }
      interrupt_enable_ = value & 0x0f;
      break;
    case 2:
      fifo_control_ = value & 0xc9;
      if ((value & 2) != 0) received_count_ = 0;
      break;
    case 3: line_control_ = value; break;
    case 4: modem_control_ = value & 0x1f; break;
    case 7: scratch_ = value; break;
    default: break;
  }
  update_interrupt();
}

std::uint8_t Uart::read_data() {
  if (received_count_ == 0) return 0;
  const std::uint8_t value = received_[received_first_];
  received_first_ = (received_first_ + 1) % buffer_size;
  --received_count_;
  pthread_cond_signal(&room_);
  update_interrupt();
  return value;
}

std::uint8_t Uart::identify() {
  const auto fifo = static_cast<std::uint8_t>((fifo_control_ & 1) != 0 ? 0xc0 : 0);
  if ((interrupt_enable_ & enable_received) != 0 && received_count_ != 0) return fifo | 4;
  if ((interrupt_enable_ & enable_transmitted) != 0 && transmitter_empty_event_) {
    transmitter_empty_event_ = false;
    update_interrupt();
    return fifo | 2;
  }
  return fifo | 1;
}

std::uint8_t Uart::line_status() const { return static_cast<std::uint8_t>(0x60 | (received_count_ != 0 ? 1 : 0)); }

std::uint8_t Uart::modem_status() const {
  if (!loopback()) return 0xb0;  // carrier, data set ready, clear to send
  // DTR, RTS, OUT1 and OUT2 come back as DSR, CTS, RI and DCD.
  const unsigned control = modem_control_;
  return static_cast<std::uint8_t>((control & 1) << 5 | (control & 2) << 3 | (control & 4) << 4 | (control & 8) << 4);
}

void Uart::transmit(std::uint8_t value) {
  if (loopback()) {
    if (received_count_ < buffer_size) received_[(received_first_ + received_count_++) % buffer_size] = value;
  } else {
    if (at_line_start_) {
      for (const char* c = prefix_; *c != 0; ++c) append(*c);
    }
    append(static_cast<char>(value));
    at_line_start_ = value == '\n';
    if (at_line_start_ || prompt_output_) print();
  }
  transmitter_empty_event_ = true;
}

void Uart::append(char character) {
  if (line_size_ == sizeof line_) print();
  line_[line_size_++] = character;
}

void Uart::print() {
  unsigned done = 0;
  while (done < line_size_) {
    const ssize_t written = ::write(STDOUT_FILENO, line_ + done, line_size_ - done);
    if (written <= 0) break;
    done += static_cast<unsigned>(written);
  }
  line_size_ = 0;
}

void Uart::flush() {
  const Lock lock(mutex_);
  print();
}

void Uart::receive(std::uint8_t value) {
  const Lock lock(mutex_);
  while (received_count_ == buffer_size) pthread_cond_wait(&room_, &mutex_);
  received_[(received_first_ + received_count_++) % buffer_size] = value;
  update_interrupt();
}

void Uart::update_interrupt() {
  const bool received = (interrupt_enable_ & enable_received) != 0 && received_count_ != 0;
  const bool transmitted = (interrupt_enable_ & enable_transmitted) != 0 && transmitter_empty_event_;
  const bool level = (received || transmitted) && (modem_control_ & out2) != 0 && !loopback();
  if (level == interrupt_) return;
  interrupt_ = level;
  machine_.interrupt_line(interrupt_line, level);
}

}  // namespace launcher
