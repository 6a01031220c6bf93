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

void Progress::show(double simulated_seconds, u64 instructions, const std::string& screen_text) {
  const HostClock::time_point now = HostClock::now();
  const double seconds = std::chrono::duration<double>(now - last_).count();
  const double mips = seconds > 0 ? static_cast<double>(instructions - last_instructions_) / seconds / 1e6 : 0;
  const std::string line = fmt::format("[{:.3f} s simulated, {:.0f} million instructions, {:.0f} MIPS]",
                                       simulated_seconds, static_cast<double>(instructions) / 1e6, mips);
  if (screen_) {
    std::fputs(fmt::format("\x1b[H{}\x1b[K\n{}", line, screen_text).c_str(), stderr);
  } else {
    // Below the console's text, which goes on where it was.
    std::fputs(fmt::format("\x1b"
                           "7\n\x1b[2K{}\x1b"
                           "8",
                           line)
                   .c_str(),
               stderr);
  }
  std::fflush(stderr);
  shown_ = true;
  last_ = now;
  last_instructions_ = instructions;
  next_ = now + interval;
}

void Progress::clear() {
  if (shown_ && !screen_)
    std::fputs(
        "\x1b"
        "7\n\x1b[2K\x1b"
        "8",
        stderr);
  shown_ = false;
}

}  // namespace bunshin
