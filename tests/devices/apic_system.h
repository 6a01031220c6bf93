#pragma once

// Local APICs on a router with an IOAPIC and a PIC, and processors that only remember what reached their pins.

#include <array>
#include <memory>
#include <vector>

#include "devices/interrupt_bus.h"
#include "devices/io_apic.h"
#include "devices/pic.h"
#include "tests/devices/chip_host.h"

namespace bunshin::test {

class RecordingPins final : public ProcessorPins {
 public:
  void interrupt_request_changed() override { ++changes; }
  void nmi() override { ++nmis; }
  void smi() override { ++smis; }
  void init() override { ++inits; }
  void startup(u8 vector) override { startups.push_back(vector); }

  unsigned changes = 0, nmis = 0, smis = 0, inits = 0;
  std::vector<u8> startups;
};

inline constexpr unsigned processors = 4;

struct ApicSystem {
  ApicSystem() {
    for (unsigned i = 0; i < processors; ++i) {
      apics[i] = std::make_unique<LocalApic>(i, i, i == 0, hosts[i], router, pins[i], Clock{1'000'000'000});
      router.attach(i, *apics[i]);
    }
    router.attach(io_apic);
    router.attach(pic);
  }

  LocalApic& apic(unsigned index = 0) { return *apics[index]; }
  u32 get(u32 offset, unsigned index = 0) { return static_cast<u32>(apic(index).read(0, offset, 4)); }
  void put(u32 offset, u32 value, unsigned index = 0) { apic(index).write(0, offset, 4, value); }
  void enable(unsigned index = 0) { put(LocalApic::svr_register, 0x1ff, index); }
  void enable_all() {
    for (unsigned i = 0; i < processors; ++i) enable(i);
  }
  void enable_x2apic(unsigned index = 0) { apic(index).set_base_msr(apic(index).base_msr() | 1 << 10); }
  bool requested(u8 vector, unsigned index = 0) {
    return (apic(index).x2apic_enabled() ? msr(0x820u + vector / 32u, index)
                                         : u64{get(LocalApic::irr_register + vector / 32u * 16, index)}) >>
               (vector % 32) &
           1;
  }
  u64 msr(u32 number, unsigned index = 0) {
    u64 value = ~u64{0};
    apic(index).read_msr(number, value);
    return value;
  }
  void icr(u32 low, u32 destination = 0, unsigned index = 0) {
    put(LocalApic::icr_high_register, destination << 24, index);
    put(LocalApic::icr_register, low, index);
  }
  unsigned who_has(u8 vector) {
    unsigned mask = 0;
    for (unsigned i = 0; i < processors; ++i) mask |= requested(vector, i) ? 1u << i : 0;
    return mask;
  }
  void entry(unsigned pin, u32 low, u8 destination = 0) {
    io_put(0x10 + 2 * pin, low);
    io_put(0x11 + 2 * pin, u32{destination} << 24);
  }
  void io_put(u32 index, u32 value) {
    io_apic.write(0, 0, 4, index);
    io_apic.write(0, 0x10, 4, value);
  }
  u32 io_get(u32 index) {
    io_apic.write(0, 0, 4, index);
    return static_cast<u32>(io_apic.read(0, 0x10, 4));
  }

  std::array<ChipHost, processors> hosts;
  std::array<RecordingPins, processors> pins;
  InterruptRouter router;
  std::array<std::unique_ptr<LocalApic>, processors> apics;
  IoApic io_apic{router};
  ChipHost pic_host;
  Pic pic{pic_host};
};

}  // namespace bunshin::test
