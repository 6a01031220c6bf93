// The rows of the x87 chapter through decoder and Cpu: which encodings exist, that each does what the opcode map says,
// what waits for a pending exception, pointers, and images in memory.

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <random>
#include <vector>

#include "core/decode/decoder.h"
#include "core/x87/environment.h"
#include "tests/core/x87_model.h"

namespace bunshin::x87_test {
namespace {

/// A machine around the processor in which nothing ever happens.
class Nothing final : public DeviceHost,
                      public InterruptBus,
                      public ProcessorPins,
                      public BusPort,
                      public CoreEnvironment {
 public:
  SimTime now() const override { return {}; }
  void set_alarm(SimTime) override {}
  void set_pin(unsigned, bool) override {}
  bool dma_read(u64, std::span<u8>) override { return false; }
  bool dma_write(u64, std::span<const u8>) override { return false; }
  void send_ipi(unsigned, unsigned, const InterruptMessage&) override {}
  void send(const InterruptMessage&) override {}
  void end_of_interrupt(u8) override {}
  u8 acknowledge_external() override { return 0; }
  void interrupt_request_changed() override {}
  void nmi() override {}
  void smi() override {}
  void init() override {}
  void startup(u8) override {}
  u64 read(BusSpace, u64, unsigned, SimTime&) override { return ~u64{0}; }
  void write(BusSpace, u64, unsigned, u64, SimTime&) override {}
  SimTime platform_time() const override { return {}; }
  SimTime next_event() const override { return {}; }
  void set_local_time(SimTime) override {}
};

const Record* stop(Cpu&, const Record*) { return nullptr; }

const OpcodeTable& opcode_table() {
  static const OpcodeTable table;
  return table;
}

/// A processor in flat 32-bit protected mode; [BX], [EBX] point at `operand`.
class X87Instruction : public testing::Test {
 protected:
  static constexpr u32 operand = 0x2000;

  X87Instruction() {
    profile.resolve();
    cpu = std::make_unique<Cpu>(profile, TlbParameters{}, 0, memory, nothing, apic, nothing);
    for (Segment& s : cpu->state.seg) s = {0x10, 0xc093, 0xffffffff, 0};
    cpu->state.segment(Seg::CS) = {0x08, 0xc09b, 0xffffffff, 0};
    cpu->state.cr0 = cr0::PE | cr0::NE | cr0::ET | cr0::MP;
    cpu->state.gpr[RBX] = operand;
    cpu->state.gpr[CpuState::rip_slot] = 0x1000;
    cpu->state.gpr[CpuState::page_slot] = 4096;
    x87::initialize(cpu->state.x87);
    cpu->update_mode();
  }

  X87State& fpu() { return cpu->state.x87; }

  /// Decodes and runs one instruction at 0x1000; why the block was left, None if the instruction completed.
  Leave run(std::initializer_list<u8> bytes) {
    std::vector<u8> code(bytes);
    code.resize(15, 0x90);
    Decoded d;
    EXPECT_EQ(decode(opcode_table(), profile, cpu->mode, code, 0, 0, d), DecodeStatus::Ok);
    // A block of one instruction: entry, instruction, end.
    Record records[3];
    records[1] = d.record;
    records[2].run = stop;
    cpu->entry = records;
    cpu->leave = Leave::None;
    const Record* next_record = records + 1;
    while (next_record != nullptr) next_record = next_record->run(*cpu, next_record);
    return cpu->leave;
  }
  bool faults(std::initializer_list<u8> bytes, Vector vector) {
    return run(bytes) == Leave::Fault && cpu->fault.vector == vector;
  }
  template <class T>
  T peek(u32 at) {
    T v{};
    EXPECT_TRUE(memory.read(HostPhysical(at), {reinterpret_cast<u8*>(&v), sizeof v}));
    return v;
  }
  void poke(u32 at, std::span<const u8> bytes) { EXPECT_TRUE(memory.write(HostPhysical(at), bytes)); }
  /// 1 / 0 with ZE unmasked.
  void make_pending() {
    x87::set_control_word(fpu(), 0x37b);
    ASSERT_EQ(run({0xd9, 0xe8}), Leave::None);
    ASSERT_EQ(run({0xd9, 0xee}), Leave::None);
    ASSERT_EQ(run({0xde, 0xf9}), Leave::None);
    ASSERT_TRUE(x87::exception_pending(fpu()));
  }

