#pragma once

// A machine small enough to test one chip in: time that the test moves, pins that it reads.

#include <map>
#include <vector>

#include "devices/device.h"

namespace bunshin::test {

class ChipHost final : public DeviceHost {
 public:
  SimTime now() const override { return now_; }
  void set_alarm(SimTime at) override { alarm_ = at; }
  void set_pin(unsigned pin, bool level) override {
    edges.push_back({now_, pin, level});
    pins[pin] = level;
    if (level) ++rises[pin];
  }
  bool dma_read(u64, std::span<u8>) override { return false; }
  bool dma_write(u64 address, std::span<const u8> data) override {
    u32 value = 0;
    for (std::size_t i = 0; i < data.size() && i < 4; ++i) value |= u32{data[i]} << (8 * i);
    messages.push_back({address, value});
    return true;
  }

  /// Moves time on, serving the device's alarms at their times.
  void run_until(Device& device, SimTime end) {
    while (alarm_ <= end) {
      if (alarm_ > now_) now_ = alarm_;
      alarm_ = SimTime::never();
      device.alarm();
    }
    now_ = end;
  }
  void run_for(Device& device, SimTime span) { run_until(device, now_ + span); }
  /// Moves time without serving alarms.
  void set_now(SimTime time) { now_ = time; }
  SimTime alarm_time() const { return alarm_; }

  struct Edge {
    SimTime at;
    unsigned pin;
    bool level;
  };
  std::vector<Edge> edges;
  std::map<unsigned, bool> pins;
  std::map<unsigned, unsigned> rises;
  std::vector<std::pair<u64, u32>> messages;

 private:
  SimTime now_;
  SimTime alarm_ = SimTime::never();
};

constexpr SimTime microseconds(u64 n) { return SimTime{n * 1'000'000}; }
constexpr SimTime milliseconds(u64 n) { return SimTime{n * 1'000'000'000}; }
constexpr SimTime seconds(u64 n) { return SimTime{n * 1'000'000'000'000}; }

}  // namespace bunshin::test
