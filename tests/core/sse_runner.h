#pragma once

// Decodes and runs single SIMD instructions on a core without an engine, in flat 64-bit mode at CPL 0 with everything
// enabled that the operating system has to enable.

#include <array>
#include <initializer_list>
#include <vector>

#include "core/decode/decoder.h"
#include "core/sse/host_mxcsr.h"
#include "system_fixture.h"

namespace bunshin::sse_test {

/// Linear address of the page that memory operands lie in.
inline constexpr u64 data_page = 0x200000;
inline constexpr u64 unmapped_page = 0x300000;

inline const OpcodeTable& opcode_table() {
  static const OpcodeTable table;
  return table;
}

class Runner {
 public:
  explicit Runner(CpuProfile profile = resolved_profile()) : core(std::move(profile)) {
    core.enter_long_mode();
    CpuState& s = core.cpu.state;
    s.cr4 |= cr4::OSFXSR | cr4::OSXMMEXCPT | cr4::OSXSAVE;
    s.xcr0 = 3;
    core.cpu.update_mode();
    records_[0].imm = 1;
    records_[2].run = stop;
  }

  /// False if the instruction did not complete.
  bool run(std::span<const u8> code) {
    Decoded d;
    if (decode(opcode_table(), core.profile, core.cpu.mode, code, 0, 0, d) != DecodeStatus::Ok) return false;
    Cpu& cpu = core.cpu;
    records_[1] = d.record;
    cpu.entry = records_.data();
    core.clear();
    const HostMxcsr host(cpu);
    records_[1].run(cpu, &records_[1]);
    return cpu.leave == Leave::None;
  }
  bool run(std::initializer_list<u8> code) { return run(std::span(code.begin(), code.size())); }

  /// What the operating system does before anybody may use YMM registers.
  void enable_avx() {
    state().xcr0 = 7;
    core.cpu.update_mode();
  }
  CpuState& state() { return core.cpu.state; }
  void write(u64 linear, std::span<const u8> bytes) {
    ASSERT_TRUE(core.memory.write(HostPhysical(linear - data_page + TestCore::frame(0)), bytes));
  }
  void read(u64 linear, std::span<u8> bytes) {
    ASSERT_TRUE(core.memory.read(HostPhysical(linear - data_page + TestCore::frame(0)), bytes));
  }
  template <class T>
  T get(u64 linear) {
    std::array<u8, sizeof(T)> bytes{};
    read(linear, bytes);
    return std::bit_cast<T>(bytes);
  }
  template <class T>
  void put(u64 linear, T v) {
    write(linear, std::bit_cast<std::array<u8, sizeof(T)>>(v));
  }

  TestCore core;

 private:
  static const Record* stop(Cpu&, const Record*) { return nullptr; }
  /// Entry, the instruction, and what a completed instruction continues with.
  std::array<Record, 3> records_{};
};

}  // namespace bunshin::sse_test
