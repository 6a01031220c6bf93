#pragma once

// Runs of the simulator as processes of their own: SystemC elaborates one machine a process.

#include <string>
#include <vector>

#include <sys/types.h>

namespace bunshin {

struct ChildRun {
  std::string name;
  std::vector<std::string> arguments;  ///< of this same program
  std::string messages;                ///< file for its standard error
  /// Afterwards: exit status, or -1 if it could not be started or a signal ended it.
  int status = -1;
  double seconds = 0;
};

/// All of them, `jobs` at once, in their order. On a terminal a line says what is running, unless `quiet`. When the user
/// interrupts, those that run are ended, and the rest is not begun; false then.
bool run_children(std::vector<ChildRun>& runs, unsigned jobs, bool quiet);

}  // namespace bunshin
