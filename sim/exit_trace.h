#pragma once

// `run --exit-trace FILE`: every exit of every guest, and every entry that was refused, one line of JSON each (docs/virtualization.md).

#include <memory>
#include <vector>

#include "core/virt/exit_statistics.h"
#include "sim/line_file.h"

namespace bunshin {

class ExitTrace {
 public:
  explicit ExitTrace(const std::string& path) : file_("--exit-trace", path) {}

  /// For the exits of one more core. The statistics must outlive the trace's last close().
  void add(unsigned core, ExitStatistics& statistics);
  const std::string& error() const { return file_.error(); }
  /// At the end of the run. Empty, or what went wrong.
  std::string close();

 private:
  class Core final : public ExitSink {
   public:
    Core(LineFile& file, unsigned number, ExitStatistics& statistics)
        : file_(file), number_(number), statistics_(statistics) {}
    void exited(const ExitRecord& record, const ExitCause& cause) override;
    void refused(u64 cycle, const RefusedEntry& entry) override;
    void finish() { statistics_.finish(); }

   private:
    LineFile& file_;
    unsigned number_;
    ExitStatistics& statistics_;
  };

  LineFile file_;
  std::vector<std::unique_ptr<Core>> cores_;
};

}  // namespace bunshin
