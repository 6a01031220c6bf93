#pragma once

// A file that a run writes line by line (walk and exit traces). Writing never fails where it happens, in the middle of a run:
// see error().

#include <cstdio>
#include <string>

namespace bunshin {

class LineFile {
 public:
  /// `option` is what the command line calls the file; "-" is standard output. Throws std::runtime_error if the file cannot
  /// be created.
  LineFile(const std::string& option, const std::string& path);
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  void write(const std::string& line);
  /// Everything written so far is with the host.
  void flush();
  /// Why nothing more is written; empty if nothing is wrong.
  const std::string& error() const { return error_; }

 private:
  void fail();

  std::string name_;
  std::FILE* file_ = nullptr;
  std::string error_;
};

}  // namespace bunshin
