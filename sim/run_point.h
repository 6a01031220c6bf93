#pragma once

// A moment in a run that a configuration or a command line can name: for switching the timing, and for regions of
// interest.

#include <string>

#include "sim/debug/symbols.h"
#include "sim/timing_mode.h"

namespace bunshin {

struct RunPoint {
  enum class Kind : u8 {
    Cycle,         ///< the machine's clock
    Instructions,  ///< completed by all cores together
    Address,       ///< an instruction there is about to be executed, by any core in any address space
    Mark,          ///< a guest's mark (core/engine/mark.h)
    Begin,
    End,
  };
  Kind kind = Kind::Cycle;
  u64 value = 0;       ///< count, linear address, or number of the mark
  u64 nth = 0;         ///< only the nth time; 0: every time
  std::string symbol;  ///< of an Address: `value` is to be added to where it lies

  /// Finds the symbol. Throws std::runtime_error, naming near ones, if there is none; `source` is where they come from.
  void resolve(const Symbols& symbols, const std::string& source);
};

/// `cycle:N`, `instructions:N`, `address:0xN`, `symbol:NAME[+N]`, `mark:N`, `begin:N`, `end:N`; behind the last five
/// `#K` for
/// only the Kth time. Throws std::runtime_error that says what is possible.
RunPoint parse_run_point(const std::string& text);

/// `WHEN=MODE`.
struct SwitchRule {
  RunPoint when;
  TimingMode mode = TimingMode::None;
};
SwitchRule parse_switch(const std::string& text);

/// `NAME=NUMBER`: what the guest's marks of that number begin and end; or `NAME=WHEN..WHEN`.
struct RegionRule {
  std::string name;
  bool by_marks = false;
  u16 number = 0;  ///< of the marks
  RunPoint from, to;
};
RegionRule parse_region(const std::string& text);

}  // namespace bunshin
