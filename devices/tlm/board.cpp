#include "devices/tlm/board.h"

namespace bunshin {

AlarmClock::AlarmClock(const sc_core::sc_module_name& name, Callback callback, void* context)
    : sc_module(name), callback_(callback), context_(context) {
  using SC_CURRENT_USER_MODULE = AlarmClock;
  SC_METHOD(ring);
  sensitive << event_;
  dont_initialize();
}

void AlarmClock::set(SimTime at) {
  const SimTime now = to_sim_time(sc_core::sc_time_stamp());
  if (at == at_ && at > now) return;
  at_ = at;
  event_.cancel();  // a later notification would not replace an earlier one (IEEE 1666, 5.10.5)
  if (at == SimTime::never()) return;
  event_.notify(at <= now ? sc_core::SC_ZERO_TIME : to_sc_time(at - now));
}

}  // namespace bunshin
