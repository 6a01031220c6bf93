// User-mode instructions in 64-bit mode and in compatibility mode (32- and 16-bit code), on the host's own processor and
// on the modeled one: registers, flags, memory and faults must agree. Instructions come from the opcode table; a fixed
// number with a fixed seed in ctest, any number by
//   BUNSHIN_ORACLE_CASES=1000000 BUNSHIN_ORACLE_SEED=7 BUNSHIN_ORACLE_ROW=shld oracle_test
// (ROW: only rows with that mnemonic). A difference prints the instruction and what differs, and goes on. Every row must
// have been compared, or have a reason why not. What is not compared, and why: oracle_rules.cpp.

#include <algorithm>
#include <cstdlib>

#include "tests/core/oracle_differential.h"
#include "tests/core/oracle_memory.h"
#include "tests/core/oracle_rules.h"

namespace bunshin::oracle {
namespace {

constexpr u32 groups = attr::x87 | attr::mmx | attr::sse | attr::avx;

class HostTest : public Differential {
 protected:
  /// Rows whose attributes have one of `wanted` (or, if that is 0, are of no coprocessor).
  std::vector<const Row*> rows_of(u32 wanted) const {
    std::vector<const Row*> rows;
    for (u16 i = 0; i < table_.size(); ++i) {
      const Row& row = table_.row(i);
      const bool in_group = wanted == 0 ? (row.attributes & groups) == 0 : (row.attributes & wanted) != 0;
      const bool compared = exclusion(row, GetParam(), guest_profile()).empty() && !is_transfer(row);
      if (in_group && compared && (only() == nullptr || row.mnemonic == only())) rows.push_back(&row);
    }
    return rows;
  }

  void compare_rows(u32 wanted, u64 default_cases) {
    const std::vector<const Row*> rows = rows_of(wanted);
    if (rows.empty()) GTEST_SKIP() << "no such row in this group";
    const u64 bounded = GetParam() == CodeKind::Compatibility16 ? default_cases / 3 : default_cases;
    const u64 cases = from_environment("BUNSHIN_ORACLE_CASES", bounded);
    const WriteData write = [this](u64 address, std::span<const u8> bytes) { write_data(address, bytes); };
    for (u64 i = 0; i < cases; ++i) {
      const Case c = generator_.instruction(*rows[i % rows.size()]);
      if (!exclusion(c).empty() || c.decoded.record.length != c.bytes.size()) continue;
      if (is_transfer(*c.decoded.row) || !exclusion(*c.decoded.row, GetParam(), guest_profile()).empty()) continue;
      prepare_memory(c, generator_, abilities_.gdt, write);
      compare(c);
    }
    check_coverage(rows);
  }
};

TEST_P(HostTest, IntegerInstructionsAgreeWithTheHost) { compare_rows(0, 300'000); }

TEST_P(HostTest, SseInstructionsAgreeWithTheHost) { compare_rows(attr::sse, 200'000); }

TEST_P(HostTest, MmxInstructionsAgreeWithTheHost) { compare_rows(attr::mmx, 60'000); }

TEST_P(HostTest, X87InstructionsAgreeWithTheHost) { compare_rows(attr::x87, 80'000); }

TEST_P(HostTest, AvxInstructionsAgreeWithTheHost) { compare_rows(attr::avx, 300'000); }

TEST_P(HostTest, RowsThatAreNotComparedHaveAReason) {
  std::map<std::string_view, std::string> by_reason;
  for (u16 i = 0; i < table_.size(); ++i) {
    const Row& row = table_.row(i);
    const std::string_view reason = exclusion(row, GetParam(), guest_profile());
    if (!reason.empty()) by_reason[reason].append(1, ' ').append(row.mnemonic);
  }
  for (const auto& [reason, rows] : by_reason)
    std::printf("%.*s:%s\n", static_cast<int>(reason.size()), reason.data(), rows.c_str());
  // Of the host's lacks nobody here is to blame; all else is a short list.
  EXPECT_LT(by_reason.size(), 30u);
}

INSTANTIATE_TEST_SUITE_P(Code, HostTest,
                         ::testing::Values(CodeKind::Long, CodeKind::Compatibility, CodeKind::Compatibility16),
                         code_kind_name);

}  // namespace
}  // namespace bunshin::oracle
