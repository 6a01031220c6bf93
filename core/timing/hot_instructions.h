#pragma once

// Which instructions the cycles went to. Plans of blocks count while they live; when all blocks are forgotten, what they
// counted is folded into a bounded table.

#include <array>
#include <map>
#include <tuple>
#include <vector>

#include "base/address.h"

namespace bunshin {

struct BlockPlan;

struct HotInstruction {
  u64 rip = 0;       ///< when its block was entered last
  u64 physical = 0;  ///< of its first byte
  u8 bits = 64;      ///< mode of the code: 16, 32, 64
  bool user = false;
  u8 length = 0;
  std::array<u8, 15> bytes{};  ///< when the block was decoded; all zero if unknown
  u64 executions = 0;
  u64 cycles = 0;  ///< by which its completion moved the core's time on
};

class HotInstructions {
 public:
  /// Instructions kept, those with most cycles, each time that blocks are forgotten.
  static constexpr std::size_t capacity = 1u << 16;

  void fold(const BlockPlan& plan);
  /// Forgets the coldest until `capacity` are left; their sum is kept.
  void shrink();

  /// Those with most cycles first; the end of the list is the whole table.
  std::vector<HotInstruction> hottest() const;
  u64 other_executions() const { return other_executions_; }
  u64 other_cycles() const { return other_cycles_; }

 private:
  using Key = std::tuple<u64, u64, u8>;  ///< rip, physical, bits

  std::map<Key, HotInstruction> instructions_;
  u64 other_executions_ = 0, other_cycles_ = 0;
};

}  // namespace bunshin
