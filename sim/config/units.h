#pragma once

// Quantities as people write them: 512MiB, 2.5GHz, 0x1000.

#include <optional>
#include <string>
#include <string_view>

#include "base/types.h"

namespace bunshin {

/// Parses an integer with an optional unit suffix. `unit` "bytes" accepts KiB, MiB, GiB, TiB (and B), "Hz" accepts Hz,
/// kHz, MHz, GHz, "us" accepts us, ms, s; any other unit accepts none but its own name. Hexadecimal (0x…) and a decimal fraction before a
/// suffix are accepted as long as the result is a whole number. Empty if the text is anything else or does not fit 64 bits.
std::optional<u64> parse_quantity(std::string_view text, std::string_view unit);

/// The largest suffix that represents the value exactly: 536870912 bytes → "512MiB".
std::string format_quantity(u64 value, std::string_view unit);

/// Levenshtein distance, for "did you mean".
unsigned edit_distance(std::string_view a, std::string_view b);

}  // namespace bunshin
