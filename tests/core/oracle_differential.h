#pragma once

// Runs a case on both processors and tells what differs.

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "tests/core/oracle_generate.h"
#include "tests/core/oracle_guest.h"
#include "tests/core/oracle_host.h"

namespace bunshin::oracle {

/// Value of the environment variable, or `otherwise`.
u64 from_environment(const char* name, u64 otherwise);
std::string code_kind_name(const ::testing::TestParamInfo<CodeKind>& info);

class Differential : public ::testing::TestWithParam<CodeKind> {
 protected:
  Differential();
  void SetUp() override;

  /// Runs the case; a difference fails the test (at most twice for each row).
  void compare(const Case& c);
  /// Fails for rows that were never compared, or never without a trap though they need not trap; prints the counts.
  void check_coverage(std::span<const Row* const> rows);
  /// In both memories.
  void write_data(u64 address, std::span<const u8> bytes);
  void write_code(u64 address, std::span<const u8> bytes);
  /// Only rows with this mnemonic; nullptr: all.
  const char* only() const;
  const CpuProfile& guest_profile() const { return guest_profile_; }

  OpcodeTable table_;
  HostProcessor host_;
  GuestProcessor guest_;
  const CpuProfile& guest_profile_ = guest_.machine().profile;
  Abilities abilities_;
  u64 seed_;
  Generator generator_;

 private:
  struct Count {
    u64 compared = 0, trapped = 0;
  };

  std::string describe_differences(const Case& c, const Outcome& host, const Outcome& guest);
  std::string compare_segments(const Case& c, const Outcome& host, const Outcome& guest) const;
  /// Differences in the data pages; afterwards the model has the host's.
  std::string synchronize_memory(const Case& c);
  void count(const Case& c, const Outcome& host);

  std::map<std::string, u64> failures_;
  std::map<const Row*, Count> counts_;
  std::map<std::string_view, u64> explained_;
  u64 compared_ = 0, trapped_ = 0, memory_ = 0, crossing_ = 0, second_page_ = 0;
};

}  // namespace bunshin::oracle
