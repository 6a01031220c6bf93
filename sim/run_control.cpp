#include "sim/run_control.h"

#include <algorithm>

#include "core/engine/mark.h"

namespace bunshin {

RunControl::RunControl(const Settings& settings, RegionStatistics regions,
                       std::function<void(TimingMode)> switch_timing)
    : obey_requests_(settings.obey_requests), regions_(std::move(regions)), switch_timing_(std::move(switch_timing)) {
  for (const RegionRule& region : settings.regions) {
    if (region.by_marks) {
      names_.emplace_back(region.number, region.name);
      continue;
    }
    add(region.from, {Action::Kind::Begin, {}, region.name});
    add(region.to, {Action::Kind::End, {}, region.name});
  }
  for (const SwitchRule& rule : settings.switches) add(rule.when, {Action::Kind::Switch, rule.mode, {}});
}

void RunControl::add(const RunPoint& when, const Action& action) { rules_.push_back({when, action, 0, false}); }

std::vector<u64> RunControl::addresses() const {
  std::vector<u64> all;
  for (const Rule& rule : rules_) {
    if (rule.when.kind == RunPoint::Kind::Address) all.push_back(rule.when.value);
  }
  return all;
}

const RunControl::Rule* RunControl::first_waiting(RunPoint::Kind kind) const {
  const Rule* first = nullptr;
  for (const Rule& rule : rules_) {
    if (rule.when.kind != kind || rule.done) continue;
    if (first == nullptr || rule.when.value < first->when.value) first = &rule;
  }
  return first;
}

u64 RunControl::next_cycle() const {
  const Rule* rule = first_waiting(RunPoint::Kind::Cycle);
  return rule == nullptr ? ~u64{0} : rule->when.value;
}

std::optional<u64> RunControl::next_instructions() const {
  const Rule* rule = first_waiting(RunPoint::Kind::Instructions);
  return rule == nullptr ? std::nullopt : std::optional(rule->when.value);
}

bool RunControl::came(RunPoint::Kind kind, u64 value) {
  bool any = false;
  for (Rule& rule : rules_) {
    if (rule.when.kind != kind || rule.when.value != value) continue;
    ++rule.times;
    if (rule.when.nth != 0 && rule.when.nth != rule.times) continue;
    due_.push_back(rule.action);
    any = true;
  }
  return any;
}

bool RunControl::reached(u64 linear) { return came(RunPoint::Kind::Address, linear); }

std::string RunControl::region_of_mark(u16 number) const {
  for (const auto& [known, name] : names_) {
    if (known == number) return name;
  }
  return number == 0 ? "roi" : std::to_string(number);
}

bool RunControl::marked(u16 raw) {
  using Operation = mark::Operation;
  const mark::Code code{raw};
  switch (static_cast<Operation>(code.operation())) {
    case Operation::Begin:
      came(RunPoint::Kind::Begin, code.number());
      due_.push_back({Action::Kind::Begin, {}, region_of_mark(code.number())});
      return true;
    case Operation::End:
      due_.push_back({Action::Kind::End, {}, region_of_mark(code.number())});
      came(RunPoint::Kind::End, code.number());
      return true;
    case Operation::Request:
      if (!obey_requests_ || code.number() >= timing_mode_names.size()) return false;
      due_.push_back({Action::Kind::Switch, static_cast<TimingMode>(code.number()), {}});
      return true;
    case Operation::Point: return came(RunPoint::Kind::Mark, code.number());
  }
  return false;
}

void RunControl::settle(u64 cycle, u64 instructions) {
  for (Rule& rule : rules_) {
    const bool counted = rule.when.kind == RunPoint::Kind::Cycle || rule.when.kind == RunPoint::Kind::Instructions;
    const u64 now = rule.when.kind == RunPoint::Kind::Cycle ? cycle : instructions;
    if (!counted || rule.done || now < rule.when.value) continue;
    rule.done = true;
    act(rule.action, cycle);
  }
  for (const Action& action : due_) act(action, cycle);
  due_.clear();
}

void RunControl::act(const Action& action, u64 cycle) {
  switch (action.kind) {
    case Action::Kind::Switch: switch_timing_(action.mode); break;
    case Action::Kind::Begin: regions_.begin(action.region, cycle); break;
    case Action::Kind::End: regions_.end(action.region, cycle); break;
  }
}

}  // namespace bunshin
