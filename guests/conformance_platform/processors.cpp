// The other processors: INIT and STARTUP (Intel SDM vol. 3, 8.4.4), again while one runs, and interrupts among them.

#include "guests/runtime/processors.h"
#include "guests/conformance_platform/platform.h"
#include "guests/runtime/apic.h"
#include "guests/runtime/console.h"
#include "guests/runtime/interrupts.h"

extern "C" {
extern char platform_trampoline[], platform_trampoline_end[];
}

namespace guest {

namespace {

constexpr unsigned vector = 0x52;
constexpr u32 init = 0x4500, startup = 0x4600, fixed = 0x4000, nmi = 0x400, all_but_self = 0xc0000;
/// Where a started processor leaves what it found (trampoline.S), one page above its code.
constexpr u64 mailbox = 0x7000;

u32 arrived = 0;
u32 counted = 0, nmis = 0;

void on_interrupt(Frame&) {
  __atomic_fetch_add(&counted, 1, __ATOMIC_SEQ_CST);
  end_of_interrupt();
}

void on_nmi(Frame&) { __atomic_fetch_add(&nmis, 1, __ATOMIC_SEQ_CST); }

u32 value(const u32& counter) { return __atomic_load_n(&counter, __ATOMIC_SEQ_CST); }

bool all_start() {
  start_processors();
  while (value(arrived) != processor_count() - 1) pause();
  return true;
}

bool broadcast_interrupts_all() {
  set_handler(vector, on_interrupt);
  counted = 0;
  send_command(0, all_but_self | fixed | vector);
  while (value(counted) < processor_count() - 1) pause();
  send_command(0xff, fixed | vector);
  enable_interrupts();
  while (value(counted) < 2 * processor_count() - 1) pause();
  disable_interrupts();
  return value(counted) == 2 * processor_count() - 1;
}

bool nmi_wakes() {
  if (processor_count() < 2) return true;
  set_handler(2, on_nmi);
  nmis = 0;
  for (u32 sent = 1; sent <= 100; ++sent) {
    send_command(1, nmi | fixed);
    while (value(nmis) < sent) pause();
  }
  return value(nmis) == 100;
}

struct Mailbox {
  u32 arrivals, cr0, code_segment, edx, flags;
};

/// INIT stops a processor that runs; STARTUP sets it going in real mode at the page it names.
bool starts_again_at_another_page() {
  if (processor_count() < 2) return true;
  for (u32 page = 0; page <= 6; page += 6) {
    auto* to = reinterpret_cast<volatile char*>(u64{page} << 12);
    for (const char* from = platform_trampoline; from != platform_trampoline_end; ++from) *to++ = *from;
    auto* const box = reinterpret_cast<volatile Mailbox*>(mailbox);
    box->arrivals = 0;
    send_command(1, init);
    tsc_in_pm_ticks(40'000);
    if (box->arrivals != 0) return false;
    send_command(1, startup | page);
    while (box->arrivals == 0) pause();
    send_command(1, startup | page);  // one that runs ignores it
    tsc_in_pm_ticks(4'000);
    const bool real_mode = (box->cr0 & 0x8000'0001) == 0 && (box->flags & 0x200) == 0;
    if (box->arrivals != 1 || !real_mode || box->code_segment != page << 8) return false;
  }
  return true;
}

constexpr Check checks[] = {
    {"all start", all_start},
    {"broadcast", broadcast_interrupts_all},
    {"NMI", nmi_wakes},
    {"INIT and STARTUP again", starts_again_at_another_page},
};

}  // namespace

unsigned check_processors() { return run_checks("processors", checks); }

}  // namespace guest

extern "C" void processor_main(guest::u32) {
  using namespace guest;
  enable_apic(false);
  __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
  while (true) wait_for_interrupt();
}
