#pragma once

// A machine that a hosted hypervisor runs on: one core, RAM, a local APIC, and of a PC's board two serial lines, the
// power-management timer and the power switch. No SystemC.

#include <string>

#include "tests/core/system_fixture.h"
#include "vmm-model/hosted/hosted_hypervisor.h"

namespace bunshin::vmm {

/// Thrown through the hypervisor when the machine is switched off or stands still.
struct MachineEnd {
  std::string reason;
};

class ModeledMachine final : public HostedMachine, private CoreEnvironment, private BusPort {
 public:
  /// The local APIC's timer goes off so many cycles `early`, by the time-stamp counter.
  explicit ModeledMachine(CpuProfile cpu_profile, u64 memory_bytes = u64{64} << 20, u64 early = 0)
      : profile_(std::move(cpu_profile)),
        early_(early),
        memory_(memory_bytes),
        blocks_(memory_),
        apic_(0, 0, true, alarm_, interrupt_bus_, pins_, Clock{profile_.crystal}),
        processor_(profile_, TlbParameters{}, 0, true, memory_, *this, apic_, *this, blocks_, table_) {
    memory_.set_code_watcher(&blocks_);
    apic_.reset();
  }

  /// Runs a hypervisor with this configuration and module 1 until it ends. Why it ended.
  std::string run(std::string_view configuration, std::span<const u8> kernel, const ComputeCosts& costs = {}) {
    const std::span<const u8> text(reinterpret_cast<const u8*>(configuration.data()), configuration.size());
    const std::array<BootModule, 2> modules{{{"vmm.cfg", text}, {"kernel", kernel}}};
    constexpr u64 four_gib = u64{1} << 32;
    const std::array memory{HostedHypervisor::Range{0x10'0000, memory_.low_size()},
                            HostedHypervisor::Range{four_gib, four_gib + memory_.high_size()}};
    costs_ = costs;
    hypervisor_.emplace(*this);
    try {
      hypervisor_->run(memory, modules);
    } catch (const MachineEnd& end) {
      return end.reason;
    }
    return "returned";
  }

  const HostedHypervisor& hypervisor() const { return *hypervisor_; }
  Processor& processor() override { return processor_; }
  u64 exits(ExitReason reason) const { return hypervisor_->counters().exit[static_cast<unsigned>(reason)].times; }

  std::string console, log;

 private:
  static constexpr u64 longest_run = 1'000'000;
  static constexpr u16 com1 = 0x3f8, com2 = 0x2f8, debug_exit = 0xf4, pm_control = 0x604, pm_timer = 0x608;

  // HostedMachine
  void run_to_mark() override {
    at_mark_ = false;
    while (!at_mark_) {
      const Stop stop = processor_.run(std::min(next_alarm(), processor_.cycles() + longest_run));
      if (end_) throw MachineEnd{*end_};
      if (stop == Stop::Shutdown || stop == Stop::Unimplemented) throw MachineEnd{"the core stopped"};
      if (stop == Stop::Halted) {
        if (alarm_.alarm == SimTime::never()) throw MachineEnd{"nothing will ever happen"};
        processor_.skip_to(std::max(processor_.cycles(), next_alarm()));
      }
      raise_alarm();
    }
  }
  void pass(u64 cycles) override {
    processor_.pass(processor_.hosted_work(cycles));
    raise_alarm();
  }
  const ComputeCosts& costs() const override { return costs_; }
  u64 next_alarm() const {
    const u64 at = Clock{profile_.frequency}.tick_from(alarm_.alarm);
    return at > early_ && alarm_.alarm != SimTime::never() ? at - early_ : at;
  }
  void raise_alarm() {
    if (processor_.cycles() < next_alarm()) return;
    alarm_.time = alarm_.alarm;
    alarm_.alarm = SimTime::never();
    apic_.alarm();
  }

  // CoreEnvironment
  SimTime platform_time() const override { return {}; }
  SimTime next_event() const override { return alarm_.alarm; }
  void set_local_time(SimTime now) override { alarm_.time = now; }
  void marked(unsigned, u16 code) override {
    if (!hypervisor_->marked(code)) return;
    at_mark_ = true;
    processor_.request_stop(Stop::Noted);
  }

  // BusPort
  u64 read(BusSpace, u64 address, unsigned, SimTime& delay) override {
    constexpr u64 transmitter_empty = 0x60;
    delay = delay + SimTime::from_ns(1000);
    if (address == pm_timer) return Clock{3'579'545}.ticks(delay) & 0xff'ffff;
    return address == com1 + 5 || address == com2 + 5 ? transmitter_empty : 0;
  }
  void write(BusSpace, u64 address, unsigned, u64 value, SimTime&) override {
    if (address == com1 && started_) console += static_cast<char>(value);
    if (address == com2 && started_) log += static_cast<char>(value);
    // Line control with the divisor latch closed: from now on bytes are sent.
    if (address == com2 + 4) started_ = true;
    if (address == debug_exit) failed_ = true;
    if (address != pm_control) return;
    end_ = failed_ ? "failed" : "well";
    processor_.request_stop();
  }

  CpuProfile profile_;
  u64 early_;
  PhysicalMemory memory_;
  BlockCache blocks_;
  OpcodeTable table_;
  NullDeviceHost alarm_;
  NullInterruptBus interrupt_bus_;
  NullPins pins_;
  LocalApic apic_;
  Processor processor_;
  ComputeCosts costs_;
  std::optional<HostedHypervisor> hypervisor_;
  std::optional<std::string> end_;
  bool at_mark_ = false, started_ = false, failed_ = false;
};

}  // namespace bunshin::vmm
