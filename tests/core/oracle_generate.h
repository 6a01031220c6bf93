#pragma once

// Random instructions of the opcode table, with operands that mostly address the data pages.

#include <string>
#include <vector>

#include "core/decode/decoder.h"
#include "tests/core/oracle_state.h"

namespace bunshin::oracle {

struct Case {
  CodeKind kind = CodeKind::Long;
  std::vector<u8> bytes;
  u64 rip = 0;
  Decoded decoded;  ///< as our decoder sees it at `rip`; row is nullptr if undefined
  Registers registers;
  u64 target = 0;  ///< where the memory operand shall lie
};

/// What the host allows besides the plainest code.
struct Abilities {
  bool bases = false, local_segments = false, gdt = false;
};

bool has_operand(const Row& row, std::initializer_list<Op> ops);

/// Offset of the memory operand in its segment, by the registers of the case.
u64 effective_address(const Case& c);

class Generator {
 public:
  Generator(const OpcodeTable& table, const CpuProfile& profile, CodeKind kind, const Abilities& abilities, u64 seed);

  /// An instruction meant to be the given row; prefixes may have made another of it.
  Case instruction(const Row& row);
  Random& random() { return random_; }
  /// An operand value: every second one an edge case.
  u64 value();
  /// Data as instructions like it: integers, or floating-point numbers with edge cases.
  void fill(std::span<u8> bytes);
  bool decode(Case& c) const;
  /// From now on SS has base 0 and no limit.
  void keep_stack_flat() { flat_stack_ = true; }
  u64 random_target();
  /// For instructions that take one: of data, of code, of nothing.
  u16 selector();

 private:
  void add_prefixes(const Pattern& p, std::vector<u8>& bytes);
  void add_segment_prefix(bool wants_base, std::vector<u8>& bytes);
  void add_rex(const Pattern& p, std::vector<u8>& bytes);
  void add_vex(const Pattern& p, std::vector<u8>& bytes);
  unsigned add_address(unsigned mod, unsigned rm, bool needs_sib, std::vector<u8>& bytes);
  void add_opcode(const Pattern& p, std::vector<u8>& bytes);
  void add_modrm(const Pattern& p, std::vector<u8>& bytes);
  void random_registers(Registers& r);
  void random_segments(Registers& r);
  void random_floating_point(FxImage& fx);
  void aim(Case& c);
  void aim_base(Case& c, u64 offset);
  void aim_implicit(Case& c);
  void aim_strings(Case& c);
  void aim_vectors(Case& c);
  void aim_selectors(Case& c);
  u64 segment_base(const Registers& r, Seg seg) const;

  const OpcodeTable& table_;
  const CpuProfile& profile_;
  Random random_;
  CodeKind kind_;
  Abilities abilities_;
  CodeMode mode_;
  bool flat_stack_ = false;
  bool address16_ = false;        ///< the case has 16-bit addresses
  unsigned displacement_at_ = 0;  ///< of a displacement that is an address by itself; 0: none
  unsigned displacement_bytes_ = 0;
  bool displacement_is_relative_ = false;
};

std::string hex(std::span<const u8> bytes);

}  // namespace bunshin::oracle
