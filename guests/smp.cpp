// All processors of the machine: started, interrupted by each other, and counting under one lock.

#include "guests/runtime/apic.h"
#include "guests/runtime/console.h"
#include "guests/runtime/interrupts.h"
#include "guests/runtime/processors.h"

namespace {

using namespace guest;

constexpr unsigned ping_vector = 0x50, pong_vector = 0x51;
constexpr u32 rounds = 1000, max_processors = 16;
constexpr u32 fixed_delivery = 0x4000;

SpinLock lock;
u64 counter = 0;
volatile u32 may_count = 0;
u32 ready = 0, finished = 0;
volatile u32 pings[max_processors], pongs = 0;

u32 own_apic_id() { return read_apic(ApicRegister::Id) >> 24; }

void on_ping(Frame&) {
  const u32 id = own_apic_id();
  if (id < max_processors) pings[id] = pings[id] + 1;
  end_of_interrupt();
  send_command(0, fixed_delivery | pong_vector);
}

void on_pong(Frame&) {
  pongs = pongs + 1;
  end_of_interrupt();
}

void count() {
  for (u32 i = 0; i < rounds; ++i) {
    lock.lock();
    counter = counter + 1;
    lock.unlock();
  }
}

bool ping(u32 id) {
  const u32 before = pongs;
  send_command(id, fixed_delivery | ping_vector);
  while (pongs == before) wait_for_interrupt();
  return pings[id] == 1;
}

}  // namespace

extern "C" void processor_main(u32) {
  enable_apic(false);
  __atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
  while (may_count == 0) pause();
  count();
  __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
  while (true) wait_for_interrupt();
}

extern "C" u32 kernel_main() {
  const u32 processors = processor_count();
  if (processors > max_processors) return 2;
  set_handler(ping_vector, on_ping);
  set_handler(pong_vector, on_pong);
  initialize_pics(0);
  enable_apic(false);
  start_processors();
  while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) != processors - 1) pause();
  print("smp: ", processors, " processors\n");

  may_count = 1;
  count();
  while (__atomic_load_n(&finished, __ATOMIC_SEQ_CST) != processors - 1) pause();
  print("smp: counted to ", counter, " under one lock\n");

  u32 answered = 0;
  for (u32 id = 1; id < processors; ++id) answered += ping(id) ? 1 : 0;
  print("smp: ", answered, " answered an interrupt\n");
  return counter == u64{processors} * rounds && answered == processors - 1 ? 0 : 1;
}
