#pragma once

// National Semiconductor PC16550D universal asynchronous receiver/transmitter, as a PC's COM port.

#include <array>

#include "devices/device.h"
#include "devices/serial_port.h"

namespace bunshin {

/// Region 0: eight ports (RBR/THR/DLL, IER/DLM, IIR/FCR, LCR, MCR, LSR, MSR, SCR). Output pin 0: INTR, gated by OUT2 as
/// a PC wires it. A byte written to THR is sent at once: the line rate costs no simulated time.
class Uart16550 final : public Device {
 public:
  static constexpr unsigned fifo_depth = 16;
  /// Bytes that wait on the host's side of the line; a real sender would be held by RTS.
  static constexpr unsigned line_capacity = 4096;

  explicit Uart16550(DeviceHost& host) : host_(host) { reset(); }

  void connect(SerialPort* far_end) { far_end_ = far_end; }
  /// A byte from the far end. False if `line_capacity` bytes already wait: offer it again later.
  bool receive(u8 byte);

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void reset() override;
  void hash(StateHash& hash) const override;

 private:
  template <unsigned capacity>
  struct Queue {
    std::array<u8, capacity> bytes{};
    unsigned first = 0;
    unsigned count = 0;
    void push(u8 byte) { bytes[(first + count++) % capacity] = byte; }
    u8 pop() {
      const u8 byte = bytes[first];
      first = (first + 1) % capacity;
      --count;
      return byte;
    }
    void clear() { first = count = 0; }
  };

  u8 read_register(u64 offset);
  u8 read_receiver();
  u8 interrupt_identification() const;
  u8 line_status();
  u8 modem_inputs() const;
  void write_register(u64 offset, u8 value);
  void write_fifo_control(u8 value);
  void write_modem_control(u8 value);
  void transmit(u8 byte);
  void accept(u8 byte);
  void refill();
  void update_interrupt();
  bool fifo_enabled() const { return (fcr_ & 1) != 0; }
  bool loopback() const { return (mcr_ & 0x10) != 0; }
  unsigned depth() const { return fifo_enabled() ? fifo_depth : 1; }
  unsigned trigger_level() const;

  DeviceHost& host_;
  SerialPort* far_end_ = nullptr;
  Queue<fifo_depth> receiver_;
  Queue<line_capacity> line_;
  u16 divisor_ = 0;
  u8 ier_ = 0;
  u8 fcr_ = 0;
  u8 lcr_ = 0;
  u8 mcr_ = 0;
  u8 scr_ = 0;
  u8 msr_delta_ = 0;
  bool overrun_ = false;
  bool thre_pending_ = false;
  bool interrupt_ = false;
};

}  // namespace bunshin
