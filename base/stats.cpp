#include "base/stats.h"

#include "base/check.h"

namespace bunshin {

void StatRegistry::add(std::string_view name, const u64& counter, std::string_view unit, std::string_view description) {
  add(
      name, [&counter]() -> std::variant<u64, double, std::string> { return counter; }, unit, description);
  entries_.find(name)->second.counter = &counter;
}

void StatRegistry::add_count(std::string_view name, std::function<u64()> read, std::string_view unit,
                             std::string_view description) {
  add(
      name, [read]() -> std::variant<u64, double, std::string> { return read(); }, unit, description);
  entries_.find(name)->second.read_count = std::move(read);
}

void StatRegistry::add(std::string_view name, std::function<std::variant<u64, double, std::string>()> read,
                       std::string_view unit, std::string_view description) {
  const bool inserted =
      entries_.emplace(name, Entry{std::move(read), std::string(unit), std::string(description), nullptr, {}}).second;
  SIM_CHECK(inserted);
}

std::map<std::string, StatValue> StatRegistry::snapshot() const {
  std::map<std::string, StatValue> values;
  for (const auto& [name, entry] : entries_) values[name] = {entry.read(), entry.unit, entry.description};
  return values;
}

std::vector<StatRegistry::Count> StatRegistry::count_list() const {
  std::vector<Count> list;
  for (const auto& [name, entry] : entries_) {
    if (entry.counter != nullptr || entry.read_count) list.push_back({name, entry.unit, entry.description});
  }
  return list;
}

void StatRegistry::read_counts(std::vector<u64>& values) const {
  values.clear();
  for (const auto& [name, entry] : entries_) {
    if (entry.counter != nullptr) {
      values.push_back(*entry.counter);
    } else if (entry.read_count) {
      values.push_back(entry.read_count());
    }
  }
}

}  // namespace bunshin
