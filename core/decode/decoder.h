#pragma once

// From bytes to a bound record.

#include <array>
#include <span>
#include <vector>

#include "core/cpu.h"
#include "core/decode/row.h"

namespace bunshin {

/// A row with its encoding string taken apart.
struct Pattern {
  const Row* row = nullptr;
  u16 index = 0;  ///< of the row, as Record::row has it
  u8 map = 0;     ///< 0 one-byte, 1 0F, 2 0F 38, 3 0F 3A; the same behind VEX: vex_maps higher
  u8 opcode = 0;
  bool register_in_opcode = false;
  u8 mandatory = 0;   ///< 0 any, 1 none, 0x66, 0xF3, 0xF2
  i8 rex_w = -1;      ///< -1 any, 0, 1
  i8 reg_field = -1;  ///< ModRM.reg
  i16 modrm = -1;     ///< the whole byte
  i8 memory = -1;     ///< -1 any, 0 register form only, 1 memory form only
  i8 vex_l = -1;      ///< -1 any, 0, 1
  bool has_modrm = false;
  bool uses_vvvv = false;

  static constexpr u8 vex_maps = 4;
  bool vex() const { return map >= vex_maps; }
};

/// All rows by opcode, most specific first.
class OpcodeTable {
 public:
  /// Throws SimulatorBug for a malformed encoding.
  OpcodeTable();
  std::span<const Pattern> candidates(unsigned map, u8 opcode) const { return by_opcode_[map * 256 + opcode]; }
  const Row& row(u16 index) const { return *rows_[index]; }
  std::size_t size() const { return rows_.size(); }

  static Pattern parse(const Row& row);
  /// How many constraints a pattern has; the decoder takes the first match in descending order.
  static unsigned specificity(const Pattern& p);

 private:
  void add(std::span<const Row> rows);
  std::vector<const Row*> rows_;
  std::array<std::vector<Pattern>, 2 * Pattern::vex_maps * 256> by_opcode_;
};

enum class DecodeStatus : u8 {
  Ok,
  NeedMore,  ///< the instruction goes on behind the bytes given
  TooLong,   ///< more than 15 bytes: #GP(0)
};

/// Decodes one instruction from `bytes` in `mode`. Undefined encodings decode to an instruction that raises #UD.
/// `offset` is the instruction's distance from the start of its block, which is folded into RIP-relative displacements;
/// `page_offset` its distance from the start of its page (4096 if it crosses into the next).
DecodeStatus decode(const OpcodeTable& table, const CpuProfile& profile, const CodeMode& mode,
                    std::span<const u8> bytes, unsigned offset, unsigned page_offset, Decoded& out);

}  // namespace bunshin
