#pragma once

// What a core's guests were left for, how often, and where the time went: in the guest, and then in the hypervisor until it
// entered a guest again, the world switches included.

#include <vector>

#include "base/stats.h"
#include "core/virt/virtualization.h"

namespace bunshin {

/// One exit, known whole when a guest is entered again.
struct ExitRecord {
  u64 cycle = 0;  ///< the core's, when the guest was left
  VmExit exit;
  u64 guest_cycles = 0;  ///< since the entry before; 0: the entry failed
  /// Until the next entry. Empty: there was none.
  std::optional<u64> host_cycles;
};

/// Runs while the host's MXCSR is the guest's: no floating point.
class ExitSink {
 public:
  virtual void exited(const ExitRecord& record, const ExitCause& cause) = 0;
  virtual void refused(u64 /*cycle*/, const RefusedEntry& /*entry*/) {}

 protected:
  ~ExitSink() = default;
};

class ExitStatistics final : public TransitionListener {
 public:
  struct Row {
    u64 count = 0;
    u64 guest_cycles = 0;  ///< in the guest, before such an exit
    u64 host_cycles = 0;   ///< behind it
  };

  explicit ExitStatistics(ExitTable table) : table_(table), rows_(table.size()) {}

  /// Null: nobody wants single exits. Must outlive its use.
  void set_sink(ExitSink* sink) { sink_ = sink; }
  /// At the end of a run: the last exit's record, which no entry follows.
  void finish();

  ExitTable table() const { return table_; }
  const std::vector<Row>& rows() const { return rows_; }
  u64 entries() const { return entries_; }
  u64 exits() const { return exits_; }

  /// "coreN.vm.entries" … and, by cause, "coreN.vm.exits.NAME.count" …
  void register_stats(StatRegistry& registry, const std::string& prefix) const;

  // TransitionListener
  void entered(const Cpu& cpu) override;
  void left(const Cpu& cpu, const VmExit& exit) override;
  void refused(const Cpu& cpu, const RefusedEntry& entry) override;

 private:
  void close(u64 cycle);
  void report();

  ExitTable table_;
  std::vector<Row> rows_;
  ExitSink* sink_ = nullptr;
  u64 entries_ = 0, exits_ = 0;
  u64 guest_cycles_ = 0, host_cycles_ = 0;
  bool in_guest_ = false;
  u64 entered_at_ = 0;
  /// The last exit, until a guest is entered again.
  bool open_ = false;
  std::size_t row_ = 0;
  ExitRecord record_;
};

}  // namespace bunshin
