#pragma once

// How a machine's time passes: one cycle an instruction, or by a pipeline.

#include <array>
#include <optional>
#include <string_view>

#include "base/types.h"

namespace bunshin {

enum class TimingMode : u8 { None, InOrder, OutOfOrder };

/// As configurations and the command line name them, by TimingMode.
inline constexpr std::array<std::string_view, 3> timing_mode_names{"none", "inorder", "ooo"};

inline std::string_view name_of(TimingMode mode) { return timing_mode_names[static_cast<unsigned>(mode)]; }

/// Empty if there is no such mode.
inline std::optional<TimingMode> parse_timing_mode(std::string_view name) {
  for (unsigned i = 0; i < timing_mode_names.size(); ++i) {
    if (timing_mode_names[i] == name) return static_cast<TimingMode>(i);
  }
  return std::nullopt;
}

}  // namespace bunshin
