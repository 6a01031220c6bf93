#include "sim/progress.h"

#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace bunshin {

namespace {

constexpr auto interval = std::chrono::milliseconds(250);

}  // namespace

Progress::Progress(bool enabled, bool screen)
    : enabled_((enabled || screen) && isatty(STDERR_FILENO) != 0),
      screen_(screen),
      next_(HostClock::now() + interval),
      last_(HostClock::now()) {}

bool Progress::due() { return enabled_ && HostClock::now() >= next_; }

void Progress::show(HostConsole& console, double simulated_seconds, u64 instructions, const std::string& screen_text) {
  const HostClock::time_point now = HostClock::now();
  const double seconds = std::chrono::duration<double>(now - last_).count();
  const double mips = seconds > 0 ? static_cast<double>(instructions - last_instructions_) / seconds / 1e6 : 0;
  const std::string line = fmt::format("[{:.3f} s simulated, {:.0f} million instructions, {:.0f} MIPS]",
                                       simulated_seconds, static_cast<double>(instructions) / 1e6, mips);
  if (screen_) {
    std::fputs(fmt::format("\x1b[H{}\x1b[K\n{}", line, screen_text).c_str(), stderr);
    std::fflush(stderr);
  } else {
    console.set_status_line(line);
  }
  last_ = now;
  last_instructions_ = instructions;
  next_ = now + interval;
}

}  // namespace bunshin
