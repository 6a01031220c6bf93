#include "sim/exit_trace.h"

#include <fmt/format.h>

namespace bunshin {

void ExitTrace::Core::exited(const ExitRecord& r, const ExitCause& cause) {
  std::string line = fmt::format(
      R"({{"cycle":{},"core":{},"reason":{},"name":"{}","information":"{:#x}","address":"{:#x}","rip":"{:#x}",)"
      R"("guest_cycles":{})",
      r.cycle, number_, r.exit.reason, cause.name, r.exit.information, r.exit.address, r.exit.rip, r.guest_cycles);
  if (r.host_cycles) line += fmt::format(R"(,"host_cycles":{})", *r.host_cycles);
  if (!r.exit.broken_rule.empty()) line += fmt::format(R"(,"broken_rule":"{}")", r.exit.broken_rule);
  line += "}\n";
  file_.write(line);
}

void ExitTrace::Core::refused(u64 cycle, const RefusedEntry& entry) {
  file_.write(fmt::format(
      R"({{"cycle":{},"core":{},"reason":{},"name":"vm_instruction_error","rip":"{:#x}","broken_rule":"{}"}})"
      "\n",
      cycle, number_, entry.error, entry.rip, entry.broken_rule));
}

void ExitTrace::add(unsigned core, ExitStatistics& statistics) {
  cores_.push_back(std::make_unique<Core>(file_, core, statistics));
  statistics.set_sink(cores_.back().get());
}

std::string ExitTrace::close() {
  for (const auto& core : cores_) core->finish();
  file_.flush();
  return file_.error();
}

}  // namespace bunshin
