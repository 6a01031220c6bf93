#include "core/virt/exit_statistics.h"

#include "core/cpu.h"

namespace bunshin {

void ExitStatistics::report() {
  if (sink_ != nullptr) sink_->exited(record_, table_[row_]);
  open_ = false;
}

void ExitStatistics::close(u64 cycle) {
  if (!open_) return;
  const u64 cycles = cycle - record_.cycle;
  record_.host_cycles = cycles;
  rows_[row_].host_cycles += cycles;
  host_cycles_ += cycles;
  report();
}

void ExitStatistics::finish() {
  if (open_) report();
}

void ExitStatistics::entered(const Cpu& cpu) {
  const u64 now = cpu.cycles();
  close(now);
  ++entries_;
  in_guest_ = true;
  entered_at_ = now;
}

void ExitStatistics::left(const Cpu& cpu, const VmExit& exit) {
  const u64 now = cpu.cycles();
  close(now);
  row_ = exit_row(table_, exit.cause);
  record_ = {now, exit, in_guest_ ? now - entered_at_ : 0, std::nullopt};
  Row& row = rows_[row_];
  ++row.count;
  row.guest_cycles += record_.guest_cycles;
  ++exits_;
  guest_cycles_ += record_.guest_cycles;
  in_guest_ = false;
  open_ = true;
}

void ExitStatistics::refused(const Cpu& cpu, const RefusedEntry& entry) {
  if (sink_ != nullptr) sink_->refused(cpu.cycles(), entry);
}

void ExitStatistics::register_stats(StatRegistry& registry, const std::string& prefix) const {
  registry.add(prefix + "entries", entries_, "", "times that a guest was entered");
  registry.add(prefix + "exits", exits_, "", "times that a guest was left, entries that failed as exits included");
  registry.add(prefix + "guest_cycles", guest_cycles_, "cycles", "from entries to the exits behind them");
  registry.add(prefix + "host_cycles", host_cycles_, "cycles", "from exits to the entries behind them");
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const std::string base = prefix + "exits." + std::string(table_[i].name) + ".";
    registry.add(base + "count", rows_[i].count, "", "exits for this reason");
    registry.add(base + "guest_cycles", rows_[i].guest_cycles, "cycles", "from the entry to such an exit");
    registry.add(base + "cycles", rows_[i].host_cycles, "cycles", "from such an exit to the next entry");
  }
}

}  // namespace bunshin
