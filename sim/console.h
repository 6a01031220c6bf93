#pragma once

// The terminal at the far end of the guest's serial line: standard output, console.log, standard input.

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "devices/serial_port.h"

namespace bunshin {

class HostConsole final : public SerialPort {
 public:
  /// `log_path` may be empty: no log. Throws std::runtime_error if the log cannot be created.
  HostConsole(const std::string& log_path, bool show);
  ~HostConsole();
  HostConsole(const HostConsole&) = delete;
  HostConsole& operator=(const HostConsole&) = delete;

  void transmit(u8 byte) override;
  void flush();
  /// Shows a line on standard error where the cursor is, unless the guest has begun a line there; the guest's next byte
  /// takes it away. Empty: takes it away now.
  void set_status_line(const std::string& line);
  /// From now on seen() tells whether the guest has printed `text`.
  void watch_for(const std::string& text) { watched_ = text; }
  bool seen() const { return seen_; }

  /// Reads standard input from now on; a terminal is set to raw mode but for Ctrl-C until the console is destroyed.
  void start_input();
  /// A person sits at the input.
  bool interactive() const { return interactive_; }
  /// The next byte for the guest, if there is one. Cheap when there is none.
  std::optional<u8> next_input();
  void put_back(u8 byte);
  /// Blocks until there is input, the input ends, or `milliseconds` have passed (0: no limit). True if there is input.
  bool wait_for_input(unsigned milliseconds);
  /// The escape key's command to end the run was typed.
  bool end_requested() const { return end_requested_; }

 private:
  void read_input();
  void accept(u8 byte);
  void enqueue(u8 byte);
  void print_help() const;

  std::FILE* log_ = nullptr;
  bool show_;
  bool at_line_start_ = true;
  bool status_shown_ = false;
  std::string watched_;
  std::string recent_;
  bool seen_ = false;

  bool interactive_ = false;
  bool escaped_ = false;
  std::thread reader_;
  int wake_pipe_[2] = {-1, -1};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<u8> input_;
  bool input_open_ = false;
  std::atomic<bool> input_available_{false};
  std::atomic<bool> end_requested_{false};
};

/// SIGINT, SIGTERM and SIGHUP ask for an orderly end; another one, half a second later or more, ends at once. Terminal
/// settings are restored on any end, crashes included.
void install_signal_handlers();
bool interrupted_by_signal();

}  // namespace bunshin
