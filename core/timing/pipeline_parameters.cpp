#include "core/timing/pipeline_parameters.h"

namespace bunshin {

namespace {
constexpr std::string_view port_digits = "0123456789abcdef";
static_assert(port_digits.size() == issue_ports);
}  // namespace

const std::array<std::string_view, op_classes> op_class_names{
    "nop",         "integer",       "shift",     "multiply",       "divide",         "lea",
    "branch",      "load",          "store",     "vector_integer", "vector_shuffle", "vector_multiply",
    "vector_move", "cross_domain",  "float_add", "float_multiply", "float_fma",      "float_divide",
    "float_root",  "float_convert", "crypto",    "x87_add",        "x87_multiply",   "x87_divide",
    "x87_move",    "x87_microcode", "microcode",
};

void ClassParameters::describe(ParameterVisitor& v) {
  v.integer("latency", latency, {0, 1000}, "cycles", "Until the result can be used.");
  v.integer("interval", interval, {1, 1000}, "cycles", "Between two on the same port.");
  v.text("ports", ports, "Digits of the ports that can do it, 0 to 9 and a to f: `0156`.");
}

u16 ClassParameters::port_mask() const {
  u16 mask = 0;
  for (const char c : ports) {
    const std::size_t port = port_digits.find(c);
    if (port < issue_ports) mask = static_cast<u16>(mask | 1u << port);
  }
  return mask;
}

bool ClassParameters::ports_valid() const {
  return !ports.empty() && ports.find_first_not_of(port_digits) == std::string::npos;
}

void BranchPredictorParameters::describe(ParameterVisitor& v) {
  v.integer("history_bits", history_bits, {0, 24}, "", "Global history, exclusive-ored with the branch's address.");
  v.integer("table_bits", table_bits, {4, 24}, "", "log2 of the number of two-bit counters.");
  v.integer("target_entries", target_entries, {16, 65536}, "", "Of the branch target buffer.");
  v.integer("target_ways", target_ways, {1, 16}, "", "Of the branch target buffer.");
  v.integer("return_stack", return_stack, {1, 64}, "", "Return addresses remembered.");
  v.integer("indirect_bits", indirect_bits, {0, 16}, "", "History that tells an indirect branch's targets apart.");
}

// Latencies, throughputs and ports of Skylake's core where its optimization manual and public measurements agree; profiles
// override them, each with its source.
PipelineParameters::PipelineParameters() {
  const auto set = [this](OpClass op, u64 latency, u64 interval, const char* ports) {
    classes[static_cast<unsigned>(op)] = {latency, interval, ports};
  };
  using enum OpClass;
  set(Nop, 0, 1, "0156");
  set(Integer, 1, 1, "0156");
  set(Shift, 1, 1, "06");
  set(Multiply, 3, 1, "1");
  set(Divide, 26, 6, "0");
  set(Lea, 1, 1, "15");
  set(Branch, 1, 1, "06");
  set(Load, 0, 1, "23");
  set(Store, 0, 1, "4");
  set(VectorInteger, 1, 1, "015");
  set(VectorShuffle, 1, 1, "5");
  set(VectorMultiply, 5, 1, "01");
  set(VectorMove, 1, 1, "015");
  set(CrossDomain, 2, 1, "05");
  set(FloatAdd, 4, 1, "01");
  set(FloatMultiply, 4, 1, "01");
  set(FloatFma, 4, 1, "01");
  set(FloatDivide, 13, 4, "0");
  set(FloatRoot, 18, 6, "0");
  set(FloatConvert, 5, 1, "01");
  set(Crypto, 4, 1, "0");
  set(X87Add, 3, 1, "5");
  set(X87Multiply, 5, 1, "0");
  set(X87Divide, 15, 5, "0");
  set(X87Move, 1, 1, "05");
  set(X87Microcode, 60, 30, "0");
  set(Microcode, 12, 4, "0156");
}

void PipelineParameters::describe(ParameterVisitor& v) {
  v.integer("width", width, {1, 16}, "", "Instructions a cycle that enter and leave the window.");
  v.integer("window", window, {1, 1024}, "", "Instructions in flight (reorder buffer).");
  v.integer("load_queue", load_queue, {1, 1024}, "", "Loads in flight.");
  v.integer("store_queue", store_queue, {1, 1024}, "", "Stores in flight.");
  v.integer("mispredict_penalty", mispredict_penalty, {0, 1000}, "cycles",
            "From a mispredicted branch's execution to the right path's first instruction.");
  v.integer("redirect_penalty", redirect_penalty, {0, 1000}, "cycles",
            "Of a taken direct branch that the branch target buffer did not know.");
  v.integer("forward_latency", forward_latency, {0, 1000}, "cycles", "Of a load served by an older store in flight.");
  v.integer("serialize_cycles", serialize_cycles, {0, 10000}, "cycles",
            "That a serializing instruction takes beside its latency, with nothing else in flight.");
  v.integer("event_cycles", event_cycles, {0, 10000}, "cycles",
            "Of delivering an exception or interrupt, beside its references to memory.");
  v.begin_group("classes", "What each kind of work takes.");
  for (unsigned i = 0; i < op_classes; ++i) v.group(op_class_names[i], classes[i], "");
  v.end_group();
  v.group("branch", branch, "The branch predictor.");
  v.group("virtualization", virtualization,
          "World switches and the instructions about them, beside their references to memory.");
}

}  // namespace bunshin
