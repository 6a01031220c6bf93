// User-mode instructions in 64-bit mode, on the host's own processor and on the modeled one: registers, flags,
// memory and faults must agree. Instructions come from the opcode table; a fixed number with a fixed seed in ctest, any
// number by
//   BUNSHIN_ORACLE_CASES=1000000 BUNSHIN_ORACLE_SEED=7 BUNSHIN_ORACLE_ROW=shld oracle_test
// (ROW: only rows with that mnemonic). A difference prints the instruction and what differs, and goes on.
// What is not compared, and why: oracle_rules.cpp.

#include <algorithm>
#include <cstdlib>

#include "tests/core/oracle_differential.h"
#include "tests/core/oracle_rules.h"

namespace bunshin::oracle {
namespace {

class HostTest : public Differential {
 protected:
  void SetUp() override {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "the sanitizer's shadow memory makes the host complete accesses that the guest faults on";
#endif
  }

  /// Rows whose attributes have one of `wanted` (or, if that is 0, are of no coprocessor).
  std::vector<const Row*> rows_of(u32 wanted) const {
    std::vector<const Row*> rows;
    const char* only = std::getenv("BUNSHIN_ORACLE_ROW");
    constexpr u32 groups = attr::x87 | attr::mmx | attr::sse;
    for (u16 i = 0; i < table_.size(); ++i) {
      const Row& row = table_.row(i);
      const bool in_group = wanted == 0 ? (row.attributes & groups) == 0 : (row.attributes & wanted) != 0;
      if (in_group && exclusion(row).empty() && (only == nullptr || row.mnemonic == only)) rows.push_back(&row);
    }
    return rows;
  }

  void compare_rows(u32 wanted, u64 default_cases) {
    const std::vector<const Row*> rows = rows_of(wanted);
    if (rows.empty()) GTEST_SKIP() << "no such row in this group";
    const u64 cases = from_environment("BUNSHIN_ORACLE_CASES", default_cases);
    for (u64 i = 0; i < cases; ++i) {
      const Case c = generator_.instruction(*rows[i % rows.size()]);
      if (!exclusion(c.decoded).empty() || c.decoded.record.length != c.bytes.size()) continue;
      std::array<u8, 64> fresh;
      generator_.fill(fresh);
      write_data(std::clamp<u64>(c.target, data_begin, data_end - fresh.size()), fresh);
      compare(c);
    }
    print_counts(rows.size());
  }
};

TEST_F(HostTest, IntegerInstructionsAgreeWithTheHost) { compare_rows(0, 200'000); }

TEST_F(HostTest, SseInstructionsAgreeWithTheHost) { compare_rows(attr::sse, 150'000); }

TEST_F(HostTest, MmxInstructionsAgreeWithTheHost) { compare_rows(attr::mmx, 60'000); }

TEST_F(HostTest, X87InstructionsAgreeWithTheHost) { compare_rows(attr::x87, 60'000); }

}  // namespace
}  // namespace bunshin::oracle
