#pragma once

// Random instructions of the opcode table, with operands that mostly address the data pages.

#include <string>
#include <vector>

#include "core/decode/decoder.h"
#include "tests/core/oracle_state.h"

namespace bunshin::oracle {

struct Case {
  std::vector<u8> bytes;
  u64 rip = 0;
  Decoded decoded;  ///< as our decoder sees it at `rip`; row is nullptr if undefined
  Registers registers;
  u64 target = 0;  ///< where the memory operand shall lie
};

class Generator {
 public:
  Generator(const OpcodeTable& table, const CpuProfile& profile, u64 seed);

  /// An instruction meant to be the given row; prefixes may have made another of it.
  Case instruction(const Row& row);
  Random& random() { return random_; }
  /// An operand value: every second one an edge case.
  u64 value();
  /// Data as instructions like it: integers, or floating-point numbers with edge cases.
  void fill(std::span<u8> bytes);
  bool decode(Case& c) const;

 private:
  void add_prefixes(const Pattern& p, std::vector<u8>& bytes);
  void add_opcode(const Pattern& p, std::vector<u8>& bytes);
  void add_modrm(const Pattern& p, std::vector<u8>& bytes);
  void random_registers(Registers& r);
  u64 random_target();
  void aim(Case& c);
  void aim_implicit(Case& c);

  const OpcodeTable& table_;
  const CpuProfile& profile_;
  Random random_;
  CodeMode mode_;
  unsigned displacement_at_ = 0;  ///< of a displacement that is an address by itself; 0: none
  bool displacement_is_relative_ = false;
};

std::string hex(std::span<const u8> bytes);

}  // namespace bunshin::oracle
