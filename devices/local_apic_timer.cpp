// The APIC timer (SDM vol. 3, 10.5.4). The count is a function of time: nothing happens tick by tick.

#include "devices/local_apic.h"

namespace bunshin {

// Figure 10-10: bits 3, 1 and 0; 7 is a division by one.
u64 LocalApic::timer_divisor() const {
  const unsigned code = (divide_ & 3) | (divide_ >> 1 & 4);
  return code == 7 ? 1 : u64{2} << code;
}

u32 LocalApic::current_count() const {
  if (!timer_running_) return 0;
  const u64 divisor = timer_divisor();
  const u64 elapsed = (timer_clock_.ticks(host_.now()) - origin_tick_) / divisor;
  if (elapsed < origin_count_) return static_cast<u32>(origin_count_ - elapsed);
  if (timer_mode() != TimerMode::Periodic || initial_count_ == 0) return 0;
  return static_cast<u32>(initial_count_ - (elapsed - origin_count_) % initial_count_);
}

// Folds the periods that have passed into the origin; true if there was at least one.
bool LocalApic::timer_expired() {
  if (!timer_running_) return false;
  const u64 divisor = timer_divisor();
  const u64 elapsed = timer_clock_.ticks(host_.now()) - origin_tick_;
  const u64 span = origin_count_ * divisor;
  if (elapsed < span) return false;
  if (timer_mode() != TimerMode::Periodic || initial_count_ == 0) {
    timer_running_ = false;
    return true;
  }
  const u64 period = initial_count_ * divisor;
  origin_tick_ += span + (elapsed - span) / period * period;
  origin_count_ = initial_count_;
  return true;
}

void LocalApic::service_timer() {
  if (deadline_ != 0 && host_.now() >= deadline_at_) {
    deadline_ = 0;
    deadline_at_ = SimTime::never();
    deliver_local(lvt_timer);
  }
  if (timer_expired()) deliver_local(lvt_timer);
}

// A masked count needs no alarm: it is folded when somebody looks.
void LocalApic::schedule_timer() {
  if (timer_mode() == TimerMode::TscDeadline) {
    host_.set_alarm(deadline_ != 0 ? deadline_at_ : SimTime::never());
  } else if (timer_running_ && (lvt_[lvt_timer] & lvt_masked) == 0) {
    host_.set_alarm(timer_clock_.at(origin_tick_ + origin_count_ * timer_divisor()));
  } else {
    host_.set_alarm(SimTime::never());
  }
}

void LocalApic::alarm() {
  service_timer();
  schedule_timer();
}

void LocalApic::stop_timer() {
  timer_running_ = false;
  origin_tick_ = 0;
  origin_count_ = 0;
  deadline_ = 0;
  deadline_at_ = SimTime::never();
}

bool LocalApic::timer_tick_waits() const {
  const u32 lvt = lvt_[lvt_timer];
  return timer_mode() == TimerMode::Periodic && (lvt & lvt_masked) == 0 && irr_.test(static_cast<u8>(lvt));
}

// One-shot and periodic share a running count; entering or leaving TSC-deadline mode disarms (10.5.4.1).
void LocalApic::write_timer_lvt(u32 value) {
  service_timer();
  const TimerMode before = timer_mode();
  write_lvt(lvt_timer, value);
  const TimerMode after = timer_mode();
  const bool counts = after == TimerMode::OneShot || after == TimerMode::Periodic;
  if (before != after && (before == TimerMode::TscDeadline || !counts)) stop_timer();
  schedule_timer();
}

void LocalApic::write_initial_count(u32 value) {
  if (timer_mode() == TimerMode::TscDeadline) return;
  service_timer();
  initial_count_ = value;
  timer_running_ = value != 0 && timer_mode() != TimerMode::Reserved;
  origin_tick_ = timer_clock_.ticks(host_.now());
  origin_count_ = value;
  schedule_timer();
}

void LocalApic::write_divide(u32 value) {
  service_timer();
  const u32 remaining = current_count();
  divide_ = value & 0xb;
  if (timer_running_) {
    origin_tick_ = timer_clock_.ticks(host_.now());
    origin_count_ = remaining;
  }
  schedule_timer();
}

void LocalApic::set_tsc_deadline(u64 tsc_value, SimTime at) {
  if (timer_mode() != TimerMode::TscDeadline || !globally_enabled()) return;
  deadline_ = tsc_value;
  deadline_at_ = tsc_value != 0 ? at : SimTime::never();
  service_timer();
  schedule_timer();
}

}  // namespace bunshin
