#include "sim/vmm/hypervisor_console.h"

#include <deque>
#include <sstream>
#include <stdexcept>

namespace bunshin {

namespace {

constexpr std::size_t most_kept = 1u << 20, lines_shown = 20;

}  // namespace

HypervisorConsole::HypervisorConsole(const std::string& path) {
  if (path.empty()) return;
  file_ = std::fopen(path.c_str(), "wb");
  if (file_ == nullptr) throw std::runtime_error(path + ": the hypervisor's log cannot be created");
}

HypervisorConsole::~HypervisorConsole() {
  if (file_ != nullptr) std::fclose(file_);
}

void HypervisorConsole::transmit(u8 byte) {
  if (file_ != nullptr) std::fputc(byte, file_);
  if (byte != '\r' && text_.size() < most_kept) text_ += static_cast<char>(byte);
}

std::string HypervisorConsole::brief() const {
  std::deque<std::string> last;
  std::istringstream lines(text_);
  for (std::string line; std::getline(lines, line);) {
    const bool counts = line.find(": exits ") != std::string::npos || line.find(": guest_tsc ") != std::string::npos;
    if (counts) continue;
    last.push_back("  " + line + "\n");
    if (last.size() > lines_shown) last.pop_front();
  }
  std::string out;
  for (const std::string& line : last) out += line;
  return out;
}

std::string HypervisorConsole::complaint() const {
  std::string failure, other;
  std::istringstream lines(text_);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(": FAILED: ") != std::string::npos || line.find(": FATAL: ") != std::string::npos) {
      failure = line;
    } else if (!line.starts_with("bunshin-vmm: ")) {
      other = line;
    }
  }
  return failure.empty() ? other : failure;
}

}  // namespace bunshin
