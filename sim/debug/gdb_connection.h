#pragma once

// GDB's remote serial protocol, the packet layer (GDB manual, appendix E.1), over a TCP connection.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace bunshin {

class GdbConnection {
 public:
  /// Listens on 127.0.0.1; port 0 takes a free one. Throws std::runtime_error if the port cannot be had.
  explicit GdbConnection(unsigned port);
  ~GdbConnection();
  GdbConnection(const GdbConnection&) = delete;
  GdbConnection& operator=(const GdbConnection&) = delete;

  unsigned port() const;
  /// Blocks until a debugger connects.
  void accept();
  bool connected() const;

  /// Blocks for the next packet's contents; "\x03" is the debugger's interrupt. Empty optional: the debugger is gone.
  std::optional<std::string> receive();
  void send(std::string_view contents);
  /// The debugger has sent something (an interrupt, or it hung up) while the guest runs. Never blocks.
  bool input_waiting();
  /// No more acknowledgements from here on (QStartNoAckMode).
  void stop_acknowledging() { acknowledge_ = false; }
  void close();

 private:
  int next_byte();

  struct Sockets;
  std::unique_ptr<Sockets> sockets_;
  bool acknowledge_ = true;
};

std::string to_hex(std::span<const u8> bytes);
/// Empty optional if the text is not pairs of hexadecimal digits.
std::optional<std::vector<u8>> from_hex(std::string_view text);

}  // namespace bunshin
