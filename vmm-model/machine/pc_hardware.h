#pragma once

// The part of Hardware that a PC's devices make, whichever binding reaches them: time, timer, consoles, power.

#include "vmm-model/hardware.h"
#include "vmm-model/machine/clock.h"
#include "vmm-model/machine/serial_line.h"

namespace bunshin::vmm {

class PcHardware : public Hardware, public MachineInstructions {
 public:
  SimTime now() override { return clock_.now(); }
  u64 tsc() override { return time_stamp(); }
  u64 tsc_hertz() const override { return clock_.tsc_hertz(); }
  SimTime time_of_tsc(u64 tsc) override { return clock_.time_of_tsc(tsc); }
  u64 tsc_at(SimTime time) override { return clock_.tsc_at(time); }
  void set_timer(SimTime at) override { clock_.set_timer(at); }
  void log(std::string_view text) override;
  void guest_output(std::span<const char> text) override;
  int guest_input() override { return guests_.get(); }
  void power_off(bool success) override;

 protected:
  /// Before anything else is asked for.
  void start_devices();
  ~PcHardware() = default;

 private:
  /// Nothing is left to be done.
  virtual void stop() = 0;

  SerialLine guests_{*this, 0x3f8}, own_{*this, 0x2f8};
  MachineClock clock_{*this};
};

}  // namespace bunshin::vmm
