// User-mode instructions in 64-bit mode, on the host's own processor and on the modeled one: registers, flags, memory and
// faults must agree. Instructions come from the opcode table; a fixed number with a fixed seed in ctest, any number by
//   BUNSHIN_ORACLE_CASES=1000000 BUNSHIN_ORACLE_SEED=7 BUNSHIN_ORACLE_ROW=shld oracle_test
// (ROW: only rows with that mnemonic). A difference prints the instruction, the registers that differ, and goes on.

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "tests/core/oracle_generate.h"
#include "tests/core/oracle_guest.h"
#include "tests/core/oracle_host.h"
#include "tests/core/oracle_rules.h"

namespace bunshin::oracle {
namespace {

std::string host_vendor() { return __builtin_cpu_is("amd") ? "AuthenticAMD" : "GenuineIntel"; }

u64 from_environment(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 0) : otherwise;
}

std::string number(u64 v) {
  char text[24];
  std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(v));
  return text;
}

constexpr const char* gpr_names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                     "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

class Differential : public ::testing::Test {
 protected:
  Differential() : guest_(host_vendor()), generator_(table_, guest_.machine().profile, from_environment("BUNSHIN_ORACLE_SEED", 1)) {
    generator_.fill({HostProcessor::at(data_begin), data_end - data_begin});
    std::memcpy(guest_.at(data_begin), HostProcessor::at(data_begin), data_end - data_begin);
    std::memset(guest_.at(data_end), 0, read_only_end - data_end);
  }

  /// Runs rows whose attributes have one of `wanted` (or none of them if `wanted` is 0).
  void compare_rows(u32 wanted, u64 default_cases) {
    std::vector<const Row*> rows;
    const char* only = std::getenv("BUNSHIN_ORACLE_ROW");
    constexpr u32 groups = attr::x87 | attr::mmx | attr::sse;
    for (u16 i = 0; i < table_.size(); ++i) {
      const Row& row = table_.row(i);
      const bool in_group = wanted == 0 ? (row.attributes & groups) == 0 : (row.attributes & wanted) != 0;
      if (in_group && exclusion(row).empty() && (only == nullptr || row.mnemonic == only)) rows.push_back(&row);
    }
    if (rows.empty()) GTEST_SKIP() << "no such row in this group";
    const u64 cases = from_environment("BUNSHIN_ORACLE_CASES", default_cases);
    for (u64 i = 0; i < cases; ++i) compare(generator_.instruction(*rows[i % rows.size()]));
    RecordProperty("compared", std::to_string(compared_));
    RecordProperty("trapped", std::to_string(trapped_));
    std::printf("%llu cases of %zu rows compared, %llu of them traps\n", static_cast<unsigned long long>(compared_),
                rows.size(), static_cast<unsigned long long>(trapped_));
  }

  void compare(const Case& c) {
    if (!exclusion(c.decoded).empty()) return;
    if (c.decoded.record.length != c.bytes.size()) return;
    prepare(c);
    const Outcome host = host_.run(c.registers, c.rip);
    const Outcome guest = guest_.run(c.registers, c.rip);
    ++compared_;
    if (host.trap) ++trapped_;
    if (vendors_differ(c.decoded, host, guest)) {
      synchronize_memory();
      return;
    }
    const std::string differences = describe_differences(c, host, guest);
    if (differences.empty()) return;
    if (++failures_[std::string(c.decoded.row->encoding) + " " + std::string(c.decoded.row->mnemonic)] <= 2) {
      ADD_FAILURE() << c.decoded.row->mnemonic << " (" << c.decoded.row->encoding << "): " << hex(c.bytes) << "host " << describe(host.trap) << differences;
    }
  }

  std::map<std::string, u64> failures_;

 private:
  void prepare(const Case& c) {
    std::vector<u8> code = c.bytes;
    for (const u8 b : HostProcessor::exit_sequence()) code.push_back(b);
    std::memcpy(HostProcessor::at(c.rip), code.data(), code.size());
    guest_.write_code(c.rip, code);
    std::array<u8, 64> fresh;
    generator_.fill(fresh);
    const u64 at = std::clamp<u64>(c.target, data_begin, data_end - fresh.size());
    std::memcpy(HostProcessor::at(at), fresh.data(), fresh.size());
    std::memcpy(guest_.at(at), fresh.data(), fresh.size());
  }

  std::string describe_differences(const Case& c, const Outcome& host, const Outcome& guest) {
    std::string text;
    if (host.trap.has_value() != guest.trap.has_value()) {
      text += "\n  host: " + describe(host.trap) + ", model: " + describe(guest.trap);
    } else if (host.trap) {
      text += compare_traps(*host.trap, *guest.trap);
      if (host.rip != guest.rip) text += "\n  trapped at " + number(host.rip) + ", model " + number(guest.rip);
    } else if (guest.rip != c.rip + c.bytes.size()) {
      text += "\n  rip " + number(guest.rip);
    }
    const u64 count = shift_count(c);
    if (!host.trap && undefined_result(c.decoded, count)) {
      synchronize_memory();
      return text;
    }
    for (unsigned i = 0; i < 16; ++i) {
      if (host.registers.gpr[i] == guest.registers.gpr[i]) continue;
      text += std::string("\n  ") + gpr_names[i] + " was " + number(c.registers.gpr[i]) + ", host " +
              number(host.registers.gpr[i]) + ", model " + number(guest.registers.gpr[i]);
    }
    u64 flags = rflags::status | rflags::DF;
    if (!host.trap) flags &= ~undefined_flags(c.decoded, count);
    if (((host.registers.flags ^ guest.registers.flags) & flags) != 0) {
      text += "\n  flags were " + number(c.registers.flags) + ", host " + number(host.registers.flags & flags) + ", model " +
              number(guest.registers.flags & flags);
    }
    text += compare_fx(c, host, guest);
    text += synchronize_memory();
    return text;
  }

