#pragma once

// Time and the timer of the machine: the time-stamp counter, and the local APIC's one-shot timer.

#include "base/time.h"
#include "vmm-model/machine/machine_instructions.h"

namespace bunshin::vmm {

class MachineClock {
 public:
  static constexpr u8 timer_vector = 0xf0, spurious_vector = 0xff;
  /// The local APIC's EOI register: the timer's handler writes zero there.
  static constexpr u64 end_of_interrupt = 0xfee0'00b0;

  explicit MachineClock(MachineInstructions& machine) : machine_(machine) {}
  /// Silences the PICs, finds out how fast TSC and APIC timer count, and starts from zero.
  void start();

  u64 tsc_hertz() const { return tsc_.hertz; }
  SimTime now() const { return tsc_.at(machine_.time_stamp() - origin_); }
  SimTime time_of_tsc(u64 tsc) const { return tsc_.at(tsc > origin_ ? tsc - origin_ : 0); }
  u64 tsc_at(SimTime time) const { return time == SimTime::never() ? ~u64{0} : origin_ + tsc_.tick_from(time); }
  void set_timer(SimTime at);

 private:
  struct Sample {
    u64 tsc = 0;
    u32 apic = 0, pm = 0;
  };
  Sample sample();
  void mask_pics();
  void calibrate();

  MachineInstructions& machine_;
  Clock tsc_, apic_;
  u64 origin_ = 0;
};

}  // namespace bunshin::vmm
