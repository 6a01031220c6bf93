// The board on SystemC: one elaboration, shared by all tests of this executable.

#include "devices/tlm/pc.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <string>

#include "devices/fw_cfg.h"
#include "devices/tlm/raw_image.h"
#include "devices/tlm/shell.h"

namespace bunshin::test {
namespace {

struct Events final : PlatformEvents {
  void power_off() override { ++power_offs; }
  void reset() override { ++resets; }
  void debug_exit(u32 value) override { exit_value = value; }
  unsigned power_offs = 0, resets = 0;
  u32 exit_value = ~0u;
};

struct Console final : SerialPort {
  void transmit(u8 byte) override { text.push_back(static_cast<char>(byte)); }
  std::string text;
};

struct Pins final : ProcessorPins {
  void interrupt_request_changed() override { ++changes; }
  void nmi() override {}
  void smi() override {}
  void init() override { ++inits; }
  void startup(u8 v) override { vector = v; }
  unsigned changes = 0, inits = 0;
  u8 vector = 0;
};

/// A device that remembers what reached it.
struct Recorder final : Device {
  u64 read(unsigned region, u64 offset, unsigned size) override {
    last = {region, offset, size};
    return 0x8877'6655'4433'2211;
  }
  void write(unsigned region, u64 offset, unsigned size, u64) override { last = {region, offset, size}; }
  void alarm() override { ++alarms; }
  void reset() override {}
  void hash(StateHash&) const override {}
  struct {
    unsigned region;
    u64 offset;
    unsigned size;
  } last{};
  unsigned alarms = 0;
};

std::string disk_file() {
  const std::string file = testing::TempDir() + "bunshin_pc_test.img";
  std::string bytes(64 * 512, '\0');
  bytes[0] = 'D';
  std::ofstream(file, std::ios::binary) << bytes;
  return file;
}

PcSetup two_cores_and_a_disk() {
  PcSetup setup;
  setup.cores = 2;
  setup.disks = {disk_file()};
  return setup;
}

struct Machine {
  Machine() {
    for (unsigned i = 0; i < 2; ++i) pc.connect_processor(i, pins[i]);
    pc.connect_serial(0, console);
    recorder_shell.insert(recorder);
    recorder_shell.claim(bus, 3, 0x1000, 0x100);
    recorder_shell.claim(bus, 4, 0x1100, 0x100);
    pc.power_on();
  }
  PhysicalMemory memory{u64{16} << 20};
  Events events;
  Console console;
  std::array<Pins, 2> pins;
  PcParameters parameters;
  PcSetup setup = two_cores_and_a_disk();
  Pc pc{"pc", parameters, setup, memory, events};

