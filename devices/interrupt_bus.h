#pragma once

// The medium between local APICs, IOAPICs, the PIC and writers of message-signalled interrupts (SDM vol. 3, 10.6.2 and
// 10.11).

#include <array>

#include "devices/local_apic.h"

namespace bunshin {

class IoApic;
class Pic;

class InterruptRouter final : public InterruptBus {
 public:
  static constexpr unsigned max_local_apics = 16;
  static constexpr unsigned max_io_apics = 4;

  /// `apic.index` as given to its constructor. Attached objects must outlive the router's use.
  void attach(unsigned index, LocalApic& apic);
  void attach(IoApic& io_apic);
  void attach(Pic& pic) { pic_ = &pic; }

  void send_ipi(unsigned sender, unsigned shorthand, const InterruptMessage& message) override;
  void send(const InterruptMessage& message) override;
  void end_of_interrupt(u8 vector) override;
  u8 acknowledge_external() override;

  /// A write of `data` to 0xFEExxxxx (10.11.1, 10.11.2); anything else at another address is dropped.
  void message_signalled(u64 address, u32 data);

 private:
  /// Delivers to the members of the bit mask; to one of them if the message asks for arbitration.
  void deliver(const InterruptMessage& message, u32 targets);

  std::array<LocalApic*, max_local_apics> local_apics_{};
  std::array<IoApic*, max_io_apics> io_apics_{};
  Pic* pic_ = nullptr;
};

}  // namespace bunshin
