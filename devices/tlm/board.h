#pragma once

// What every shell on the board shares: the clock of the access being served, memory, and the way to the processors.

#include <systemc>

#include "base/time.h"
#include "devices/interrupt_bus.h"
#include "mmu/memory/physical_memory.h"

namespace bunshin {

class BusAdapter;

inline SimTime to_sim_time(const sc_core::sc_time& time) { return SimTime{time.value()}; }
inline sc_core::sc_time to_sc_time(SimTime time) { return sc_core::sc_time::from_value(time.ps); }

/// The time that all devices see: the kernel's, plus the offset of the initiator whose access is being served.
class BoardClock {
 public:
  SimTime now() const { return to_sim_time(sc_core::sc_time_stamp()) + offset_; }

  /// While one lives, accesses come from an initiator that is `offset` ahead of the kernel.
  class Access {
   public:
    Access(BoardClock& clock, SimTime offset) : clock_(clock), outer_(clock.offset_) { clock_.offset_ = offset; }
    ~Access() { clock_.offset_ = outer_; }
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;

   private:
    BoardClock& clock_;
    SimTime outer_;
  };

 private:
  SimTime offset_;
};

/// Says how long the accesses of bus masters to memory take.
class DmaTimer {
 public:
  /// A device reads or writes memory from `start` on. When the last byte has been transferred.
  virtual SimTime transfer(bool write, u64 address, u64 bytes, SimTime start) = 0;

 protected:
  ~DmaTimer() = default;
};

struct Board {
  PhysicalMemory& memory;
  InterruptRouter router;
  BoardClock clock;
  BusAdapter* dma = nullptr;
  DmaTimer* dma_timer = nullptr;  ///< null: no time
};

/// Waits for one moment that may be moved; calls back in an SC_METHOD.
class AlarmClock : public sc_core::sc_module {
 public:
  using Callback = void (*)(void* context);
  AlarmClock(const sc_core::sc_module_name& name, Callback callback, void* context);
  /// Replaces the earlier time; SimTime::never() cancels.
  void set(SimTime at);

 private:
  void ring() { callback_(context_); }
  sc_core::sc_event event_;
  Callback callback_;
  void* context_;
  SimTime at_ = SimTime::never();
};

}  // namespace bunshin
