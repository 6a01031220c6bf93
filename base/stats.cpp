#include "base/stats.h"

#include "base/check.h"

namespace bunshin {

void StatRegistry::add(std::string_view name, const u64& counter, std::string_view unit, std::string_view description) {
  add(
      name, [&counter]() -> std::variant<u64, double, std::string> { return counter; }, unit, description);
}

void StatRegistry::add(std::string_view name, std::function<std::variant<u64, double, std::string>()> read,
                       std::string_view unit, std::string_view description) {
  const bool inserted =
      entries_.try_emplace(std::string(name), std::move(read), std::string(unit), std::string(description)).second;
  SIM_CHECK(inserted);
}

std::map<std::string, StatValue> StatRegistry::snapshot() const {
  std::map<std::string, StatValue> values;
  for (const auto& [name, entry] : entries_) values[name] = {entry.read(), entry.unit, entry.description};
  return values;
}

}  // namespace bunshin
