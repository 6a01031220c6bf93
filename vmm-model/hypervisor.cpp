#include "vmm-model/hypervisor.h"

#include <algorithm>

#include "vmm-model/message.h"

namespace bunshin::vmm {

namespace {

bool alive(const Guest& guest) { return guest.state() == GuestState::Ready || guest.state() == GuestState::Halted; }

}  // namespace

void Hypervisor::serve(std::span<const BootModule> modules) {
  Message hello;
  hello << "bunshin-vmm: " << hardware_.tsc_hertz() / 1'000'000 << " MHz, " << pool_.free_pages() / 256 << " MiB, "
        << modules.size() << " modules\n";
  hardware_.log(hello.text());
  const bool good = start(modules) && run();
  hardware_.log(good ? "bunshin-vmm: all guests ended well\n" : "bunshin-vmm: not all is well\n");
  hardware_.power_off(good);
}

bool Hypervisor::run() {
  const SimTime slice{config_.slice_us * 1'000'000};
  hardware_.guests_ready();
  start_tsc_ = hardware_.tsc();
  for (;;) {
    read_input();
    if (Guest* guest = next_ready()) {
      give_processor(*guest);
      guest->run(hardware_.now() + slice);
      if (!alive(*guest)) report(*guest);
      continue;
    }
    if (std::none_of(guests_.begin(), guests_.begin() + count_, [](const Guest* g) { return alive(*g); })) break;
    idle();
  }
  // Not before all have ended: the console is slow, and the time it takes is the others'.
  std::for_each(guests_.begin(), guests_.begin() + count_, [this](Guest* g) { report_exits(*g); });
  return std::all_of(guests_.begin(), guests_.begin() + count_,
                     [](const Guest* g) { return g->state() == GuestState::Off; });
}

Guest* Hypervisor::next_ready() {
  const SimTime now = hardware_.now();
  for (unsigned i = 0; i < count_; ++i) {
    const bool before = alive(*guests_[i]);
    guests_[i]->wake(now);
    if (before && !alive(*guests_[i])) report(*guests_[i]);
  }
  for (unsigned i = 0; i < count_; ++i) {
    Guest* guest = guests_[(turn_ + i) % count_];
    if (guest->state() != GuestState::Ready) continue;
    turn_ = (turn_ + i + 1) % count_;
    return guest;
  }
  return nullptr;
}

void Hypervisor::give_processor(Guest& guest) {
  if (on_processor_ == &guest) return guest.forget_timer();
  if (on_processor_ != nullptr) on_processor_->leave_processor();
  guest.enter_processor();
  on_processor_ = &guest;
}

void Hypervisor::idle() {
  // Typed input has no interrupt here: it is looked for at this rate.
  constexpr SimTime longest = SimTime::from_ns(10'000'000);
  const SimTime now = hardware_.now();
  SimTime next = now + longest;
  for (unsigned i = 0; i < count_; ++i) next = std::min(next, guests_[i]->wake(now));
  hardware_.set_timer(next);
  const u64 before = hardware_.tsc();
  hardware_.wait_for_interrupt();
  idle_tsc_ += hardware_.tsc() - before;
}

// What is typed goes to the first guest that runs.
void Hypervisor::read_input() {
  for (unsigned i = 0; i < count_; ++i) {
    if (!alive(*guests_[i])) continue;
    for (int byte = hardware_.guest_input(); byte >= 0; byte = hardware_.guest_input()) {
      guests_[i]->type(static_cast<u8>(byte));
    }
    return;
  }
}

void Hypervisor::report(Guest& guest) {
  const u64 now = hardware_.tsc();
  Message message;
  message << guest.name() << ": " << (guest.state() == GuestState::Off ? "ended: " : "FAILED: ") << guest.reason()
          << "\n"
          << guest.name() << ": start_tsc " << start_tsc_ << " end_tsc " << now << " idle_tsc " << idle_tsc_ << "\n";
  hardware_.log(message.text());
}

void Hypervisor::report_exits(Guest& guest) {
  const PagingCounters& paging = guest.paging_counters();
  Message summary;
  summary << guest.name() << ": guest_tsc " << guest.guest_tsc() << " fills " << paging.fills << " guest_faults "
          << paging.guest_faults << " table_writes " << paging.table_writes << " flushes " << paging.flushes
          << " table_bytes " << paging.most_pages * page_size << "\n";
  if (const SoftwareProcessor* software = guest.execution().software()) {
    const auto [kernel, user] = software->user_state_time();
    summary << guest.name() << ": kernel_tsc " << kernel.tsc << " kernel_entries " << kernel.entries << " user_tsc "
            << user.tsc << " user_entries " << user.entries << "\n";
  }
  hardware_.log(summary.text());
  for (unsigned i = 0; i < exit_reasons; ++i) {
    const ExitCounter& counter = guest.counters()[i];
    if (counter.count == 0) continue;
    Message line;
    line << guest.name() << ": exits " << exit_row(static_cast<ExitReason>(i)).name << " " << counter.count << " tsc "
         << counter.tsc << "\n";
    hardware_.log(line.text());
  }
}

}  // namespace bunshin::vmm
