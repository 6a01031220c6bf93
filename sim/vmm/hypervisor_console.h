#pragma once

// The far end of the hypervisor's own serial line: a file, and what it said last.

#include <cstdio>
#include <string>

#include "devices/serial_port.h"

namespace bunshin {

class HypervisorConsole final : public SerialPort {
 public:
  /// `path` may be empty: no file. Throws std::runtime_error if it cannot be created.
  explicit HypervisorConsole(const std::string& path);
  ~HypervisorConsole();
  HypervisorConsole(const HypervisorConsole&) = delete;
  HypervisorConsole& operator=(const HypervisorConsole&) = delete;

  void transmit(u8 byte) override;
  /// What it said, a mebibyte of it at most.
  const std::string& text() const { return text_; }
  /// The same without the counts, for a person: the last few lines.
  std::string brief() const;
  /// It has started its guests. If not, there is something wrong with what it was given.
  bool started() const { return text_.find(" guests take ") != std::string::npos; }
  /// Why it failed: what it said last of a guest's failure or its own, else last at all.
  std::string complaint() const;

 private:
  std::FILE* file_ = nullptr;
  std::string text_;
};

}  // namespace bunshin
