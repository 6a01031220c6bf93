#include "base/check.h"

#include <string>

namespace bunshin {

void simulator_bug(const char* what, std::source_location where) {
  throw SimulatorBug(std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": check failed: " + what);
}

}  // namespace bunshin
