// Names and kinds of exits.

#include <set>

#include <gtest/gtest.h>

#include "core/virt/svm/exit_codes.h"
#include "core/virt/vmx/exit_reasons.h"

namespace bunshin {
namespace {

class ExitTables : public testing::TestWithParam<ExitTable> {};

TEST_P(ExitTables, AreOrderedWithNamesThatDiffer) {
  const ExitTable table = GetParam();
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < table.size(); ++i) {
    EXPECT_TRUE(names.insert(table[i].name).second) << table[i].name;
    if (i + 2 >= table.size()) continue;  // the last row stands for what has none
    EXPECT_LT(table[i].code, table[i + 1].code) << table[i].name;
  }
}

TEST_P(ExitTables, FindEveryRowByItsCode) {
  const ExitTable table = GetParam();
  for (std::size_t i = 0; i + 1 < table.size(); ++i) EXPECT_EQ(exit_row(table, table[i].code), i) << table[i].name;
}

INSTANTIATE_TEST_SUITE_P(Vendors, ExitTables, testing::Values(vmx::exit_table(), svm::exit_table()));

TEST(ExitCause, OfACodeThatTheTableLacksIsUnknown) {
  EXPECT_EQ(vmx::exit_table()[exit_row(vmx::exit_table(), 35)].name, "unknown");
  EXPECT_EQ(svm::exit_table()[exit_row(svm::exit_table(), 0x3ff)].name, "unknown");
}

TEST(ExitCause, OfAFailedEntryIsOfItsOwn) {
  const ExitTable table = vmx::exit_table();
  EXPECT_EQ(table[exit_row(table, 0x8000'0021)].name, "entry_failure_guest_state");
}

TEST(ExitCause, OfAnExceptionNamesIt) {
  const ExitTable table = vmx::exit_table();
  EXPECT_EQ(table[exit_row(table, vmx::exception_cause(14))].name, "exception_pf");
  EXPECT_EQ(table[exit_row(table, vmx::exception_cause(2))].name, "nmi");
}

TEST(ExitCause, OfAVmrunThatWasRefusedHasAName) {
  const ExitTable table = svm::exit_table();
  EXPECT_EQ(table[exit_row(table, ~u32{0})].name, "invalid");
}

}  // namespace
}  // namespace bunshin