  CpuProfile profile;
  PhysicalMemory memory{1 << 20};
  Nothing nothing;
  LocalApic apic{0, 0, true, nothing, nothing, nothing, Clock{25'000'000}};
  std::unique_ptr<Cpu> cpu;
};

TEST_F(X87Instruction, EveryDataInstructionIsBoundToItsSemantics) {
  std::mt19937_64 random(1);
  for (unsigned code = 0xd800; code < 0xe000; ++code) {
    const u8 opcode = static_cast<u8>(code >> 8), modrm = static_cast<u8>(code);
    // Memory operands by [EBX].
    if (modrm < 0xc0 && (modrm & 0xc7) != 3) continue;
    for (unsigned round = 0; round < 20; ++round) {
      X87State state;
      x87::initialize(state);
      for (X87Register& r : state.registers) r = x87::from_integer(static_cast<i64>(random()) >> (random() % 64));
      state.top = random() & 7;
      state.empty = round < 10 ? u8{0x00} : static_cast<u8>(random());
      Memory bytes{};
      for (u8& b : bytes) b = static_cast<u8>(random() % 10);
      u64 flags = random() & 0x8d5;
      fpu() = state;
      cpu->state.flags.set_status(flags);
      poke(operand, bytes);
      if (!model(state, opcode, modrm, bytes, flags)) break;
      ASSERT_EQ(run({opcode, modrm}), Leave::None) << std::hex << code;
      ASSERT_EQ(x87::store_registers(fpu()), x87::store_registers(state)) << std::hex << code;
      ASSERT_EQ(x87::status_word(fpu()), x87::status_word(state)) << std::hex << code;
      ASSERT_EQ(fpu().empty, state.empty) << std::hex << code;
      ASSERT_EQ(peek<Memory>(operand), bytes) << std::hex << code;
      ASSERT_EQ(cpu->state.flags.status(), flags) << std::hex << code;
    }
  }
}

TEST_F(X87Instruction, UndefinedEncodingsFault) {
  for (const unsigned code : {0xd903u, 0xd90bu, 0xd9d1u, 0xd9e2u, 0xd9efu, 0xdae0u, 0xdae8u, 0xdaf0u, 0xdb23u, 0xdb33u,
                              0xdbe5u, 0xdbf8u, 0xdd2bu, 0xddf0u, 0xded8u, 0xdfe1u, 0xdff8u}) {
    const bool defined = code == 0xd903;  // FLD [EBX], to see that the test can tell
    EXPECT_EQ(faults({static_cast<u8>(code >> 8), static_cast<u8>(code)}, Vector::UD), !defined) << std::hex << code;
  }
}

TEST_F(X87Instruction, WaitingInstructionsDeliverThePendingException) {
  make_pending();
  EXPECT_TRUE(faults({0x9b}, Vector::MF));
  EXPECT_TRUE(faults({0xd9, 0xe8}, Vector::MF));
  EXPECT_TRUE(faults({0xd9, 0x2b}, Vector::MF));  // FLDCW
  EXPECT_TRUE(faults({0xdd, 0x23}, Vector::MF));  // FRSTOR
  EXPECT_TRUE(faults({0xd9, 0xd0}, Vector::MF));  // FNOP
}

TEST_F(X87Instruction, NonWaitingInstructionsDoNot) {
  make_pending();
  EXPECT_EQ(run({0xdf, 0xe0}), Leave::None);  // FNSTSW AX
  EXPECT_EQ(cpu->state.gpr[RAX] & 0xffff, x87::status_word(fpu()));
  EXPECT_EQ(run({0xdd, 0x3b}), Leave::None);  // FNSTSW
  EXPECT_EQ(run({0xd9, 0x3b}), Leave::None);  // FNSTCW
  EXPECT_EQ(peek<u16>(operand), 0x37b);
  EXPECT_EQ(run({0xdb, 0xe0}), Leave::None);  // FNENI
  EXPECT_EQ(run({0xdb, 0xe2}), Leave::None);  // FNCLEX
  EXPECT_EQ(run({0x9b}), Leave::None);
}

TEST_F(X87Instruction, WithoutNeThePlatformHearsInstead) {
  make_pending();
  cpu->state.cr0 &= ~cr0::NE;
  EXPECT_EQ(run({0x9b}), Leave::None);
  EXPECT_TRUE(x87::ferr(cpu->state));
}

TEST_F(X87Instruction, TaskSwitchedMakesItUnavailable) {
  cpu->state.cr0 |= cr0::TS;
  cpu->update_mode();
  EXPECT_TRUE(faults({0xd9, 0xe8}, Vector::NM));
  EXPECT_TRUE(faults({0x9b}, Vector::NM));
  cpu->state.cr0 &= ~cr0::MP;
  EXPECT_EQ(run({0x9b}), Leave::None);
}

TEST_F(X87Instruction, PointersNameTheLastDataInstruction) {
  EXPECT_EQ(run({0xdd, 0x43, 0x10}), Leave::None);  // FLD qword [EBX + 16]
  EXPECT_EQ(run({0xd9, 0x7b, 0x20}), Leave::None);  // FNSTCW: a control instruction
  EXPECT_EQ(fpu().ip, 0x1000u);
  EXPECT_EQ(fpu().ip_selector, 0x08);
  EXPECT_EQ(fpu().operand, operand + 0x10);
  EXPECT_EQ(fpu().operand_selector, 0x10);
  EXPECT_EQ(fpu().opcode, 0x543);
}

TEST_F(X87Instruction, AFaultingStoreDoesNotPop) {
  EXPECT_EQ(run({0xd9, 0xe8}), Leave::None);
  cpu->state.segment(Seg::DS).limit = operand + 8;
  cpu->update_mode();
  EXPECT_TRUE(faults({0xdb, 0x3b}, Vector::GP));  // FSTP m80
  EXPECT_EQ(fpu().top, 7);
  EXPECT_EQ(peek<u64>(operand), 0u);
  EXPECT_EQ(run({0xdd, 0x1b}), Leave::None);  // FSTP m64
  EXPECT_EQ(fpu().top, 0);
  EXPECT_EQ(peek<u64>(operand), 0x3ff0000000000000u);
}

TEST_F(X87Instruction, SaveAndRestoreAreInverse) {
  for (const bool protected_mode : {true, false}) {
    for (const bool wide : {true, false}) {
      cpu->mode.protected_mode = protected_mode;
      x87::initialize(fpu());
      for (const u8 constant : {0xe8, 0xeb, 0xee}) EXPECT_EQ(run({0xd9, constant}), Leave::None);
      EXPECT_EQ(run({0xdd, 0x03}), Leave::None);
      x87::set_control_word(fpu(), 0xe7f);
      const X87State before = fpu();
      EXPECT_EQ(wide ? run({0xdd, 0x33}) : run({0x66, 0xdd, 0x33}), Leave::None);
      EXPECT_EQ(fpu().control, 0x37f);
      EXPECT_EQ(fpu().empty, 0xff);
      EXPECT_EQ(fpu().ip, 0u);
      const x87::EnvironmentFormat format{wide, protected_mode};
      EXPECT_EQ(peek<x87::RegisterImage>(operand + format.size()), x87::store_registers(before));
      EXPECT_EQ(wide ? run({0xdd, 0x23}) : run({0x66, 0xdd, 0x23}), Leave::None);
      EXPECT_EQ(x87::store_registers(fpu()), x87::store_registers(before));
      EXPECT_EQ(x87::store_environment(fpu(), format), x87::store_environment(before, format));
    }
  }
}

TEST_F(X87Instruction, StoringTheEnvironmentMasksAllExceptions) {
  make_pending();
  EXPECT_EQ(run({0xd9, 0x33}), Leave::None);
  EXPECT_EQ(peek<u16>(operand), 0x37b);
  EXPECT_EQ(fpu().control, 0x37f);
  EXPECT_FALSE(x87::exception_pending(fpu()));
  EXPECT_EQ(run({0xd9, 0x23}), Leave::None);  // FLDENV brings it back
  EXPECT_TRUE(faults({0x9b}, Vector::MF));
}

TEST_F(X87Instruction, AStoreThatAnUnmaskedExceptionPreventsFaultsOnItsAddressFirst) {
  x87::set_control_word(fpu(), 0x37e);
  cpu->state.segment(Seg::DS).limit = operand - 1;
  cpu->update_mode();
  // FIST and FSTP m80 with an empty stack.
  EXPECT_TRUE(faults({0xdf, 0x13}, Vector::GP));
  EXPECT_TRUE(faults({0xdb, 0x3b}, Vector::GP));
  EXPECT_EQ(x87::status_word(fpu()), 0);
}

}  // namespace
}  // namespace bunshin::x87_test
