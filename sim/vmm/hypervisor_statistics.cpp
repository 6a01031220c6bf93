#include "sim/vmm/hypervisor_statistics.h"

#include <array>
#include <charconv>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

namespace bunshin {

namespace {

struct Known {
  std::string_view name, unit, description;
};
constexpr std::array<Known, 15> known{{
    {"start_tsc", "ticks", "time-stamp counter when the first guest was about to be entered"},
    {"end_tsc", "ticks", "time-stamp counter when the guest had ended"},
    {"idle_tsc", "ticks", "while no guest was ready"},
    {"guest_tsc", "ticks", "in the guest, world switches included"},
    {"kernel_tsc", "ticks", "in the kernel of a guest in user state, the way there and back included"},
    {"kernel_entries", "", "times that it was entered"},
    {"user_tsc", "ticks", "in the programs of a guest in user state, the way there and back included"},
    {"user_entries", "", "times that they were entered"},
    {"fills", "", "entries that the paging mode wrote on faults"},
    {"guest_faults", "", "page faults that were the guest's own"},
    {"table_writes", "", "writes to the guest's tables that were emulated"},
    {"flushes", "", "times that the guest emptied its TLB"},
    {"table_bytes", "bytes", "tables that the hypervisor kept for the guest, at most"},
    {"count", "", "exits for this reason"},
    {"tsc", "ticks", "in the handler of such exits"},
}};

StatValue value_of(std::string_view name, u64 number) {
  for (const Known& k : known) {
    if (k.name == name) return {number, std::string(k.unit), std::string(k.description)};
  }
  return {number, "", "as the hypervisor reports it"};
}

std::optional<u64> number(const std::string& word) {
  u64 value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

/// "WHAT N WHAT N …"; empty if it is anything else.
std::vector<std::pair<std::string, u64>> pairs(std::istringstream& words) {
  std::vector<std::pair<std::string, u64>> all;
  for (std::string what, count; words >> what;) {
    words >> count;
    const std::optional<u64> value = words ? number(count) : std::nullopt;
    if (!value) return {};
    all.emplace_back(what, *value);
  }
  return all;
}

}  // namespace

void add_hypervisor_statistics(std::string_view console, std::map<std::string, StatValue>& stats) {
  std::istringstream lines{std::string(console)};
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(": ");
    if (colon == 0 || colon == std::string::npos || line.find(' ') < colon) continue;
    const std::string name = line.substr(0, colon);
    std::string prefix = "vmm.guest." + name + ".";
    std::string rest = line.substr(colon + 2);
    if (rest.starts_with("exits ")) {
      const std::size_t end = rest.find(' ', 6);
      if (end == std::string::npos) continue;
      prefix.append("exits.").append(rest, 6, end - 6).append(".");
      rest = "count" + rest.substr(end);
    }
    std::istringstream words(rest);
    for (const auto& [what, value] : pairs(words)) stats[prefix + what] = value_of(what, value);
  }
}

}  // namespace bunshin
