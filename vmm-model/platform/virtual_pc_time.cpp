// Time on the guest's board: alarms in their order, and ticks that came when the guest could not take them.

#include <initializer_list>

#include "vmm-model/platform/virtual_pc.h"

namespace bunshin::vmm {

SimTime VirtualPc::next_alarm() const {
  SimTime next = SimTime::never();
  for (unsigned i = 0; i < chips; ++i) {
    if (alarmed_[i] != nullptr && hosts_[i].alarm < next) next = hosts_[i].alarm;
  }
  return next;
}

void VirtualPc::serve(unsigned chip) {
  hosts_[chip].alarm = SimTime::never();
  if (guest_away_ && alarmed_[chip] == &apic_ && waits(Ticker::local_apic)) owe(Ticker::local_apic);
  alarmed_[chip]->alarm();
}

void VirtualPc::serve_alarms(SimTime present) {
  for (unsigned served = 0; served < chips * max_alarms; ++served) {
    unsigned first = chips;
    for (unsigned i = 0; i < chips; ++i) {
      if (alarmed_[i] == nullptr || hosts_[i].alarm > present) continue;
      if (first == chips || hosts_[i].alarm < hosts_[first].alarm) first = i;
    }
    if (first == chips) break;
    // Served late, an alarm still sees the time it was set for: a pulse must not be over before its device looks.
    access_time_ = served < max_alarms ? hosts_[first].alarm : present;
    serve(first);
  }
  access_time_ = present;
}

void VirtualPc::catch_up(const Device& device) {
  for (unsigned i = 0; i < chips; ++i) {
    if (alarmed_[i] != &device || hosts_[i].alarm == SimTime::never()) continue;
    if (const SimTime present = now(); hosts_[i].alarm <= present) serve_alarms(present);
    return;
  }
}

SimTime VirtualPc::run_devices() {
  const Access access(*this);
  serve_alarms(hardware_.now());
  alarm_set_ = false;
  return next_alarm();
}

SimTime VirtualPc::guest_was_away() {
  guest_away_ = true;
  const SimTime next = run_devices();
  guest_away_ = false;
  return next;
}

void VirtualPc::owe(Ticker ticker) {
  u16& owed = owed_[static_cast<unsigned>(ticker)];
  if (owed == max_owed) return;
  ++owed;
  ++ticks_owed_;
}

bool VirtualPc::waits(Ticker ticker) const {
  if (ticker == Ticker::local_apic) return apic_.timer_tick_waits();
  return lines_.edge_waits(line_of(ticker), apic_);
}

void VirtualPc::note_edge(unsigned line) {
  if (!guest_away_ || (line != 0 && line != 8)) return;
  const Ticker ticker = line == 0 ? Ticker::line0 : Ticker::line8;
  if (lines_.listened_to(line) && waits(ticker)) owe(ticker);
}

void VirtualPc::repay() {
  for (const Ticker ticker : {Ticker::line0, Ticker::line8, Ticker::local_apic}) {
    u16& owed = owed_[static_cast<unsigned>(ticker)];
    if (owed == 0 || waits(ticker)) continue;
    --owed;
    --ticks_owed_;
    if (ticker == Ticker::local_apic) {
      apic_.repeat_timer_tick();
    } else {
      lines_.drive(InterruptLines::Source::Isa, line_of(ticker), false);
      lines_.drive(InterruptLines::Source::Isa, line_of(ticker), true);
      drive_legacy_timers();
    }
  }
}

void VirtualPc::forget_debts(const Claim& claim, u64 offset) {
  if (ticks_owed_ == 0) return;
  const auto forget = [this](Ticker ticker) {
    ticks_owed_ -= owed_[static_cast<unsigned>(ticker)];
    owed_[static_cast<unsigned>(ticker)] = 0;
  };
  if ((claim.device == &pit_ && claim.region == 0 && offset == 0) || claim.device == &hpet_) forget(Ticker::line0);
  if (claim.device == &hpet_) forget(Ticker::line8);
  if (claim.device == &apic_ && offset == LocalApic::initial_count_register) forget(Ticker::local_apic);
}

}  // namespace bunshin::vmm
