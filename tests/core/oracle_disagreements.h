#pragma once

// Where our decoder and Capstone's may differ.

#include <array>
#include <string_view>

#include "base/types.h"

namespace bunshin::oracle {

struct Disagreement {
  unsigned bits = 64;
  std::array<u8, 15> bytes;
  std::string_view ours;    ///< mnemonic; empty if we find no instruction
  std::string_view theirs;  ///< likewise
  bool other_w = false;     ///< we find an instruction if VEX.W is inverted
};

/// Why this is no bug of ours; empty if nothing explains it.
std::string_view explanation(const Disagreement& d);

}  // namespace bunshin::oracle
