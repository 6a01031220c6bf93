#pragma once

// A whole processor with RAM at address 0, for tests that run code. Code is given as bytes.

#include <initializer_list>

#include "core/processor.h"
#include "tests/core/system_fixture.h"

namespace bunshin {

struct TestMachine {
  explicit TestMachine(CpuProfile cpu_profile = resolved_profile())
      : profile(std::move(cpu_profile)),
        memory(u64{16} << 20),
        blocks(memory),
        environment(host),
        apic(0, 0, true, host, interrupt_bus, pins, Clock{profile.crystal}),
        processor(profile, TlbParameters{}, 0, true, memory, bus, apic, environment, blocks, table) {
    apic.reset();
  }

  CpuState& state() { return processor.state(); }

  void write(u64 address, std::initializer_list<u8> bytes) {
    memory.write(HostPhysical(address), std::span<const u8>(bytes.begin(), bytes.size()));
  }
  template <class T>
  T peek(u64 address) const {
    T value{};
    memory.read(HostPhysical(address), {reinterpret_cast<u8*>(&value), sizeof(T)});
    return value;
  }
  template <class T>
  void poke(u64 address, T value) {
    memory.write(HostPhysical(address), {reinterpret_cast<const u8*>(&value), sizeof(T)});
  }

  /// Flat 32-bit protected mode, paging off, RIP at `rip`.
  void enter_protected(u64 rip) {
    CpuState& s = state();
    s.cr0 |= cr0::PE;
    constexpr u32 flat = Segment::code_or_data | Segment::present | Segment::big | Segment::granularity;
    s.seg.fill({0x10, flat | 3, 0xffffffff, 0});
    s.segment(Seg::CS) = {0x08, flat | 0xb, 0xffffffff, 0};
    s.rip = rip;
    s.gpr[RSP] = 0x8000;
    processor.state_changed();
  }
  /// 64-bit mode with the first 2 MiB · 512 mapped one to one by large pages; tables at 0x100000.
  void enter_long(u64 rip) {
    enter_protected(rip);
    poke<u64>(0x100000, 0x101000 | 7);
    poke<u64>(0x101000, 0x102000 | 7);
    for (u64 i = 0; i < 512; ++i) poke<u64>(0x102000 + i * 8, i << 21 | 0x87);
    CpuState& s = state();
    s.cr3 = 0x100000;
    s.cr4 = cr4::PAE | cr4::OSFXSR;
    s.cr0 |= cr0::PG;
    s.msr.efer = efer::LME | efer::LMA;
    s.segment(Seg::CS).attributes =
        Segment::code_or_data | Segment::present | Segment::granularity | Segment::long_mode | 0xb;
    processor.state_changed();
  }

  CpuProfile profile;
  PhysicalMemory memory;
  BlockCache blocks;
  OpcodeTable table;
  RecordingBus bus;
  NullDeviceHost host;
  NullInterruptBus interrupt_bus;
  NullPins pins;
  FixedEnvironment environment;
  LocalApic apic;
  Processor processor;
};

}  // namespace bunshin
