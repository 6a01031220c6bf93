#include "sim/config/compute_cost_parameters.h"

#include <charconv>
#include <stdexcept>

#include <fmt/format.h>

#include "vmm-model/exit_table.h"

namespace bunshin {

namespace {

constexpr u64 most_cycles = 1'000'000'000'000, thousand = 1000;

/// The number of a reason by its name in the table of exits; Count if there is none.
unsigned reason_called(std::string_view name) {
  unsigned i = 0;
  while (i < vmm::exit_reasons && vmm::exit_row(static_cast<vmm::ExitReason>(i)).name != name) ++i;
  return i;
}

}  // namespace

void ComputeCostParameters::describe(ParameterVisitor& v) {
  v.integer("start", start, {0, most_cycles}, "cycles", "From the boot loader to the first guest.");
  v.integer("entry", entry, {0, most_cycles}, "cycles", "Around each world switch, the switch itself apart.");
  v.integer("reference", reference, {0, most_cycles}, "cycles/1000",
            "Around each load and store of the hypervisor, the access itself apart.");
  v.integer("line", line, {0, most_cycles}, "cycles/1000", "The same for each 64 bytes that are copied or cleared.");
  v.list("exits", exits, "What the handler of an exit takes besides: `REASON=CYCLES`, reasons as vmm.log has them.");
}

vmm::ComputeCosts ComputeCostParameters::costs() const {
  vmm::ComputeCosts costs{start * thousand, entry * thousand, reference, line, {}};
  for (const std::string& text : exits) {
    const std::size_t equals = std::min(text.find('='), text.size());
    const unsigned reason = reason_called(text.substr(0, equals));
    if (reason == vmm::exit_reasons) {
      throw std::runtime_error(fmt::format("'{}': there is no exit of that name", text));
    }
    const char* first = text.data() + std::min(equals + 1, text.size());
    const char* last = text.data() + text.size();
    u64 cycles = 0;
    const auto [end, error] = std::from_chars(first, last, cycles);
    if (error != std::errc() || end != last || cycles > most_cycles) {
      throw std::runtime_error(fmt::format("'{}': expected REASON=CYCLES", text));
    }
    costs.exit[reason] = cycles * thousand;
  }
  return costs;
}

void ComputeCostTables::describe(ParameterVisitor& v) {
  for (std::size_t i = 0; i < modes.size(); ++i) {
    const std::string_view name = timing_mode_names[i];
    v.group(name, modes[i], fmt::format("With the timing `{}`.", name));
  }
}

void ComputeCostTables::check(const std::function<void(const std::string& key, const std::string& what)>& fail) const {
  for (std::size_t i = 0; i < modes.size(); ++i) {
    try {
      static_cast<void>(modes[i].costs());
    } catch (const std::runtime_error& e) {
      fail(fmt::format("{}.exits", timing_mode_names[i]), e.what());
    }
  }
}

}  // namespace bunshin
