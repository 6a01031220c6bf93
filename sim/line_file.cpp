#include "sim/line_file.h"

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <fmt/format.h>

namespace bunshin {

namespace {
constexpr std::size_t buffer_bytes = std::size_t{1} << 20;
}

LineFile::LineFile(const std::string& option, const std::string& path)
    : name_(option + " " + path), file_(path == "-" ? stdout : std::fopen(path.c_str(), "w")) {
  if (file_ == nullptr) {
    throw std::runtime_error(fmt::format("{}: the file cannot be created: {}", name_, std::strerror(errno)));
  }
  if (file_ != stdout) std::setvbuf(file_, nullptr, _IOFBF, buffer_bytes);
}

LineFile::~LineFile() {
  if (file_ != stdout) std::fclose(file_);
}

void LineFile::fail() { error_ = fmt::format("{}: cannot be written: {}", name_, std::strerror(errno)); }

void LineFile::write(const std::string& line) {
  if (error_.empty() && std::fwrite(line.data(), 1, line.size(), file_) != line.size()) fail();
}

void LineFile::flush() {
  if (error_.empty() && std::fflush(file_) != 0) fail();
}

}  // namespace bunshin
