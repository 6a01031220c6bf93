#pragma once

// What GDB asks of the machine (GDB manual, appendix E): cores are threads 1 … N.

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "core/processor.h"
#include "sim/debug/gdb_connection.h"

namespace bunshin {

class GdbServer final : public ExecutionObserver {
 public:
  /// What the debugger wants after a stop.
  enum class Resume : u8 { Run, Detach, Kill };

  GdbServer(unsigned port, std::vector<Processor*> processors);

  unsigned port() const { return connection_.port(); }
  /// Blocks until a debugger connects and says how to go on.
  Resume start();
  /// True while instructions must be watched: breakpoints are set, or a core is being stepped.
  bool watching() const { return connection_.connected() && (!breakpoints_.empty() || stepping_core_ >= 0); }
  /// The debugger asked for the guest to stop.
  bool interrupt_waiting() { return connection_.connected() && connection_.input_waiting(); }
  /// The core stopped (its observer said so, or the debugger asked): tells the debugger and serves it until the guest
  /// is to go on.
  Resume stopped(unsigned core, bool interrupted);
  /// The run is over.
  void exited(int status);

  bool before_instruction(const Cpu& cpu) override;

 private:
  Resume serve();
  /// Empty optional: the command resumes the guest, `resume_` says how.
  std::optional<std::string> execute(const std::string& packet);
  std::optional<std::string> execute_resume(const std::string& packet);
  std::string query(const std::string& packet);
  std::string features(const std::string& packet) const;
  std::string select_thread(const std::string& packet);
  std::string read_registers() const;
  std::string write_registers(const std::string& hex);
  std::string read_register(const std::string& number) const;
  std::string write_register(const std::string& assignment);
  std::string read_memory(const std::string& range) const;
  std::string write_memory(const std::string& command);
  std::string change_breakpoint(const std::string& packet);
  std::string stop_reply() const;
  void step(unsigned core);
  Cpu& selected() const { return processors_[selected_]->cpu(); }
  bool parse_thread(std::string_view text, unsigned& core) const;

  GdbConnection connection_;
  std::vector<Processor*> processors_;
  std::set<u64> breakpoints_;
  unsigned selected_ = 0;  ///< of register and memory commands
  unsigned stopped_core_ = 0;
  unsigned signal_ = 5;
  int stepping_core_ = -1;
  bool step_pending_ = false;  ///< the instruction to be stepped has not been passed yet
  /// For each core the address it is resumed at, whose breakpoint does not count once.
  std::vector<std::optional<u64>> resume_at_;
  Resume resume_ = Resume::Run;
};

}  // namespace bunshin
