#include "guests/lab/terminal.h"

#include "guests/lab/power.h"
#include "guests/lab/process.h"

namespace lab {

namespace {

constexpr u16 com1 = 0x3f8;
constexpr u16 interrupt_enable = com1 + 1, line_control = com1 + 3, modem_control = com1 + 4, line_status = com1 + 5;
constexpr u8 data_ready = 1;
constexpr u32 panic_status = 0x7e;

constexpr unsigned capacity = 256;
char input[capacity];
unsigned received = 0, taken = 0;

/// Interrupts off while it lives, then as they were.
class InterruptsOff {
 public:
  InterruptsOff() { asm volatile("pushf; pop %0; cli" : "=r"(flags_) : : "memory"); }
  ~InterruptsOff() { asm volatile("push %0; popf" : : "r"(flags_) : "memory", "cc"); }
  InterruptsOff(const InterruptsOff&) = delete;
  InterruptsOff& operator=(const InterruptsOff&) = delete;

 private:
  word flags_;
};

}  // namespace

/// 16550: eight bits without parity; received data interrupts; OUT2 lets the interrupt out.
void initialize_terminal() {
  guest::out8(line_control, 3);
  guest::out8(interrupt_enable, 1);
  guest::out8(modem_control, 0x0b);
}

void receive_input() {
  const InterruptsOff off;
  bool some = false;
  while ((guest::in8(line_status) & data_ready) != 0) {
    const char c = static_cast<char>(guest::in8(com1));
    if (received - taken < capacity) input[received++ % capacity] = c;
    some = true;
  }
  if (some) wake(Process::State::WaitingForInput);
}

word read_terminal(char* to, word bytes) {
  while (received == taken) block(Process::State::WaitingForInput);
  const InterruptsOff off;
  word count = 0;
  while (count < bytes && received != taken) to[count++] = input[taken++ % capacity];
  return count;
}

void panic(const char* reason) {
  guest::print("lab: panic: ", reason, "\n");
  power_off(panic_status);
}

}  // namespace lab
