#pragma once

// A core's pipeline as configurations describe it: widths, windows, ports, and what each kind of work takes.

#include <array>
#include <string>
#include <string_view>

#include "base/parameters.h"
#include "core/timing/operation.h"
#include "core/timing/transition_parameters.h"

namespace bunshin {

/// Issue ports of a core, at most.
inline constexpr unsigned issue_ports = 16;
inline constexpr unsigned op_classes = static_cast<unsigned>(OpClass::Count);
/// As configurations spell them.
extern const std::array<std::string_view, op_classes> op_class_names;

/// What one kind of work takes.
struct ClassParameters {
  u64 latency = 1;          ///< cycles until the result can be used; of loads and stores: beyond the cache's own
  u64 interval = 1;         ///< cycles for which the port is taken
  std::string ports = "0";  ///< by hexadecimal digit, any of them will do: "0156"

  void describe(ParameterVisitor& v);
  u16 port_mask() const;
  /// Whether `ports` names one port at least and nothing else.
  bool ports_valid() const;
};

struct BranchPredictorParameters {
  u64 history_bits = 12;      ///< of global history, exclusive-ored with the address (gshare)
  u64 table_bits = 14;        ///< log2 of the two-bit counters
  u64 target_entries = 4096;  ///< of the branch target buffer, a power of two
  u64 target_ways = 4;
  u64 return_stack = 16;
  u64 indirect_bits = 8;  ///< history bits that choose among the targets of an indirect branch

  void describe(ParameterVisitor& v);
};

struct PipelineParameters {
  u64 width = 4;     ///< instructions a cycle, in and out of the window
  u64 window = 224;  ///< reorder buffer
  u64 load_queue = 72, store_queue = 56;
  u64 mispredict_penalty = 16;  ///< from the branch's execution to the right path's first instruction
  u64 redirect_penalty = 2;     ///< a taken branch that the target buffer did not know but the decoder did
  u64 forward_latency = 5;      ///< of a load that takes its data from an older store
  u64 serialize_cycles = 20;    ///< that a serializing instruction drains for, beside its own latency
  u64 event_cycles = 60;        ///< of delivering an exception or interrupt, beside its references to memory
  std::array<ClassParameters, op_classes> classes;
  BranchPredictorParameters branch;
  TransitionParameters virtualization;

  PipelineParameters();
  void describe(ParameterVisitor& v);
};

}  // namespace bunshin
