#pragma once

// Time and the timer of the machine: the time-stamp counter, and the local APIC's one-shot timer.

#include "base/time.h"
#include "vmm-model/bare/instructions.h"

namespace bunshin::vmm::bare {

class MachineClock {
 public:
  /// Finds out how fast TSC and APIC timer count, and starts from zero.
  MachineClock();

  u64 tsc_hertz() const { return tsc_.hertz; }
  SimTime now() const { return tsc_.at(read_tsc() - origin_); }
  SimTime time_of_tsc(u64 tsc) const { return tsc_.at(tsc > origin_ ? tsc - origin_ : 0); }
  void set_timer(SimTime at);
  static void end_of_interrupt();

 private:
  void calibrate();

  Clock tsc_, apic_;
  u64 origin_ = 0;
};

inline constexpr u8 timer_vector = 0xf0, spurious_vector = 0xff;

}  // namespace bunshin::vmm::bare
