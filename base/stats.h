#pragma once

// Statistics: plain counters owned by whoever counts, registered once under a dotted name, printed elsewhere.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

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

  /// The same for a count: it begins at 0 and never falls, so that a region of interest can take differences of it. What is
  /// added with a counter is one too.
  void add_count(std::string_view name, std::function<u64()> read, std::string_view unit, std::string_view description);

  /// All statistics now, by name.
  std::map<std::string, StatValue> snapshot() const;

  struct Count {
    std::string name, unit, description;
  };
  /// The counts, by name.
  std::vector<Count> count_list() const;
  /// Their values now, in the order of count_list().
  void read_counts(std::vector<u64>& values) const;

 private:
  struct Entry {
    std::function<std::variant<u64, double, std::string>()> read;
    std::string unit;
    std::string description;
    const u64* counter = nullptr;     ///< what read() reads, if it is one
    std::function<u64()> read_count;  ///< of a count without a counter
  };
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace bunshin
