#include "sim/console.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <ctime>

namespace bunshin {

namespace {

constexpr u8 escape_key = 1;  // Ctrl-A

/// What signal handlers must reach; there is one terminal a process.
struct TerminalState {
  termios saved{};
  volatile std::sig_atomic_t raw = 0;
  volatile std::sig_atomic_t signals = 0;
  volatile i64 first_signal_ms = 0;
};

TerminalState& terminal() {
  static TerminalState state;
  return state;
}

void restore_terminal() {
  if (terminal().raw == 0) return;
  terminal().raw = 0;
  tcsetattr(STDIN_FILENO, TCSANOW, &terminal().saved);
}

/// Host time in milliseconds; may be asked in a signal handler.
i64 milliseconds_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return i64{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

/// One request may come as several signals at once: timeout(1), for instance, signals the process and its group.
constexpr i64 same_request_ms = 500;

void on_request(int) {
  const i64 now = milliseconds_now();
  if (terminal().signals != 0 && now - terminal().first_signal_ms > same_request_ms) {
    restore_terminal();
    _exit(3);
  }
  if (terminal().signals == 0) terminal().first_signal_ms = now;
  terminal().signals = 1;
}

void on_crash(int number) {
  restore_terminal();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

bool in_foreground() { return isatty(STDIN_FILENO) != 0 && tcgetpgrp(STDIN_FILENO) == getpgrp(); }

/// Every key goes to the guest but Ctrl-C, which ends the run; output is left as it is.
void make_raw() {
  if (tcgetattr(STDIN_FILENO, &terminal().saved) != 0) return;
  termios raw = terminal().saved;
  raw.c_iflag &= ~static_cast<tcflag_t>(ICRNL | INLCR | IXON | ISTRIP | BRKINT);
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ECHONL | IEXTEN);
  raw.c_cc[VQUIT] = raw.c_cc[VSUSP] = _POSIX_VDISABLE;
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0) terminal().raw = 1;
  std::atexit(restore_terminal);
}

}  // namespace

void install_signal_handlers() {
  struct sigaction request {};
  request.sa_handler = on_request;
  request.sa_flags = SA_RESTART;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &request, nullptr);
  for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE}) std::signal(number, on_crash);
  std::signal(SIGPIPE, SIG_IGN);
}

bool interrupted_by_signal() { return terminal().signals != 0; }

HostConsole::HostConsole(const std::string& log_path, bool show) : show_(show) {
  if (log_path.empty()) return;
  log_ = std::fopen(log_path.c_str(), "wb");
  if (log_ == nullptr) throw std::runtime_error(log_path + ": the console's log cannot be created");
}

HostConsole::~HostConsole() {
  if (reader_.joinable()) {
    const char wake = 0;
    if (write(wake_pipe_[1], &wake, 1) < 0) std::abort();
    reader_.join();
  }
  for (const int fd : wake_pipe_) {
    if (fd >= 0) ::close(fd);
  }
  restore_terminal();
  flush();
  if (log_ != nullptr) std::fclose(log_);
}

void HostConsole::set_status_line(const std::string& line) {
  const bool shares_terminal = show_ && isatty(STDOUT_FILENO) != 0;
  if (line.empty() ? !status_shown_ : shares_terminal && !at_line_start_) return;
  std::fputs(("\x1b[2K" + line + "\r").c_str(), stderr);
  std::fflush(stderr);
  status_shown_ = !line.empty();
}

void HostConsole::transmit(u8 byte) {
  if (status_shown_) set_status_line("");
  at_line_start_ = byte == '\n' || (byte == '\r' && at_line_start_);
  if (log_ != nullptr) std::fputc(byte, log_);
  if (show_) std::fputc(byte, stdout);
  if (byte == '\n') std::fflush(stdout);
  if (watched_.empty() || seen_) return;
  recent_ += static_cast<char>(byte);
  if (recent_.size() > watched_.size()) recent_.erase(0, recent_.size() - watched_.size());
  seen_ = recent_ == watched_;
}

void HostConsole::flush() {
  if (show_) std::fflush(stdout);
  if (log_ != nullptr) std::fflush(log_);
}

void HostConsole::start_input() {
  const bool is_terminal = isatty(STDIN_FILENO) != 0;
  if (is_terminal && !in_foreground()) return;
  if (fcntl(STDIN_FILENO, F_GETFD) < 0 || pipe(wake_pipe_) != 0) return;
  interactive_ = is_terminal;
  if (interactive_) make_raw();
  input_open_ = true;
  reader_ = std::thread([this] { read_input(); });
}

void HostConsole::read_input() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (true) {
    pollfd waits[2] = {{STDIN_FILENO, POLLIN, 0}, {wake_pipe_[0], POLLIN, 0}};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) break;
    if (waits[1].revents != 0) break;
    if (waits[0].revents == 0) continue;
    u8 bytes[256];
    const ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
    if (count <= 0) break;
    for (ssize_t i = 0; i < count; ++i) accept(bytes[i]);
  }
  const std::lock_guard lock(mutex_);
  input_open_ = false;
  changed_.notify_all();
}

void HostConsole::accept(u8 byte) {
  if (!interactive_) return enqueue(byte);
  if (!escaped_) {
    escaped_ = byte == escape_key;
    if (!escaped_) enqueue(byte);
    return;
  }
  escaped_ = false;
  switch (byte) {
    case 'x':
    case 'X':
      end_requested_ = true;
      changed_.notify_all();
      break;
    case 'c':
    case 'C': enqueue(3); break;
    case 'h':
    case 'H':
    case '?': print_help(); break;
    case escape_key:
    case 'a': enqueue(escape_key); break;
    default: break;
  }
}

void HostConsole::print_help() const {
  std::fputs(
      "\r\nCtrl-A x  end the run\r\nCtrl-A c  send Ctrl-C to the guest (Ctrl-C itself ends the run)\r\n"
      "Ctrl-A a  send Ctrl-A to the guest\r\nCtrl-A h  this help\r\n",
      stderr);
}

void HostConsole::enqueue(u8 byte) {
  const std::lock_guard lock(mutex_);
  input_.push_back(byte);
  input_available_ = true;
  changed_.notify_all();
}

std::optional<u8> HostConsole::next_input() {
  if (!input_available_.load(std::memory_order_relaxed)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (input_.empty()) return std::nullopt;
  const u8 byte = input_.front();
  input_.pop_front();
  input_available_ = !input_.empty();
  return byte;
}

void HostConsole::put_back(u8 byte) {
  const std::lock_guard lock(mutex_);
  input_.push_front(byte);
  input_available_ = true;
}

bool HostConsole::wait_for_input(unsigned milliseconds) {
  using namespace std::chrono_literals;
  flush();
  std::unique_lock lock(mutex_);
  // A signal does not wake a condition variable: look around now and then.
  const auto ready = [this] { return !input_.empty() || !input_open_ || end_requested_; };
  auto left = std::chrono::milliseconds(milliseconds == 0 ? ~0u : milliseconds);
  while (!ready() && left > 0ms && !interrupted_by_signal()) {
    const auto span = std::min<std::chrono::milliseconds>(left, 100ms);
    changed_.wait_for(lock, span, ready);
    left -= span;
  }
  return !input_.empty();
}

}  // namespace bunshin
