#pragma once

// What every device is: registers and behaviour in a plain freestanding class. No SystemC, no heap, no exceptions: the
// same class sits on the modeled bus (behind a TLM-2.0 shell, devices/tlm/) and inside a hypervisor as a device model.

#include <span>

#include "base/state_hash.h"
#include "base/time.h"
#include "base/types.h"

namespace bunshin {

/// What a device may ask of the machine it is plugged into.
class DeviceHost {
 public:
  /// The simulated time of the access or alarm being served.
  virtual SimTime now() const = 0;
  /// Asks for Device::alarm() at `at` (immediately if that has passed). One alarm a device: a later call replaces an
  /// earlier one, SimTime::never() cancels it.
  virtual void set_alarm(SimTime at) = 0;
  /// Drives output `pin` (numbered by the device's header) to `level`.
  virtual void set_pin(unsigned pin, bool level) = 0;
  /// Bus-master accesses to bus addresses; false if nothing answers or the access is refused. MSI is a dma_write to
  /// 0xFEExxxxx.
  virtual bool dma_read(u64 address, std::span<u8> data) = 0;
  virtual bool dma_write(u64 address, std::span<const u8> data) = 0;
  /// When all that the device has read and written so far has passed the memory hierarchy: it must not tell the guest of it
  /// before. Now, unless somebody models that.
  virtual SimTime dma_complete() const { return now(); }
  /// The register access being served ends at `at`, unless it takes longer anyway.
  virtual void hold_until(SimTime /*at*/) {}

 protected:
  ~DeviceHost() = default;
};

class Device {
 public:
  /// `region` is one of the ranges the device's header lists, `offset` is within it, `size` is 1, 2, 4 or 8.
  virtual u64 read(unsigned region, u64 offset, unsigned size) = 0;
  virtual void write(unsigned region, u64 offset, unsigned size, u64 value) = 0;
  /// The time asked for with DeviceHost::set_alarm() has come.
  virtual void alarm() {}
  /// Input `pin` (numbered by the device's header) changes to `level`.
  virtual void set_input(unsigned /*pin*/, bool /*level*/) {}
  /// Power-on or platform reset.
  virtual void reset() = 0;
  /// Adds all guest-visible state.
  virtual void hash(StateHash& hash) const = 0;

 protected:
  ~Device() = default;
};

}  // namespace bunshin