  Board board{memory, {}, {}, nullptr};
  Bus bus{"test_bus"};
  Bus empty{"empty_bus"};
  BusAdapter adapter{"adapter", bus, empty};
  Recorder recorder;
  DeviceShell recorder_shell{"recorder", board, SimTime::from_ns(100)};
};

Machine* machine = nullptr;

struct PcTest : testing::Test {
  u64 in(u64 port, unsigned size = 1) {
    SimTime delay;
    return machine->pc.port(0).read(BusSpace::Io, port, size, delay);
  }
  void out(u64 port, u64 value, unsigned size = 1) {
    SimTime delay;
    machine->pc.port(0).write(BusSpace::Io, port, size, value, delay);
  }
  u64 load(u64 address, unsigned size) {
    SimTime delay;
    return machine->pc.port(0).read(BusSpace::Memory, address, size, delay);
  }
  void store(u64 address, u64 value, unsigned size) {
    SimTime delay;
    machine->pc.port(0).write(BusSpace::Memory, address, size, value, delay);
  }
  static void run_for(SimTime time) { sc_core::sc_start(to_sc_time(time)); }
  static u64 ecam(unsigned slot, unsigned offset) { return Pc::ecam_base + (u64{slot} << 15) + offset; }
};

using BusTest = PcTest;

TEST_F(BusTest, TargetSeesAnOffsetInItsRegion) {
  SimTime delay;
  machine->adapter.read(BusSpace::Memory, 0x1104, 4, delay);
  EXPECT_EQ(machine->recorder.last.region, 4u);
  EXPECT_EQ(machine->recorder.last.offset, 4u);
}

TEST_F(BusTest, AccessCostsItsTargetsLatency) {
  SimTime delay = SimTime::from_ns(7);
  machine->adapter.read(BusSpace::Memory, 0x1000, 4, delay);
  EXPECT_EQ(delay, SimTime::from_ns(107));
}

TEST_F(BusTest, ReadIsCutToItsSize) {
  SimTime delay;
  EXPECT_EQ(machine->adapter.read(BusSpace::Memory, 0x1000, 2, delay), 0x2211u);
  EXPECT_EQ(machine->adapter.read(BusSpace::Memory, 0x1000, 8, delay), 0x8877'6655'4433'2211u);
}

TEST_F(BusTest, NobodyReadsAsOnes) {
  SimTime delay;
  EXPECT_EQ(machine->adapter.read(BusSpace::Memory, 0x9000, 4, delay), 0xffff'ffffu);
  EXPECT_EQ(machine->adapter.read(BusSpace::Io, 0x9000, 8, delay), ~u64{0});
}

TEST_F(BusTest, AccessAcrossTargetsIsSplit) {
  SimTime delay;
  EXPECT_EQ(machine->adapter.read(BusSpace::Memory, 0x10fe, 4, delay), 0x1111'1111u);
  EXPECT_EQ(machine->adapter.read(BusSpace::Memory, 0x11ff, 2, delay), 0xff11u);
}

TEST_F(BusTest, OverlapNamesBothOwners) {
  try {
    machine->pc.io_bus().map(0, 0x3fa, 4);
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("pc.pic"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("pc.com1"), std::string::npos) << error.what();
  }
}

TEST_F(BusTest, PayloadGetsItsAddressBack) {
  u32 data = 0;
  tlm::tlm_generic_payload payload;
  payload.set_command(tlm::TLM_READ_COMMAND);
  payload.set_address(0x1010);
  payload.set_data_ptr(reinterpret_cast<u8*>(&data));
  payload.set_data_length(4);
  sc_core::sc_time delay;
  machine->bus.b_transport(0, payload, delay);
  EXPECT_EQ(payload.get_address(), 0x1010u);
  EXPECT_EQ(payload.get_response_status(), tlm::TLM_OK_RESPONSE);
  payload.set_address(0x5000);
  machine->bus.b_transport(0, payload, delay);
  EXPECT_EQ(payload.get_response_status(), tlm::TLM_ADDRESS_ERROR_RESPONSE);
}

TEST_F(BusTest, MapPrintsItsOwners) {
  EXPECT_NE(machine->pc.io_bus().describe_map().find("0x00000003f8-0x00000003ff pc.com1"), std::string::npos)
      << machine->pc.io_bus().describe_map();
}

TEST_F(BusTest, AlarmRingsAtItsTimeNotBefore) {
  const SimTime now = to_sim_time(sc_core::sc_time_stamp());
  const unsigned before = machine->recorder.alarms;
  machine->recorder_shell.set_alarm(now + SimTime::from_ns(500));
  machine->recorder_shell.set_alarm(now + SimTime::from_ns(1000));
  run_for(SimTime::from_ns(999));
  EXPECT_EQ(machine->recorder.alarms, before);
  run_for(SimTime::from_ns(2));
  EXPECT_EQ(machine->recorder.alarms, before + 1);
}

TEST_F(BusTest, CancelledAlarmIsSilent) {
  const unsigned before = machine->recorder.alarms;
  machine->recorder_shell.set_alarm(to_sim_time(sc_core::sc_time_stamp()) + SimTime::from_ns(10));
  machine->recorder_shell.set_alarm(SimTime::never());
  run_for(SimTime::from_ns(20));
  EXPECT_EQ(machine->recorder.alarms, before);
}

TEST_F(PcTest, SerialPortReachesTheConsole) {
  machine->console.text.clear();
  out(0x3f8, 'A');
  EXPECT_EQ(machine->console.text, "A");
}

TEST_F(PcTest, IsaAccessTakesAMicrosecond) {
  SimTime delay;
  machine->pc.port(0).read(BusSpace::Io, 0x3fd, 1, delay);
  EXPECT_EQ(delay, SimTime::from_ns(1000));
}

TEST_F(PcTest, SerialInterruptReachesTheBootstrapProcessor) {
  out(0x20, 0x11), out(0x21, 0x30), out(0x21, 4), out(0x21, 1), out(0x21, 0xef);
  out(0xa0, 0x11), out(0xa1, 0x38), out(0xa1, 2), out(0xa1, 1), out(0xa1, 0xff);
  out(0x3fc, 8), out(0x3f9, 1);
  ASSERT_TRUE(machine->pc.serial_input(0, 'k'));
  ASSERT_TRUE(machine->pc.apic(0).interrupt_pending());
  EXPECT_FALSE(machine->pc.apic(1).interrupt_pending());
  EXPECT_EQ(machine->pc.apic(0).acknowledge(), 0x34);
  EXPECT_EQ(in(0x3f8), unsigned{'k'});
  out(0x20, 0x20);
  out(0x3f9, 0);
}

TEST_F(PcTest, DebugExitGivesItsValue) {
  out(0xf4, 0x10, 4);
  EXPECT_EQ(machine->events.exit_value, 0x10u);
}

TEST_F(PcTest, ThreeWaysToReset) {
  const unsigned before = machine->events.resets;
  out(0x64, 0xfe);
  out(0xcf9, 0x02), out(0xcf9, 0x06), out(0xcf9, 0);
  out(0x92, 0x03), out(0x92, 0x02);
  EXPECT_EQ(machine->events.resets, before + 3);
}

TEST_F(PcTest, QemusShutdownPortPowersOff) {
  out(0x604, 0x2000, 2);
  EXPECT_EQ(machine->events.power_offs, 1u);
}

TEST_F(PcTest, ConfigurationMechanismsAgree) {
  out(0xcf8, 0x8000'0000, 4);
  EXPECT_EQ(in(0xcfc, 4), 0x29c0'8086u);
  EXPECT_EQ(load(ecam(0, 0), 4), 0x29c0'8086u);
  EXPECT_EQ(load(ecam(31, 0), 4), 0x2918'8086u);
  EXPECT_EQ(load(ecam(2, 0), 4), 0x1042'1af4u);
}

TEST_F(PcTest, DiskBarFollowsItsRegister) {
  const u64 bar = load(ecam(2, 0x10), 4) & ~u64{15};
  ASSERT_EQ(bar, Pc::pci_hole);
  EXPECT_EQ(load(bar + VirtioPci::device_at, 4), 64u);
  store(ecam(2, 0x10), 0xd000'0000, 4);
  EXPECT_EQ(load(bar + VirtioPci::device_at, 4), 0xffff'ffffu);
  EXPECT_EQ(load(0xd000'0000 + VirtioPci::device_at, 4), 64u);
  store(ecam(2, 0x10), bar, 4);
}

TEST_F(PcTest, BarOverAnotherDeviceDoesNotAnswer) {
  const u64 bar = load(ecam(2, 0x10), 4) & ~u64{15};
  store(ecam(2, 0x10), Pc::io_apic_base, 4);
  store(Pc::io_apic_base, 1, 4);
  EXPECT_EQ(load(Pc::io_apic_base + 0x10, 4) & 0xff0000, 0x170000u);
  store(ecam(2, 0x10), bar, 4);
  EXPECT_EQ(load(bar + VirtioPci::device_at, 4), 64u);
}

TEST_F(PcTest, TimerTicksWithoutBeingProgrammed) {
  machine->pc.power_on();
  EXPECT_EQ(in(0x21), 0xb8u);
  EXPECT_EQ(in(0xa1), 0x8eu);
  run_for(SimTime{60'000'000'000});
  out(0x20, 0x0a);
  EXPECT_EQ(in(0x20) & 1, 1u);
}

TEST_F(PcTest, ShutdownStatusTurnsAResetIntoInit) {
  const unsigned resets = machine->events.resets, inits = machine->pins[0].inits;
  out(0x70, 0x0f);
  out(0x71, 0x0a);
  out(0x64, 0xfe);
  EXPECT_EQ(machine->events.resets, resets);
  EXPECT_EQ(machine->pins[0].inits, inits + 1);
  out(0x70, 0x0f);
  out(0x71, 0);
  out(0x64, 0xfe);
  EXPECT_EQ(machine->events.resets, resets + 1);
}

TEST_F(PcTest, AlarmWakesTheSuspendedMachine) {
  const unsigned inits = machine->pins[1].inits;
  out(0x602, 1 << 10, 2);
  for (const unsigned alarm : {1, 3, 5}) {
    out(0x70, alarm);
    out(0x71, 0xc0);
  }
  out(0x70, 0x0b);
  out(0x71, 0x22);
  out(0x70, 0x0c);
  in(0x71);
  out(0x604, 1 << 13 | 1 << 10, 2);
  EXPECT_EQ(machine->pins[1].inits, inits + 1);
  EXPECT_EQ(in(0x600, 2) & 0x8000, 0u);
  run_for(SimTime{1'100'000'000'000});
  EXPECT_EQ(in(0x600, 2) & 0x8400, 0x8400u);
  out(0x600, 0xffff, 2);
  out(0x602, 0, 2);
  out(0x70, 0x0b);
  out(0x71, 0x02);
}

TEST_F(PcTest, FirmwareCodeLiesBelowFourGib) {
  std::array<u8, 3> jump;
  ASSERT_TRUE(machine->memory.read(HostPhysical(0xffff'fff0), jump));
  EXPECT_EQ(jump[0], 0xe9);
  EXPECT_EQ((0xfff3 + (jump[1] | jump[2] << 8)) & 0xffff, 0xf000);
}

TEST_F(PcTest, FirmwareTablesAreInMemory) {
  std::array<u8, 8> signature;
  ASSERT_TRUE(machine->memory.read(HostPhysical(machine->pc.rsdp()), signature));
  EXPECT_EQ(std::string(signature.begin(), signature.end()), "RSD PTR ");
}

TEST_F(PcTest, FwCfgTellsCoresAndMemory) {
  out(0x510, FwCfg::NbCpus, 2);
  EXPECT_EQ(in(0x511), 2u);
  out(0x510, FwCfg::RamSize, 2);
  u64 size = 0;
  for (unsigned i = 0; i < 8; ++i) size |= in(0x511) << (8 * i);
  EXPECT_EQ(size, u64{16} << 20);
}

TEST_F(PcTest, VideoMemoryIsOnTheBus) {
  store(0xb8000, 0x0741, 2);
  std::array<char, VgaText::columns * VgaText::rows> screen;
  machine->pc.vga().text(screen);
  EXPECT_EQ(screen[0], 'A');
}

TEST_F(PcTest, PowerOnRestoresTheState) {
  const auto hash = [] {
    StateHash h;
    machine->pc.hash(h);
    return h.value();
  };
  machine->pc.power_on();
  const u64 fresh = hash();
  out(0x3ff, 0x77);
  EXPECT_NE(hash(), fresh);
  machine->pc.power_on();
  EXPECT_EQ(hash(), fresh);
}

TEST_F(PcTest, MmioAccessCostsWellUnderAMicrosecondOfHostTime) {
  constexpr unsigned count = 100'000;
  const auto begin = std::chrono::steady_clock::now();
  for (unsigned i = 0; i < count; ++i) load(Pc::io_apic_base, 4);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(took.count() / count, 2e-6);  // generous: sanitizer builds and loaded machines run this too
  RecordProperty("nanoseconds", static_cast<int>(took.count() / count * 1e9));
}

TEST(RawImageTest, SnapshotLeavesTheFileAlone) {
  const std::string file = testing::TempDir() + "bunshin_raw_image_test.img";
  std::ofstream(file, std::ios::binary) << std::string(5000, 'x');
  {
    RawImage image(file, true);
    EXPECT_EQ(image.size(), 4608u);
    const std::array<u8, 3> bytes = {1, 2, 3};
    ASSERT_TRUE(image.write(4094, bytes));
    std::array<u8, 5> back;
    ASSERT_TRUE(image.read(4093, back));
    EXPECT_EQ(back, (std::array<u8, 5>{'x', 1, 2, 3, 'x'}));
  }
  std::ifstream stream(file, std::ios::binary);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), std::string(5000, 'x'));
}

TEST(RawImageTest, WhatIsNotADiskIsRefused) {
  EXPECT_THROW(RawImage("/nonexistent/disk.img", true), std::runtime_error);
  EXPECT_THROW(RawImage(testing::TempDir(), true), std::runtime_error);
  const std::string file = testing::TempDir() + "bunshin_small.img";
  std::ofstream(file) << "short";
  EXPECT_THROW(RawImage(file, true), std::runtime_error);
}

}  // namespace
}  // namespace bunshin::test

int sc_main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  bunshin::test::Machine machine;
  bunshin::test::machine = &machine;
  sc_core::sc_start(sc_core::SC_ZERO_TIME);  // ends elaboration: sockets answer from here on
  return RUN_ALL_TESTS();
}

int main(int argc, char** argv) { return sc_core::sc_elab_and_sim(argc, argv); }
