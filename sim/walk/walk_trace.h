#pragma once

// `run --walk-trace FILE`: every page walk of a running machine, one line of JSON each (docs/walk.md).

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/cpu.h"
#include "core/timing/walk_sink.h"
#include "mmu/walk_listener.h"
#include "sim/line_file.h"

namespace bunshin {

/// The walks of one core. A timed core's walks are charged by its pipeline after the block that made them has run: until then
/// they wait here, as many as a block's log may hold at most.
class CoreWalkTrace final : public WalkListener, public WalkSink {
 public:
  CoreWalkTrace(LineFile& file, const Cpu& cpu) : file_(file), cpu_(cpu) {}

  /// Writes what still waits.
  void flush();

  // WalkListener
  void walk_began(Linear address, const Access& access, const PagingContext& context) override;
  void reference(const WalkReference& reference) override;
  void walk_ended(const WalkResult& result) override;
  // WalkSink
  void timing_began(bool exact) override;
  void timing_ended() override;
  void charged(const MemoryReference& reference, u64 cycle, const Reply& reply, u64 rip) override;

 private:
  struct Step {
    WalkReference reference;
    bool charged = false;
    Level hit = Level::L1;
    u64 cycles = 0;
  };
  struct Walk {
    u64 cycle = 0;
    u64 linear = 0;
    u64 code_base = 0;  ///< of the code segment
    u64 block = 0;      ///< linear address of the running block
    u64 ip = 0;
    bool ip_known = false;
    Access access;
    u64 root = 0;
    u16 pcid = 0;
    PagingMode mode = PagingMode::None;
    WalkResult result;
    std::vector<Step> steps;

    /// The next step to be charged; steps.size() if there is none.
    std::size_t next() const;
    std::string line(unsigned core) const;
    std::string step_text(const Step& step) const;
  };
  void write_front();
  void write_charged();

  static constexpr std::size_t most_waiting = 8192;

  LineFile& file_;
  const Cpu& cpu_;
  Walk current_;
  std::deque<Walk> waiting_;
  bool timed_ = false;
  bool exact_ = false;
};

/// The walks of a machine, in one file.
class WalkTrace {
 public:
  explicit WalkTrace(const std::string& path) : file_("--walk-trace", path) {}

  /// The trace of one more core.
  CoreWalkTrace& add(const Cpu& cpu) {
    cores_.push_back(std::make_unique<CoreWalkTrace>(file_, cpu));
    return *cores_.back();
  }
  const std::string& error() const { return file_.error(); }
  /// At the end of the run. Empty, or what went wrong.
  std::string close();

 private:
  LineFile file_;
  std::vector<std::unique_ptr<CoreWalkTrace>> cores_;
};

}  // namespace bunshin
