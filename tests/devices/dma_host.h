#pragma once

// A ChipHost with memory for bus masters, and a driver's view of it.

#include <algorithm>
#include <cstring>

#include "tests/devices/chip_host.h"

namespace bunshin::test {

class DmaHost final : public DeviceHost {
 public:
  explicit DmaHost(std::size_t bytes = 1 << 20) : memory(bytes) {}

  SimTime now() const override { return now_; }
  void set_alarm(SimTime at) override { alarm = at; }
  void set_pin(unsigned pin, bool level) override { pins[pin] = level; }
  bool dma_read(u64 address, std::span<u8> data) override {
    if (address > memory.size() || data.size() > memory.size() - address) return false;
    std::memcpy(data.data(), memory.data() + address, data.size());
    return true;
  }
  bool dma_write(u64 address, std::span<const u8> data) override {
    if (address >> 20 == 0xfee && data.size() == 4) {
      u32 value;
      std::memcpy(&value, data.data(), 4);
      messages.push_back({address, value});
      return true;
    }
    if (address > memory.size() || data.size() > memory.size() - address) return false;
    std::memcpy(memory.data() + address, data.data(), data.size());
    return true;
  }

  SimTime dma_complete() const override { return std::max(now_, dma_done); }
  void set_now(SimTime time) { now_ = time; }

  template <class T>
  T get(u64 address) const {
    T value;
    std::memcpy(&value, memory.data() + address, sizeof value);
    return value;
  }
  template <class T>
  void put(u64 address, T value) {
    std::memcpy(memory.data() + address, &value, sizeof value);
  }
  /// Serves alarms until the device asks for none; false if it never stops.
  bool settle(Device& device) {
    for (unsigned i = 0; i < 1000; ++i) {
      if (alarm == SimTime::never()) return true;
      now_ = alarm > now_ ? alarm : now_;
      alarm = SimTime::never();
      device.alarm();
    }
    return false;
  }

  std::vector<u8> memory;
  std::map<unsigned, bool> pins;
  std::vector<std::pair<u64, u32>> messages;
  SimTime alarm = SimTime::never();
  SimTime dma_done;  ///< when the transfers so far have passed

 private:
  SimTime now_;
};

}  // namespace bunshin::test
