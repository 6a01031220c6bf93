#include <algorithm>

#include "core/decode/decoder.h"
#include "core/decode/row.h"
#include "system_fixture.h"

namespace bunshin {
namespace {

namespace in = semantics;

Record record(unsigned operand_log2, unsigned address_field) {
  Record r;
  r.rm = in::offset_of(RAX);
  r.prefixes = static_cast<u8>(operand_log2 | address_field << 2);
  return r;
}

TEST(DebugRegisters, FourAndFiveAreSixAndSevenUnlessDe) {
  TestCore t;
  Record r = record(2, 1);
  r.reg = 4;
  t.cpu.state.dr[6] = 0xffff0ff1;
  ASSERT_TRUE(in::mov_from_dr(t.cpu, r));
  EXPECT_EQ(t.get(RAX), 0xffff0ff1u);
  t.cpu.state.cr4 = cr4::DE;
  EXPECT_FALSE(in::mov_from_dr(t.cpu, r));
  EXPECT_TRUE(t.raised(Vector::UD));
}

TEST(DebugRegisters, GeneralDetectGuardsThem) {
  TestCore t;
  Record r = record(2, 1);
  r.reg = 0;
  t.cpu.state.dr[7] = 0x2400;
  EXPECT_FALSE(in::mov_to_dr(t.cpu, r));
  EXPECT_TRUE(t.raised(Vector::DB));
}

TEST(DebugRegisters, FixedBitsOfDr7Stay) {
  TestCore t;
  Record r = record(2, 1);
  r.reg = 7;
  t.set(RAX, 0xd001);
  ASSERT_TRUE(in::mov_to_dr(t.cpu, r));
  EXPECT_EQ(t.cpu.state.dr[7], 0x401u);
}

TEST(DebugRegisters, UpperHalvesOfDr6AndDr7AreReserved) {
  TestCore t;
  t.enter_long_mode();
  Record r = record(3, 2);
  r.reg = 7;
  t.set(RAX, u64{1} << 32);
  EXPECT_FALSE(in::mov_to_dr(t.cpu, r));
  EXPECT_TRUE(t.raised(Vector::GP));
}

TEST(Umip, KeepsUsersFromDescriptorTables) {
  TestCore t;
  t.cpu.state.cr4 = cr4::UMIP;
  t.cpu.state.cpl = 3;
  for (const auto instruction : {in::sgdt, in::sidt, in::sldt, in::str, in::smsw}) {
    t.clear();
    EXPECT_FALSE(instruction(t.cpu, record(2, 1)));
    EXPECT_TRUE(t.raised(Vector::GP));
  }
}

/// 64-bit mode with GDT at linear 0x202000 (page 2).
class Descriptors : public testing::Test {
 protected:
  Descriptors() {
    t.enter_long_mode();
    t.cpu.state.gdtr = {0x202000, 0x3f};
    put(1, 0x00af'9b00'0000'ffff);  // 64-bit code, DPL 0
    put(2, 0x00cf'f300'0000'ffff);  // data, DPL 3, 4 GiB
    put(3, 0x0000'8b00'0000'0067);  // busy 64-bit TSS, limit 0x67
    put(5, 0x0000'8400'0000'0000);  // 16-bit call gate: unknown in IA-32e mode
  }
  void put(unsigned index, u64 descriptor) { t.poke(TestCore::frame(2) + index * 8, descriptor); }
  Record with_selector(u16 selector) {
    t.set(RAX, selector);
    t.set(RCX, 0x1111);
    Record r = record(2, 2);
    r.reg = in::offset_of(RCX);
    return r;
  }
  bool zf() const { return t.cpu.state.flags.zf(); }
  TestCore t;
};

TEST_F(Descriptors, LarGivesAccessRights) {
  ASSERT_TRUE(in::lar(t.cpu, with_selector(8)));
  EXPECT_TRUE(zf());
  EXPECT_EQ(t.get(RCX), 0x00a09b00u);
}

TEST_F(Descriptors, LslScalesByGranularity) {
  ASSERT_TRUE(in::lsl(t.cpu, with_selector(16)));
  EXPECT_TRUE(zf());
  EXPECT_EQ(t.get(RCX), 0xffffffffu);
}

TEST_F(Descriptors, OutsideTheTableIsAnAnswerNotAFault) {
  ASSERT_TRUE(in::lar(t.cpu, with_selector(0x100)));
  EXPECT_FALSE(zf());
  EXPECT_EQ(t.get(RCX), 0x1111u);
  EXPECT_EQ(t.cpu.leave, Leave::None);
}

TEST_F(Descriptors, NullSelectorIsNotAccessible) {
  ASSERT_TRUE(in::lsl(t.cpu, with_selector(3)));
  EXPECT_FALSE(zf());
}

TEST_F(Descriptors, TypesThatIa32eModeLacksAreNotAccessible) {
  ASSERT_TRUE(in::lar(t.cpu, with_selector(0x28)));
  EXPECT_FALSE(zf());
}

TEST_F(Descriptors, TssIsAccessibleToLslButNotToVerr) {
  ASSERT_TRUE(in::lsl(t.cpu, with_selector(0x18)));
  EXPECT_TRUE(zf());
  EXPECT_EQ(t.get(RCX), 0x67u);
  ASSERT_TRUE(in::verr(t.cpu, with_selector(0x18)));
  EXPECT_FALSE(zf());
}

TEST_F(Descriptors, RplWeakensTheCaller) {
  ASSERT_TRUE(in::verr(t.cpu, with_selector(8)));
  EXPECT_TRUE(zf());
  ASSERT_TRUE(in::verr(t.cpu, with_selector(8 | 3)));
  EXPECT_FALSE(zf());
}

TEST_F(Descriptors, VerwNeedsWritableData) {
  ASSERT_TRUE(in::verw(t.cpu, with_selector(16)));
  EXPECT_TRUE(zf());
  ASSERT_TRUE(in::verw(t.cpu, with_selector(8)));
  EXPECT_FALSE(zf());
}

TEST_F(Descriptors, UnmappedTableStillFaults) {
  t.cpu.state.gdtr.base = 0x900000;
  EXPECT_FALSE(in::lar(t.cpu, with_selector(8)));
  EXPECT_TRUE(t.raised(Vector::PF));
}

TEST(Bases, NeedCr4AndACanonicalAddress) {
  TestCore t;
  t.enter_long_mode();
  EXPECT_FALSE(in::wrgsbase(t.cpu, record(3, 2)));
  EXPECT_TRUE(t.raised(Vector::UD));
  t.clear();
  t.cpu.state.cr4 |= cr4::FSGSBASE;
  t.set(RAX, u64{1} << 60);
  EXPECT_FALSE(in::wrgsbase(t.cpu, record(3, 2)));
  EXPECT_TRUE(t.raised(Vector::GP));
  t.clear();
  t.set(RAX, 0xffff'8000'1234'5678);
  ASSERT_TRUE(in::wrgsbase(t.cpu, record(3, 2)));
  ASSERT_TRUE(in::swapgs(t.cpu, Record{}));
  EXPECT_EQ(t.cpu.state.msr.kernel_gs_base, 0xffff'8000'1234'5678u);
}

TEST(Time, TsdKeepsUsersFromTheCounter) {
  TestCore t;
  t.cpu.state.cr4 = cr4::TSD;
  EXPECT_TRUE(in::rdtsc(t.cpu, Record{}));
  t.cpu.state.cpl = 3;
  EXPECT_FALSE(in::rdtsc(t.cpu, Record{}));
}

TEST(Random, SameSeedSameNumbersAndCarrySet) {
  TestCore a;
  TestCore b;
  a.cpu.state.rng_state = b.cpu.state.rng_state = 7;
  ASSERT_TRUE(in::rdrand(a.cpu, record(3, 2)));
  ASSERT_TRUE(in::rdrand(b.cpu, record(3, 2)));
  EXPECT_EQ(a.get(RAX), b.get(RAX));
  EXPECT_EQ(a.cpu.state.flags.status(), rflags::CF);
  const u64 first = a.get(RAX);
  ASSERT_TRUE(in::rdrand(a.cpu, record(3, 2)));
  EXPECT_NE(a.get(RAX), first);
}

TEST(ProtectionKeys, WrpkruNeedsClearCountersAndCr4) {
  TestCore t;
  EXPECT_FALSE(in::wrpkru(t.cpu, Record{}));
  EXPECT_TRUE(t.raised(Vector::UD));
  t.clear();
  t.cpu.state.cr4 = cr4::PKE;
  t.set(RDX, 1);
  EXPECT_FALSE(in::wrpkru(t.cpu, Record{}));
  EXPECT_TRUE(t.raised(Vector::GP));
}

class Ports : public testing::Test {
 protected:
  Ports() { t.enter_long_mode(); }
  Record string_record(u8 prefixes) {
    Record r = record(1, 2);
    r.prefixes |= prefixes;
    r.segment = static_cast<u8>(Seg::DS) & 0xf;
    return r;
  }
  TestCore t;
};

TEST_F(Ports, ByteInputKeepsTheRestOfTheRegister) {
  t.set(RAX, 0x1122334455667788);
  t.set(RDX, 0x3f8);
  ASSERT_TRUE(in::in_byte_dx(t.cpu, record(0, 2)));
  EXPECT_EQ(t.get(RAX), 0x1122334455667744u);
  EXPECT_EQ(t.bus.last_address, 0x3f8u);
}

TEST_F(Ports, RexWDoesNotWidenOutput) {
  t.set(RAX, 0x1122334455667788);
  ASSERT_TRUE(in::out_dx(t.cpu, record(3, 2)));
  EXPECT_EQ(t.bus.written.at(0).size, 4u);
  EXPECT_EQ(t.bus.written.at(0).value, 0x55667788u);
}

TEST_F(Ports, RepeatedInputStopsAfterEachIteration) {
  t.set(RCX, 2);
  t.set(RDI, 0x203000);
  EXPECT_FALSE(in::ins(t.cpu, string_record(prefix::rep)));
  EXPECT_EQ(t.cpu.leave, Leave::Repeat);
  EXPECT_EQ(t.get(RCX), 1u);
  EXPECT_EQ(t.get(RDI), 0x203002u);
  t.clear();
  EXPECT_TRUE(in::ins(t.cpu, string_record(prefix::rep)));
  EXPECT_EQ(t.get(RCX), 0u);
}

TEST_F(Ports, InputToAnUnmappedPageLosesNothingOfThePort) {
  const u64 next = t.bus.next_value;
  t.set(RDI, 0x900000);
  EXPECT_FALSE(in::ins(t.cpu, string_record(0)));
  EXPECT_TRUE(t.raised(Vector::PF));
  EXPECT_EQ(t.bus.next_value, next);
}

TEST_F(Ports, OutputStringGoesDownWithTheDirectionFlag) {
  t.poke(TestCore::frame(3), 0xabcd);
  t.set(RSI, 0x203000);
  t.cpu.state.flags.system |= rflags::DF;
  ASSERT_TRUE(in::outs(t.cpu, string_record(0)));
  EXPECT_EQ(t.bus.written.at(0).value, 0xabcdu);
  EXPECT_EQ(t.get(RSI), 0x202ffeu);
}

TEST_F(Ports, UsersNeedThePermissionMap) {
  t.cpu.state.cpl = 3;
  t.cpu.state.tr.attributes = Segment::null;
  EXPECT_FALSE(in::in_byte_dx(t.cpu, record(0, 2)));
  EXPECT_TRUE(t.raised(Vector::GP));
}

TEST(SystemRows, WhateverTouchesPortsOrMsrsRunsAlone) {
  for (const Row& row : system_rows()) {
    const bool timed = row.mnemonic.starts_with("in") && row.mnemonic.size() <= 4 && row.mnemonic != "invd";
    if (timed || row.mnemonic.starts_with("out") || row.mnemonic == "wrmsr" || row.mnemonic == "rdmsr") {
      EXPECT_NE(row.attributes & attr::alone, 0u) << row.encoding;
    }
  }
}

struct Encoding {
  std::vector<u8> bytes;
  std::string_view mnemonic;  ///< empty: undefined in 64-bit mode
};

class SystemDecode : public testing::TestWithParam<Encoding> {};

TEST_P(SystemDecode, FindsTheRow) {
  static const OpcodeTable table;
  const CpuProfile profile = resolved_profile();
  CodeMode mode;
  mode.bits = 64;
  mode.flat = mode.protected_mode = mode.sse = true;
  std::vector<u8> bytes = GetParam().bytes;
  const std::size_t length = bytes.size();
  bytes.resize(16);
  Decoded d;
  ASSERT_EQ(decode(table, profile, mode, bytes, 0, 0, d), DecodeStatus::Ok);
  EXPECT_EQ(d.row == nullptr ? "" : d.row->mnemonic, GetParam().mnemonic);
  if (d.row != nullptr) {
    EXPECT_EQ(d.record.length, length);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Encodings, SystemDecode,
    testing::Values(Encoding{{0x0f, 0x20, 0xd8}, "mov"}, Encoding{{0x44, 0x0f, 0x22, 0xc0}, "mov"},
                    Encoding{{0x0f, 0x01, 0x10}, "lgdt"}, Encoding{{0x0f, 0x01, 0xe0}, "smsw"},
                    Encoding{{0x0f, 0x01, 0x38}, "invlpg"}, Encoding{{0x0f, 0x01, 0xf8}, "swapgs"},
                    Encoding{{0x0f, 0x01, 0xf9}, "rdtscp"}, Encoding{{0x0f, 0x01, 0xee}, "rdpkru"},
                    Encoding{{0x0f, 0x01, 0xc8}, "monitor"}, Encoding{{0x0f, 0x01, 0xc1}, "vmcall"},
                    Encoding{{0x66, 0x0f, 0x38, 0x82, 0x01}, "invpcid"},
                    Encoding{{0xf3, 0x48, 0x0f, 0xae, 0xd0}, "wrfsbase"}, Encoding{{0x48, 0x0f, 0xc7, 0xf0}, "rdrand"},
                    Encoding{{0xf3, 0x0f, 0xc7, 0xf8}, "rdpid"}, Encoding{{0x0f, 0xc7, 0xf8}, "rdseed"},
                    Encoding{{0x0f, 0x00, 0xc8}, "str"}, Encoding{{0xe4, 0x60}, "in"}, Encoding{{0xe7, 0x80}, "out"},
                    Encoding{{0xf3, 0x6c}, "insb"}, Encoding{{0x0f, 0xaa}, ""}, Encoding{{0x0f, 0x32}, "rdmsr"},
                    Encoding{{0xf4}, "hlt"}));

TEST(SystemRows, EncodingsAreDistinct) {
  std::vector<std::string_view> encodings;
  for (const Row& row : system_rows()) encodings.push_back(row.encoding);
  std::sort(encodings.begin(), encodings.end());
  EXPECT_EQ(std::adjacent_find(encodings.begin(), encodings.end()), encodings.end());
}

}  // namespace
}  // namespace bunshin
