#pragma once

// SIM_CHECK states what must hold if the simulator itself is right. It never reports what a guest or a user did wrong.

#include <source_location>
#include <stdexcept>

namespace bunshin {

/// A bug in the simulator; the command ends with exit status 4.
class SimulatorBug : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void simulator_bug(const char* what, std::source_location where = std::source_location::current());

}  // namespace bunshin

#define SIM_CHECK(condition)                                \
  do {                                                      \
    if (!(condition)) ::bunshin::simulator_bug(#condition); \
  } while (false)
