#pragma once

// Statistics: plain counters owned by whoever counts, registered once under a dotted name, printed elsewhere.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "base/types.h"

namespace bunshin {

struct StatValue {
  std::variant<u64, double, std::string> value;
  std::string unit;
  std::string description;
};

/// Registers where to read a statistic, not the value: counting costs an increment, registering nothing at run time.
class StatRegistry {
 public:
  /// `counter` must outlive the registry's last snapshot(). Throws SimulatorBug if the name is taken.
  void add(std::string_view name, const u64& counter, std::string_view unit, std::string_view description);
  /// For values that are derived when asked for.
  void add(std::string_view name, std::function<std::variant<u64, double, std::string>()> read, std::string_view unit,
           std::string_view description);

  /// All statistics now, by name.
  std::map<std::string, StatValue> snapshot() const;

 private:
  struct Entry {
    std::function<std::variant<u64, double, std::string>()> read;
    std::string unit;
    std::string description;
  };
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace bunshin
