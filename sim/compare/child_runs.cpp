#include "sim/compare/child_runs.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/console.h"

namespace bunshin {

namespace {

using HostClock = std::chrono::steady_clock;

/// File descriptors of a child: nothing to read, nobody who reads its console (it is in console.log), messages to a file.
class Redirections {
 public:
  explicit Redirections(const std::string& messages) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, STDERR_FILENO, messages.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  }
  ~Redirections() { posix_spawn_file_actions_destroy(&actions_); }
  Redirections(const Redirections&) = delete;
  Redirections& operator=(const Redirections&) = delete;
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

pid_t start(const ChildRun& run) {
  std::vector<std::string> words{"bunshin"};
  words.insert(words.end(), run.arguments.begin(), run.arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const Redirections redirections(run.messages);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, "/proc/self/exe", redirections.get(), nullptr, argv.data(), environ);
  if (error != 0) throw std::runtime_error(fmt::format("{}: cannot be started: error {}", run.name, error));
  return pid;
}

struct Running {
  pid_t pid = 0;
  ChildRun* run = nullptr;
  HostClock::time_point since;
};

class Supervisor {
 public:
  Supervisor(std::vector<ChildRun>& runs, unsigned jobs, bool shown) : runs_(runs), jobs_(jobs), shown_(shown) {}
  ~Supervisor() { end_all(); }

  bool work() {
    while (next_ < runs_.size() || !running_.empty()) {
      if (interrupted_by_signal()) {
        end_all();
        return false;
      }
      while (next_ < runs_.size() && running_.size() < jobs_) {
        ChildRun& run = runs_[next_++];
        running_.push_back({start(run), &run, HostClock::now()});
      }
      show();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      collect();
    }
    clear();
    return true;
  }

 private:
  static double seconds(const Running& r) { return std::chrono::duration<double>(HostClock::now() - r.since).count(); }

  void collect() {
    std::erase_if(running_, [](const Running& r) {
      int status = 0;
      const pid_t ended = waitpid(r.pid, &status, WNOHANG);
      if (ended == 0 || (ended < 0 && errno == EINTR)) return false;
      r.run->seconds = seconds(r);
      r.run->status = ended == r.pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
      return true;
    });
  }

  void end_all() {
    clear();
    for (const Running& r : running_) kill(r.pid, SIGTERM);
    for (const Running& r : running_) waitpid(r.pid, nullptr, 0);
    running_.clear();
  }

  void show() {
    if (!shown_) return;
    std::vector<std::string> names;
    for (const Running& r : running_) names.push_back(fmt::format("{} {:.0f} s", r.run->name, seconds(r)));
    std::fputs(fmt::format("\x1b[2K[{} of {} modes done; running {}]\r", next_ - running_.size(), runs_.size(),
                           fmt::join(names, ", "))
                   .c_str(),
               stderr);
    std::fflush(stderr);
  }
  void clear() const {
    if (shown_) std::fputs("\x1b[2K", stderr);
  }

  std::vector<ChildRun>& runs_;
  const unsigned jobs_;
  const bool shown_;
  std::vector<Running> running_;
  std::size_t next_ = 0;
};

}  // namespace

bool run_children(std::vector<ChildRun>& runs, unsigned jobs, bool quiet) {
  return Supervisor(runs, std::max(1u, jobs), !quiet && isatty(STDERR_FILENO) != 0).work();
}

}  // namespace bunshin
