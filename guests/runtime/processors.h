#pragma once

// The other processors of the machine.

#include "guests/runtime/processor.h"

namespace guest {

/// How many processors the machine has (QEMU's fw_cfg, item 5).
u32 processor_count();

/// Starts all others with INIT and STARTUP (Intel SDM vol. 3, 8.4.4) and waits until each has an index (1, 2, …).
void start_processors();

class SpinLock {
 public:
  void lock() {
    while (__atomic_exchange_n(&taken_, 1, __ATOMIC_ACQUIRE) != 0) pause();
  }
  void unlock() { __atomic_store_n(&taken_, 0, __ATOMIC_RELEASE); }

 private:
  u32 taken_ = 0;
};

}  // namespace guest

/// What a program with several processors defines; ap_start.S calls it on each with its index.
extern "C" void processor_main(guest::u32 index);
