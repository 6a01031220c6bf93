// The hypervisor's emulator against the simulator's own processor: every row of the processor's opcode table with random operands,
// executed and emulated; registers, flags, vectors, memory and faults must agree. A fixed number of cases with a fixed seed in
// ctest, any number by
//   BUNSHIN_ORACLE_CASES=1000000 BUNSHIN_ORACLE_SEED=7 BUNSHIN_ORACLE_ROW=shld vmm_emulator_processor_test
// Rows with an operand in memory that are never emulated must be among those that it is known not to do.

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "tests/core/oracle_memory.h"
#include "tests/core/oracle_rules.h"
#include "tests/core/oracle_segments.h"
#include "tests/vmm-model/emulator_oracle.h"

namespace bunshin::vmm {
namespace {

using oracle::Case;
using oracle::CodeKind;
using oracle::FxImage;
using oracle::Outcome;

constexpr u8 no_device = 7, floating_point = 16;

u64 from_environment(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

/// What the guest's memory holds.
struct Memory {
  std::vector<u8> data, code;

  static Memory of(oracle::GuestProcessor& guest) {
    const auto copy = [&](u64 begin, u64 end) {
      return std::vector<u8>(guest.at(begin), guest.at(begin) + (end - begin));
    };
    return {copy(oracle::data_begin, oracle::read_only_end), copy(oracle::code_begin, oracle::code_end)};
  }
  void put(oracle::GuestProcessor& guest) const {
    guest.machine().memory.write(HostPhysical(oracle::data_begin), data);
    guest.machine().memory.write(HostPhysical(oracle::code_begin), code);
  }
};

class EmulatorTest : public testing::TestWithParam<CodeKind> {
 protected:
  EmulatorTest()
      : guest_(GetParam(), "GenuineIntel", true),
        generator_(table_, guest_.machine().profile, GetParam(), {true, true, false},
                   from_environment("BUNSHIN_ORACLE_SEED", 1)) {
    generator_.fill({guest_.at(oracle::data_begin), oracle::data_end - oracle::data_begin});
    bits_ = GetParam() == CodeKind::Long ? 64 : GetParam() == CodeKind::Compatibility ? 32 : 16;
  }

  void compare(const Case& c);
  bool wants(const Row& row) const {
    const char* only = std::getenv("BUNSHIN_ORACLE_ROW");
    return oracle::exclusion(row, GetParam(), guest_.machine_profile()).empty() &&
           (only == nullptr || row.mnemonic == only);
  }

  OpcodeTable table_;
  struct Guest : oracle::GuestProcessor {
    using GuestProcessor::GuestProcessor;
    const CpuProfile& machine_profile() const { return const_cast<Guest*>(this)->machine().profile; }
  } guest_;
  oracle::Generator generator_;
  unsigned bits_;
  std::map<std::string, unsigned> failures_, emulated_, not_emulated_;
  u64 compared_ = 0, faulted_ = 0;

 private:
  struct Result {
    EmulationResult result;
    GeneralRegisters registers;
    u64 rip, flags;
  };
  Result emulate_case(const Case& c, OracleAccess& access, const Instruction& instruction);
  std::string differences(const Case& c, const Outcome& native, const Result& ours, const OracleAccess& access);
  std::string memory_differences(const Case& c, const Memory& native, const Memory& ours);
};

std::string number(u64 v) {
  char text[24];
  std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(v));
  return text;
}

u64 shift_count(const Case& c) {
  for (const Op op : c.decoded.row->operands) {
    if (op == Op::One) return 1;
    if (op == Op::Ib || op == Op::Ibs) return c.decoded.record.imm;
  }
  return c.registers.gpr[RCX];
}

EmulatorTest::Result EmulatorTest::emulate_case(const Case& c, OracleAccess& access, const Instruction& instruction) {
  const u64 base = oracle::code_base(c.kind);
  Result r{EmulationResult::Unknown, {}, c.rip - base, c.registers.flags | rflags::fixed | rflags::IF};
  r.registers.gpr = c.registers.gpr;
  EmulatedProcessor p{r.registers, r.rip, r.flags, bits_, {}};
  for (unsigned i = 0; i < 6 && bits_ != 64; ++i) {
    p.segment_base[i] = i == 1 ? base : oracle::data_segment(c.registers.selectors[i], true).base;
  }
  p.segment_base[4] = c.registers.fs_base;
  p.segment_base[5] = c.registers.gs_base;
  if (bits_ != 64) p.stack_size = oracle::data_segment(c.registers.selectors[2], true).is_big() ? 4 : 2;
  p.cpl = 3;
  do {
    r.result = emulate(instruction, p, access);
  } while (r.result == EmulationResult::Again);
  if (r.result == EmulationResult::Fault) access.fx = c.registers.fx;
  return r;
}

std::string EmulatorTest::differences(const Case& c, const Outcome& native, const Result& ours,
                                      const OracleAccess& access) {
  std::string text;
  const auto differs = [&](const std::string& name, u64 theirs, u64 mine) {
    if (theirs != mine) text += "\n  " + name + ": processor " + number(theirs) + ", emulator " + number(mine);
  };
  const u64 mask = bits_ == 64 ? ~u64{0} : 0xffff'ffff;
  for (unsigned i = 0; i < (bits_ == 64 ? 16u : 8u); ++i) {
    u64 undefined = c.decoded.record.reg == i * 8 ? oracle::undefined_destination_bits(c.decoded) : 0;
    differs("register " + std::to_string(i), native.registers.gpr[i] & mask & ~undefined,
            ours.registers[i] & mask & ~undefined);
  }
  differs("rip", native.rip, ours.rip + oracle::code_base(c.kind));
  const u64 flags = ~(native.trap ? u64{rflags::RF} : oracle::undefined_flags(c.decoded, shift_count(c)));
  differs("flags", native.registers.flags & flags, ours.flags & flags);
  const FxImage &theirs = native.registers.fx, &mine = access.fx;
  for (unsigned at = FxImage::xmm0; at < FxImage::xmm0 + 256; at += 8) {
    differs("fx at " + std::to_string(at), theirs.get<u64>(at), mine.get<u64>(at));
    const unsigned upper = at - FxImage::xmm0 + FxImage::upper0;
    differs("fx at " + std::to_string(upper), theirs.get<u64>(upper), mine.get<u64>(upper));
  }
  for (unsigned i = 0; i < 8; ++i) {
    const unsigned at = FxImage::st0 + 16 * i;
    differs("mantissa " + std::to_string(i), theirs.get<u64>(at), mine.get<u64>(at));
    differs("exponent " + std::to_string(i), theirs.get<u16>(at + 8), mine.get<u16>(at + 8));
  }
  differs("mxcsr", theirs.get<u32>(FxImage::mxcsr), mine.get<u32>(FxImage::mxcsr));
  differs("fcw", theirs.get<u16>(FxImage::control), mine.get<u16>(FxImage::control));
  differs("fsw", theirs.get<u16>(FxImage::status), mine.get<u16>(FxImage::status));
  differs("tags", theirs.get<u8>(FxImage::tags), mine.get<u8>(FxImage::tags));
  return text;
}

std::string EmulatorTest::memory_differences(const Case& c, const Memory& native, const Memory& ours) {
  const auto fields = oracle::uncompared_fields(c);
  for (u64 i = 0; i < native.data.size(); ++i) {
    const u64 address = oracle::data_begin + i;
    const bool skipped = std::ranges::any_of(
        fields, [&](const oracle::Field& f) { return address >= f.address && address < f.address + f.size; });
    if (native.data[i] != ours.data[i] && !skipped) {
      return "\n  memory at " + number(address) + ": processor " + number(native.data[i]) + ", emulator " +
             number(ours.data[i]);
    }
  }
  return native.code != ours.code ? "\n  code in memory" : "";
}

void EmulatorTest::compare(const Case& c) {
  std::vector<u8> bytes = c.bytes;
  const std::string row = std::string(c.decoded.row->mnemonic) + " (" + std::string(c.decoded.row->encoding) + ")";
  const Instruction instruction = decode_instruction(bytes, bits_);
  guest_.write_code(c.rip, bytes);
  const Memory before = Memory::of(guest_);
  const Outcome native = guest_.run(c.registers, c.rip);
  const Memory after = Memory::of(guest_);
  before.put(guest_);
  Case prepared = c;
  prepared.registers.fx.set<u32>(FxImage::mxcsr + 4, 0xffff);
  // The exits that ask for the emulator come behind all that a processor checks before it accesses memory.
  static const std::set<u8> before_access{vector::DB, vector::UD,     no_device, vector::SS,
                                          vector::GP, floating_point, vector::AC};
  const bool checked = native.trap && before_access.contains(native.trap->vector);
  OracleAccess access(guest_, prepared);
  Result ours = emulate_case(prepared, access, instruction);
  const Memory emulated = Memory::of(guest_);
  after.put(guest_);
  if (ours.result == EmulationResult::Unknown) {
    if (c.decoded.memory && !checked) ++not_emulated_[row];
    return;
  }
  if (checked) return;
  ++compared_;
  ++emulated_[row];
  if (!native.trap && oracle::undefined_result(c.decoded, shift_count(c))) return;
  std::string text;
  const u8 vector = native.trap ? native.trap->vector : 0;
  if (vector != access.raised) {
    text = "\n  processor traps: vector " + number(vector) + " address " +
           number(native.trap ? native.trap->address : 0) + ", emulator: vector " + number(access.raised) +
           " address " + number(access.address);
  } else {
    if (native.trap) ++faulted_;
    if (vector == vector::PF &&
        (native.trap->address != access.address || native.trap->error_code != access.error_code)) {
      text = "\n  page fault at " + number(native.trap->address) + " code " + number(native.trap->error_code) +
             ", emulator: at " + number(access.address) + " code " + number(access.error_code);
    }
    // What an instruction has stored before a fault is no part of the architecture.
    text += differences(c, native, ours, access);
    if (!native.trap) text += memory_differences(c, after, emulated);
  }
  if (!text.empty() && ++failures_[row] <= 2) {
    ADD_FAILURE() << row << ": " << oracle::hex(c.bytes) << "at " << number(c.rip) << " flags "
                  << number(c.registers.flags) << text;
  }
}

/// Of instructions with an operand in memory: arithmetic of floating-point and vector units, whose operands no guest has in devices,
/// and what loads segments, tables or states.
bool may_be_unknown(const Row& row) {
  if ((row.attributes & (attr::x87 | attr::mmx | attr::sse | attr::avx | attr::privileged)) != 0) return true;
  static const std::set<std::string_view> names{
      "ljmp", "lcall", "les",  "lds",  "lss",  "lfs",   "lgs",    "sgdt",     "sidt",   "sldt",      "str",     "smsw",
      "lar",  "lsl",   "verr", "verw", "arpl", "xsave", "xrstor", "xsaveopt", "xsavec", "prefetchw", "prefetch"};
  return names.contains(row.mnemonic) || row.operands[0] == Op::Sw;
}

TEST_P(EmulatorTest, DoesWhatTheProcessorDoes) {
  std::vector<const Row*> rows;
  for (u16 i = 0; i < table_.size(); ++i) {
    if (wants(table_.row(i))) rows.push_back(&table_.row(i));
  }
  const u64 cases = from_environment("BUNSHIN_ORACLE_CASES", GetParam() == CodeKind::Long ? 120'000 : 60'000);
  const oracle::WriteData write = [this](u64 address, std::span<const u8> bytes) {
    guest_.machine().memory.write(HostPhysical(address), bytes);
  };
  for (u64 i = 0; i < cases; ++i) {
    const Case c = generator_.instruction(*rows[i % rows.size()]);
    if (c.decoded.row == nullptr || c.decoded.record.length != c.bytes.size()) continue;
    oracle::prepare_memory(c, generator_, false, write);
    compare(c);
  }
  std::printf("%llu compared, %llu of them faults; %zu rows emulated, %zu with an operand in memory not\n",
              static_cast<unsigned long long>(compared_), static_cast<unsigned long long>(faulted_), emulated_.size(),
              not_emulated_.size());
  for (const Row* row : rows) {
    const std::string name = std::string(row->mnemonic) + " (" + std::string(row->encoding) + ")";
    const bool missing = not_emulated_.contains(name) && !emulated_.contains(name);
    EXPECT_TRUE(!missing || may_be_unknown(*row)) << name;
  }
  EXPECT_GT(compared_, cases / 10);
}

INSTANTIATE_TEST_SUITE_P(Code, EmulatorTest,
                         testing::Values(CodeKind::Long, CodeKind::Compatibility, CodeKind::Compatibility16));

}  // namespace
}  // namespace bunshin::vmm
