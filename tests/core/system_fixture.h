#pragma once

// One core with RAM, a local APIC and nothing else, for tests of the system instructions without an engine.

#include <gtest/gtest.h>

#include "core/cpu.h"
#include "core/system/semantics.h"

namespace bunshin {

class NullDeviceHost final : public DeviceHost {
 public:
  SimTime now() const override { return time; }
  void set_alarm(SimTime at) override { alarm = at; }
  void set_pin(unsigned, bool) override {}
  bool dma_read(u64, std::span<u8>) override { return false; }
  bool dma_write(u64, std::span<const u8>) override { return false; }

  SimTime time;
  SimTime alarm = SimTime::never();
};

class NullInterruptBus final : public InterruptBus {
 public:
  void send_ipi(unsigned, unsigned, const InterruptMessage&) override {}
  void send(const InterruptMessage&) override {}
  void end_of_interrupt(u8) override {}
  u8 acknowledge_external() override { return 0; }
};

class NullPins final : public ProcessorPins {
 public:
  void interrupt_request_changed() override {}
  void nmi() override {}
  void smi() override {}
  void init() override {}
  void startup(u8) override {}
};

/// A port that returns the low bytes of a counter and remembers what was written.
class RecordingBus final : public BusPort {
 public:
  u64 read(BusSpace, u64 address, unsigned, SimTime&) override {
    last_address = address;
    return next_value++;
  }
  void write(BusSpace, u64 address, unsigned size, u64 value, SimTime&) override {
    last_address = address;
    written.push_back({size, value});
  }

  struct Write {
    unsigned size;
    u64 value;
  };
  u64 next_value = 0x11223344;
  u64 last_address = 0;
  std::vector<Write> written;
};

class FixedEnvironment final : public CoreEnvironment {
 public:
  explicit FixedEnvironment(NullDeviceHost& host) : host_(host) {}
  SimTime platform_time() const override { return SimTime{}; }
  SimTime next_event() const override { return SimTime::never(); }
  void set_local_time(SimTime now) override { host_.time = now; }
  void marked(unsigned, u16 code) override { marks.push_back(code); }
  bool reached(unsigned, u64 linear) override { return on_reached && on_reached(linear); }

  std::vector<u16> marks;
  std::function<bool(u64)> on_reached;

 private:
  NullDeviceHost& host_;
};

inline CpuProfile resolved_profile(std::string vendor = "GenuineIntel", std::vector<std::string> features = {}) {
  CpuProfile profile;
  profile.vendor = std::move(vendor);
  profile.feature_names = std::move(features);
  profile.resolve();
  return profile;
}

struct TestCore {
  explicit TestCore(CpuProfile cpu_profile = resolved_profile())
      : profile(std::move(cpu_profile)),
        memory(u64{16} << 20),
        environment(host),
        apic(0, 0, true, host, interrupt_bus, pins, Clock{profile.crystal}),
        cpu(profile, TlbParameters{}, 0, memory, bus, apic, environment) {
    apic.reset();
    cpu.alone = true;
    cpu.entry = &entry;
    cpu.update_mode();
  }

  /// Forgets the fault of the last step.
  void clear() { cpu.leave = Leave::None; }
  bool raised(Vector v) const { return cpu.leave == Leave::Fault && cpu.fault.vector == v; }
  void set(Gpr g, u64 value) { cpu.state.gpr[g] = value; }
  u64 get(Gpr g) const { return cpu.state.gpr[g]; }
  void poke(u64 address, u64 value) {
    ASSERT_TRUE(memory.write(HostPhysical(address), {reinterpret_cast<const u8*>(&value), sizeof value}));
  }

  /// Flat 64-bit code at CPL 0 under 4-level tables at 0x1000 that map 4 KiB pages: linear 0x200000 + n * 0x1000 to
  /// `frame(n)`.
  void enter_long_mode() {
    poke(0x1000, 0x2007);
    poke(0x2000, 0x3007);
    poke(0x3008, 0x4007);
    for (unsigned n = 0; n < 16; ++n) map(n, frame(n));
    CpuState& s = cpu.state;
    s.cr0 = cr0::PE | cr0::PG | cr0::ET;
    s.cr3 = 0x1000;
    s.cr4 = cr4::PAE;
    s.msr.efer = efer::LME | efer::LMA;
    s.segment(Seg::CS).attributes = Segment::present | Segment::code_or_data | Segment::long_mode | 0xb;
    cpu.update_mode();
  }
  static u64 frame(unsigned n) { return 0x100000 + n * page_size; }
  void map(unsigned n, u64 physical, u64 flags = 7) { poke(0x4000 + n * 8, physical | flags); }
  /// Where a supervisor read of page `n` goes now.
  u64 where(unsigned n) {
    HostPhysical out;
    const auto fault = cpu.mmu.translate(Linear(0x200000 + n * page_size), {AccessKind::Read, false, false}, out);
    return fault ? ~u64{0} : out.value;
  }

  /// Of the block that the tested instruction would stand in, alone.
  Record entry{.imm = 1};
  CpuProfile profile;
  PhysicalMemory memory;
  NullDeviceHost host;
  NullInterruptBus interrupt_bus;
  NullPins pins;
  RecordingBus bus;
  FixedEnvironment environment;
  LocalApic apic;
  Cpu cpu;
};

}  // namespace bunshin