  static std::string describe(const std::optional<Trap>& trap) {
    if (!trap) return "completes";
    return "vector " + std::to_string(trap->vector) + " error " + number(trap->error_code) + " address " + number(trap->address);
  }

  static std::string compare_traps(const Trap& host, const Trap& guest) {
    const bool page_fault = host.vector == 14;
    // Linux hides from users which kernel addresses are mapped: P is always set for those.
    const u64 code_mask = page_fault && host.address >= (u64{1} << 47) - page_size ? ~u64{1} : ~u64{0};
    if (host.vector == guest.vector && ((host.error_code ^ guest.error_code) & code_mask) == 0 &&
        (!page_fault || host.address == guest.address)) return {};
    return "\n  host: " + describe(host) + ", model: " + describe(guest);
  }

  static u64 shift_count(const Case& c) {
    const Row& row = *c.decoded.row;
    for (const Op op : row.operands) {
      if (op == Op::One) return 1;
      if (op == Op::Ib || op == Op::Ibs) return c.decoded.record.imm;
    }
    return c.registers.gpr[RCX];
  }

  static std::string compare_fx(const Case& c, const Outcome& host_outcome, const Outcome& guest_outcome) {
    const FxImage& before = c.registers.fx;
    const FxImage& host = host_outcome.registers.fx;
    const FxImage& guest = guest_outcome.registers.fx;
    std::string text;
    const u32 changed_mxcsr = host.get<u32>(FxImage::mxcsr) ^ guest.get<u32>(FxImage::mxcsr);
    if ((changed_mxcsr & compared_mxcsr(c.decoded, host_outcome.trap)) != 0) {
      text += "\n  mxcsr was " + number(before.get<u32>(FxImage::mxcsr)) + ", host " + number(host.get<u32>(FxImage::mxcsr)) +
              ", model " + number(guest.get<u32>(FxImage::mxcsr));
    }
    const auto field = [&](const char* name, unsigned offset, unsigned size) {
      if (std::memcmp(host.bytes.data() + offset, guest.bytes.data() + offset, size) == 0) return;
      const auto show = [&](const FxImage& image) { return hex(std::span(image.bytes).subspan(offset, size)); };
      text += std::string("\n  ") + name + " was " + show(before) + ", host " + show(host) + ", model " + show(guest);
    };
    for (unsigned i = 0; i < 16; ++i) field(("xmm" + std::to_string(i)).c_str(), FxImage::xmm0 + i * 16, 16);
    if (!compares_x87(c.decoded, host_outcome.trap)) return text;
    field("fcw", FxImage::control, 2);
    if (((host.get<u16>(FxImage::status) ^ guest.get<u16>(FxImage::status)) & compared_fsw(c.decoded)) != 0) {
      field("fsw", FxImage::status, 2);
    }
    field("tags", FxImage::tags, 1);
    for (unsigned i = 0; i < 8; ++i) field(("st" + std::to_string(i)).c_str(), FxImage::st0 + i * 16, 10);
    return text;
  }

  /// Differences in the data pages; afterwards the model has the host's.
  std::string synchronize_memory() {
    const u8* host = HostProcessor::at(data_begin);
    u8* guest = guest_.at(data_begin);
    constexpr u64 size = data_end - data_begin;
    if (std::memcmp(host, guest, size) == 0) return {};
    u64 first = 0;
    while (host[first] == guest[first]) ++first;
    const u64 shown = std::min<u64>(16, size - first);
    const std::string text = "\n  memory at " + number(data_begin + first) + ": host " + hex({host + first, shown}) +
                             ", model " + hex({guest + first, shown});
    std::memcpy(guest, host, size);
    return text;
  }

  OpcodeTable table_;
  HostProcessor host_;
  GuestProcessor guest_;
  Generator generator_;
  u64 compared_ = 0, trapped_ = 0;
};

TEST_F(Differential, IntegerInstructionsAgreeWithTheHost) { compare_rows(0, 200'000); }

TEST_F(Differential, SseInstructionsAgreeWithTheHost) { compare_rows(attr::sse, 150'000); }

TEST_F(Differential, MmxInstructionsAgreeWithTheHost) { compare_rows(attr::mmx, 60'000); }

TEST_F(Differential, X87InstructionsAgreeWithTheHost) { compare_rows(attr::x87, 60'000); }

}  // namespace
}  // namespace bunshin::oracle
