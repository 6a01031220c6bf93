#include "sim/config/compute_cost_parameters.h"

#include <charconv>
#include <stdexcept>

#include <fmt/format.h>

#include "vmm-model/exit_table.h"

namespace bunshin {

namespace {

constexpr u64 most_cycles = 1'000'000'000'000, thousand = 1000;

[[noreturn]] void refuse(const std::string& item, std::string_view why) {
  throw std::runtime_error(fmt::format("'{}': {}", item, why));
}

/// Whole cycles and up to three decimals, in thousandths.
u64 thousandths(const std::string& item, std::string_view text) {
  const std::size_t point = std::min(text.find('.'), text.size());
  std::string decimals(text.substr(std::min(point + 1, text.size())));
  u64 whole = 0, part = 0;
  const auto read = [](std::string_view digits, u64& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  const bool bare_point = point + 1 == text.size();
  bool good = read(text.substr(0, point), whole) && whole <= most_cycles && decimals.size() <= 3 && !bare_point;
  decimals.resize(3, '0');
  good = good && read(decimals, part);
  if (!good) refuse(item, "expected NAME=CYCLES, with three decimals at most");
  return whole * thousand + part;
}

/// Puts it where the name says. False: there is no such name.
bool assign(vmm::ComputeCosts::Mode& mode, std::string_view name, u64 cost) {
  if (name == "start") return mode.start = cost, true;
  if (name == "entry") return mode.entry = cost, true;
  if (name == "switch") return mode.world_switch = cost, true;
  for (unsigned i = 0; i < vmm::exit_reasons; ++i) {
    if (vmm::exit_row(static_cast<vmm::ExitReason>(i)).name == name) return mode.exit[i] = cost, true;
  }
  return false;
}

bool assign(vmm::ComputeCosts& costs, std::string_view name, u64 cost) {
  if (name == "reference") return costs.reference = cost, true;
  if (name == "field") return costs.field = cost, true;
  if (name == "line") return costs.line = cost, true;
  for (unsigned i = 0; i < vmm::work_kinds; ++i) {
    if (vmm::work_names[i] == name) return costs.work[i] = cost, true;
  }
  const std::size_t point = name.find('.');
  bool known = false;
  for (unsigned i = 0; i < vmm::paging_choices; ++i) {
    const bool meant =
        point == std::string_view::npos || vmm::name_of(vmm::PagingChoice{static_cast<u8>(i)}) == name.substr(0, point);
    if (meant) known = assign(costs.modes[i], point == std::string_view::npos ? name : name.substr(point + 1), cost);
  }
  return known;
}

}  // namespace

vmm::ComputeCosts parse_compute_costs(const std::vector<std::string>& items) {
  vmm::ComputeCosts costs;
  for (const std::string& item : items) {
    const std::string_view text = item;
    const std::size_t equals = std::min(text.find('='), text.size());
    const u64 cost = thousandths(item, text.substr(std::min(equals + 1, text.size())));
    if (!assign(costs, text.substr(0, equals), cost)) {
      refuse(item,
             "there is no such cost: reference, field, line, instruction, element, or [PAGING.]start, .entry, .switch, "
             "or an "
             "exit's name as in vmm.log");
    }
  }
  return costs;
}

void ComputeCostTables::describe(ParameterVisitor& v) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    v.list(
        timing_mode_names[i], items[i],
        fmt::format(
            "With the timing `{}`: items `NAME=CYCLES`. `reference` and `line`: around each word, and each 64 bytes of "
            "a "
            "block, that the hypervisor loads or stores. `instruction`: performed for a guest. `element`: of its own "
            "tables, gone through as a whole. `start`: from boot to the first guest. `switch`: a world switch. "
            "`entry`: "
            "from a handler to it. An exit's name as in vmm.log: its handler. The last four may have a paging mode in "
            "front: `shadow.page_fault=1200.5`.",
            timing_mode_names[i]));
  }
}

void ComputeCostTables::check(const std::function<void(const std::string& key, const std::string& what)>& fail) const {
  for (std::size_t i = 0; i < items.size(); ++i) {
    try {
      static_cast<void>(parse_compute_costs(items[i]));
    } catch (const std::runtime_error& e) {
      fail(std::string(timing_mode_names[i]), e.what());
    }
  }
}

}  // namespace bunshin
