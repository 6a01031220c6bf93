#pragma once

// What a person sees of a long run: a line on standard error with simulated time and speed, or the guest's text screen.
// Only on a terminal.

#include <chrono>
#include <string>

#include "sim/console.h"

namespace bunshin {

class Progress {
 public:
  /// `screen`: show the text screen instead of leaving the terminal to the console.
  Progress(bool enabled, bool screen);

  /// Enough host time has passed for another line. Cheap.
  bool due();
  void show(HostConsole& console, double simulated_seconds, u64 instructions, const std::string& screen_text);

 private:
  using HostClock = std::chrono::steady_clock;
  bool enabled_;
  bool screen_;
  HostClock::time_point next_;
  HostClock::time_point last_;
  u64 last_instructions_ = 0;
};

}  // namespace bunshin
