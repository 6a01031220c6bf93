#include "devices/uart16550.h"

namespace bunshin {
namespace {

// PC16550D data sheet, table 8.0 "Summary of registers".
constexpr u8 ier_received = 0x01, ier_thre = 0x02, ier_line = 0x04, ier_modem = 0x08;
constexpr u8 iir_none = 0x01, iir_line = 0x06, iir_received = 0x04, iir_timeout = 0x0c, iir_thre = 0x02,
             iir_modem = 0x00;
constexpr u8 iir_fifos = 0xc0;
constexpr u8 lcr_dlab = 0x80;
constexpr u8 mcr_out2 = 0x08;
constexpr u8 lsr_data = 0x01, lsr_overrun = 0x02, lsr_thre = 0x20, lsr_temt = 0x40;
constexpr u8 msr_line_present = 0xb0;  // CTS, DSR, DCD: somebody is always at the other end

}  // namespace

void Uart16550::reset() {
  receiver_.clear();
  divisor_ = 12;  // 9600 baud
  ier_ = fcr_ = lcr_ = mcr_ = scr_ = msr_delta_ = 0;
  overrun_ = thre_pending_ = false;
  update_interrupt();
}

bool Uart16550::receive(u8 byte) {
  if (line_.count == line_capacity) return false;
  line_.push(byte);
  refill();
  return true;
}

void Uart16550::refill() {
  while (!loopback() && line_.count != 0 && receiver_.count < depth()) receiver_.push(line_.pop());
  update_interrupt();
}

void Uart16550::accept(u8 byte) {
  if (receiver_.count >= depth()) {
    overrun_ = true;
    if (!fifo_enabled()) {  // 8.4: RBR's character is destroyed; with FIFOs the new one is
      receiver_.clear();
      receiver_.push(byte);
    }
  } else {
    receiver_.push(byte);
  }
}

unsigned Uart16550::trigger_level() const {
  static constexpr std::array<u8, 4> levels = {1, 4, 8, 14};
  return fifo_enabled() ? levels[fcr_ >> 6] : 1;
}

u8 Uart16550::interrupt_identification() const {
  // 8.6, table 8.1: in order of priority. The character timeout of 8.6 follows at once: the line costs no time.
  if ((ier_ & ier_line) != 0 && overrun_) return iir_line;
  if ((ier_ & ier_received) != 0 && receiver_.count != 0) {
    return receiver_.count >= trigger_level() ? iir_received : iir_timeout;
  }
  if ((ier_ & ier_thre) != 0 && thre_pending_) return iir_thre;
  if ((ier_ & ier_modem) != 0 && msr_delta_ != 0) return iir_modem;
  return iir_none;
}

void Uart16550::update_interrupt() {
  const bool level = interrupt_identification() != iir_none && (mcr_ & mcr_out2) != 0 && !loopback();
  if (level == interrupt_) return;
  interrupt_ = level;
  host_.set_pin(0, level);
}

u8 Uart16550::read_receiver() {
  const u8 byte = receiver_.count != 0 ? receiver_.pop() : 0;
  refill();
  return byte;
}

u8 Uart16550::line_status() {
  u8 status = lsr_thre | lsr_temt;
  if (receiver_.count != 0) status |= lsr_data;
  if (overrun_) status |= lsr_overrun;
  overrun_ = false;
  return status;
}

u8 Uart16550::modem_inputs() const {
  if (!loopback()) return msr_line_present;
  // 8.7: RTS→CTS, DTR→DSR, OUT1→RI, OUT2→DCD.
  return static_cast<u8>((mcr_ & 0x02) << 3 | (mcr_ & 0x01) << 5 | (mcr_ & 0x04) << 4 | (mcr_ & 0x08) << 4);
}

u8 Uart16550::read_register(u64 offset) {
  switch (offset & 7) {
    case 0: return (lcr_ & lcr_dlab) != 0 ? static_cast<u8>(divisor_) : read_receiver();
    case 1: return (lcr_ & lcr_dlab) != 0 ? static_cast<u8>(divisor_ >> 8) : ier_;
    case 2: {
      const u8 id = interrupt_identification();
      if (id == iir_thre) thre_pending_ = false;
      return static_cast<u8>(id | (fifo_enabled() ? iir_fifos : 0));
    }
    case 3: return lcr_;
    case 4: return mcr_;
    case 5: return line_status();
    case 6: {
      const u8 status = modem_inputs() | msr_delta_;
      msr_delta_ = 0;
      return status;
    }
    default: return scr_;
  }
}

u64 Uart16550::read(unsigned, u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) value |= u64{read_register(offset + i)} << (8 * i);
  update_interrupt();
  return value;
}

void Uart16550::transmit(u8 byte) {
  if (loopback()) {
    accept(byte);
  } else if (far_end_ != nullptr) {
    far_end_->transmit(byte);
  }
  thre_pending_ = true;
}

void Uart16550::write_fifo_control(u8 value) {
  if (((value ^ fcr_) & 1) != 0 || (value & 0x02) != 0) receiver_.clear();
  fcr_ = (value & 1) != 0 ? value & 0xc9 : 0;
  refill();
}

void Uart16550::write_modem_control(u8 value) {
  const u8 before = modem_inputs();
  mcr_ = value & 0x1f;
  const u8 changed = before ^ modem_inputs();
  // 8.8: delta CTS, DSR, DCD; for RI only the trailing edge counts.
  msr_delta_ |= static_cast<u8>((changed & 0xb0) >> 4);
  if ((changed & before & 0x40) != 0) msr_delta_ |= 0x04;
  refill();
}

void Uart16550::write_register(u64 offset, u8 value) {
  switch (offset & 7) {
    case 0:
      if ((lcr_ & lcr_dlab) != 0) {
        divisor_ = static_cast<u16>((divisor_ & 0xff00) | value);
      } else {
        transmit(value);
      }
      break;
    case 1:
      if ((lcr_ & lcr_dlab) != 0) {
        divisor_ = static_cast<u16>((divisor_ & 0x00ff) | value << 8);
      } else {
        if ((value & ~ier_ & ier_thre) != 0) thre_pending_ = true;  // THR is always empty
        ier_ = value & 0x0f;
      }
      break;
    case 2: write_fifo_control(value); break;
    case 3: lcr_ = value; break;
    case 4: write_modem_control(value); break;
    case 7: scr_ = value; break;
    default: break;  // LSR and MSR are read only
  }
}

void Uart16550::write(unsigned, u64 offset, unsigned size, u64 value) {
  for (unsigned i = 0; i < size; ++i) write_register(offset + i, static_cast<u8>(value >> (8 * i)));
  update_interrupt();
}

void Uart16550::hash(StateHash& hash) const {
  hash.add(u64{divisor_} << 48 | u64{ier_} << 40 | u64{fcr_} << 32 | u64{lcr_} << 24 | u64{mcr_} << 16 |
           u64{scr_} << 8 | msr_delta_);
  hash.add(u64{overrun_} | u64{thre_pending_} << 1 | u64{interrupt_} << 2);
  for (unsigned i = 0; i < receiver_.count; ++i) hash.add(receiver_.bytes[(receiver_.first + i) % fifo_depth]);
  hash.add(receiver_.count);
  for (unsigned i = 0; i < line_.count; ++i) hash.add(line_.bytes[(line_.first + i) % line_capacity]);
  hash.add(line_.count);
}

}  // namespace bunshin
