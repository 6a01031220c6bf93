#pragma once

// The instruction trace: one line an instruction, "cycle core rip bytes text".

#include <cstdio>
#include <optional>
#include <string>

#include "core/engine/engine.h"
#include "sim/debug/disassembler.h"
#include "sim/debug/symbols.h"

namespace bunshin {

/// Where a trace begins or ends: at a cycle, or when an address is about to be executed.
struct TracePoint {
  std::optional<u64> cycle;
  std::optional<u64> address;
};

/// Parses a decimal or 0x… cycle, or a symbol's name. Throws std::runtime_error if there is no such symbol.
TracePoint parse_trace_point(const std::string& text, const Symbols& symbols);

class TraceWriter final : public ExecutionObserver {
 public:
  /// Throws std::runtime_error if the file cannot be created. "-" is standard output.
  TraceWriter(const std::string& path, TracePoint from, TracePoint to, const Symbols& symbols);
  ~TraceWriter();
  TraceWriter(const TraceWriter&) = delete;
  TraceWriter& operator=(const TraceWriter&) = delete;

  /// The first cycle from which it wants to see instructions; ~0 once it has seen the last.
  u64 wanted_from() const;

  bool before_instruction(const Cpu& cpu) override;

 private:
  void write_line(const Cpu& cpu, u64 linear);

  std::FILE* file_ = nullptr;
  TracePoint from_;
  TracePoint to_;
  const Symbols& symbols_;
  Disassembler disassembler16_{16}, disassembler32_{32}, disassembler64_{64};
  bool started_ = false;
  bool ended_ = false;
};

}  // namespace bunshin
