#pragma once

// Runs a case on both processors and tells what differs.

#include <gtest/gtest.h>

#include <map>

#include "tests/core/oracle_generate.h"
#include "tests/core/oracle_guest.h"
#include "tests/core/oracle_host.h"

namespace bunshin::oracle {

/// Value of the environment variable, or `otherwise`.
u64 from_environment(const char* name, u64 otherwise);

class Differential : public ::testing::Test {
 protected:
  Differential();

  /// Runs the case; a difference fails the test (at most twice for each row).
  void compare(const Case& c);
  void print_counts(std::size_t rows) const;
  /// In both memories.
  void write_data(u64 address, std::span<const u8> bytes);
  void write_code(u64 address, std::span<const u8> bytes);

  OpcodeTable table_;
  HostProcessor host_;
  GuestProcessor guest_;
  Generator generator_;

 private:
  std::string describe_differences(const Case& c, const Outcome& host, const Outcome& guest);
  /// Differences in the data pages; afterwards the model has the host's.
  std::string synchronize_memory();

  std::map<std::string, u64> failures_;
  u64 compared_ = 0, trapped_ = 0;
};

}  // namespace bunshin::oracle
