#include "sim/run_point.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/config/units.h"

namespace bunshin {

namespace {

constexpr u64 largest_mark = 0xfff;
constexpr std::string_view forms =
    "cycle:N, instructions:N, address:0xN, symbol:NAME or symbol:NAME+N, mark:N, begin:N, end:N (the last five also "
    "with "
    "#K behind them for the Kth time only)";

[[noreturn]] void fail(const std::string& text, const std::string& what) {
  throw std::runtime_error(fmt::format("'{}': {}", text, what));
}

u64 number(const std::string& text, const std::string& digits, u64 largest = ~u64{0}) {
  const std::optional<u64> value = parse_quantity(digits, "");
  if (!value || *value > largest) {
    fail(text, fmt::format("'{}' is not a whole number{}", digits,
                           largest == ~u64{0} ? std::string() : fmt::format(" up to {}", largest)));
  }
  return *value;
}

/// Takes `#K` from the end of `rest`.
u64 take_occurrence(const std::string& text, std::string& rest) {
  const std::size_t hash = rest.rfind('#');
  if (hash == std::string::npos) return 0;
  const u64 nth = number(text, rest.substr(hash + 1));
  if (nth == 0) fail(text, "times are counted from #1");
  rest.resize(hash);
  return nth;
}

void take_symbol(const std::string& text, const std::string& rest, RunPoint& point) {
  const std::size_t plus = rest.rfind('+');
  point.symbol = rest.substr(0, plus);
  if (plus != std::string::npos) point.value = number(text, rest.substr(plus + 1));
  if (point.symbol.empty()) fail(text, "the symbol's name is missing");
}

bool may_repeat(RunPoint::Kind kind) { return kind != RunPoint::Kind::Cycle && kind != RunPoint::Kind::Instructions; }

std::optional<RunPoint::Kind> kind_of(const std::string& word) {
  using Kind = RunPoint::Kind;
  if (word == "cycle") return Kind::Cycle;
  if (word == "instructions") return Kind::Instructions;
  if (word == "address" || word == "symbol") return Kind::Address;
  if (word == "mark") return Kind::Mark;
  if (word == "begin") return Kind::Begin;
  if (word == "end") return Kind::End;
  return std::nullopt;
}

/// The names nearest to one that does not exist.
std::vector<std::string> near(const std::string& name, const Symbols& symbols) {
  constexpr std::size_t wanted = 3;
  std::vector<std::pair<unsigned, std::string>> ranked;
  for (const auto& [address, symbol] : symbols.all()) {
    if (symbol.size() > name.size() + 3 || name.size() > symbol.size() + 3) continue;
    const unsigned distance = edit_distance(name, symbol);
    if (distance <= std::max<std::size_t>(name.size() / 2, 1)) ranked.emplace_back(distance, symbol);
  }
  std::ranges::sort(ranked);
  std::vector<std::string> names;
  for (const auto& [distance, symbol] : ranked) {
    if (names.size() < wanted && std::ranges::find(names, symbol) == names.end()) names.push_back(symbol);
  }
  return names;
}

}  // namespace

void RunPoint::resolve(const Symbols& symbols, const std::string& source) {
  if (symbol.empty()) return;
  if (const std::optional<u64> address = symbols.address(symbol)) {
    value += *address;
    symbol.clear();
    return;
  }
  if (symbols.empty()) {
    throw std::runtime_error(
        fmt::format("symbol:{}: {} has no symbols: name an ELF file or System.map with --symbols or guest.symbols",
                    symbol, source.empty() ? "the guest" : source));
  }
  const std::vector<std::string> others = near(symbol, symbols);
  throw std::runtime_error(fmt::format("symbol:{}: {} has no such symbol{}", symbol, source,
                                       others.empty() ? "" : fmt::format("; near ones: {}", fmt::join(others, ", "))));
}

RunPoint parse_run_point(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::optional<RunPoint::Kind> kind = kind_of(text.substr(0, colon));
  if (!kind || colon == std::string::npos) fail(text, fmt::format("expected one of {}", forms));
  RunPoint point;
  point.kind = *kind;
  std::string rest = text.substr(colon + 1);
  if (may_repeat(*kind)) point.nth = take_occurrence(text, rest);
  if (text.starts_with("symbol:")) {
    take_symbol(text, rest, point);
  } else {
    const bool counted = !may_repeat(*kind) || *kind == RunPoint::Kind::Address;
    point.value = number(text, rest, counted ? ~u64{0} : largest_mark);
  }
  return point;
}

SwitchRule parse_switch(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos) {
    fail(text, fmt::format("expected WHEN=MODE, WHEN being one of {}; MODE one of {}", forms,
                           fmt::join(timing_mode_names, ", ")));
  }
  const std::optional<TimingMode> mode = parse_timing_mode(text.substr(equals + 1));
  if (!mode) {
    fail(text, fmt::format("'{}' is not one of {}", text.substr(equals + 1), fmt::join(timing_mode_names, ", ")));
  }
  return {parse_run_point(text.substr(0, equals)), *mode};
}

RegionRule parse_region(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const bool plain =
      std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; });
  if (equals == std::string::npos || name.empty() || !plain) {
    fail(text, "expected NAME=NUMBER (of the guest's marks) or NAME=WHEN..WHEN; names are of letters, digits, _ and -");
  }
  const std::string where = text.substr(equals + 1);
  RegionRule rule;
  rule.name = name;
  const std::size_t dots = where.find("..");
  if (dots == std::string::npos) {
    rule.by_marks = true;
    rule.number = static_cast<u16>(number(text, where, largest_mark));
    return rule;
  }
  rule.from = parse_run_point(where.substr(0, dots));
  rule.to = parse_run_point(where.substr(dots + 2));
  return rule;
}

}  // namespace bunshin
