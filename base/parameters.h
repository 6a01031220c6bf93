#pragma once

// Parameters are declared where they are used: a component's parameter struct has one `describe` function that names
// every field to a visitor. The same declaration reads YAML, writes run.yaml, and is the configuration reference.
//
//   struct UartParameters {
//     u64 input_rate = 11520;
//     void describe(ParameterVisitor& v) { v.integer("input_rate", input_rate, {1, 1'000'000}, "bytes/s", "…"); }
//   };

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace bunshin {

/// Inclusive bounds of an integer parameter.
struct Range {
  u64 min = 0;
  u64 max = ~u64{0};
};

class ParameterVisitor {
 public:
  virtual ~ParameterVisitor() = default;

  virtual void boolean(std::string_view name, bool& value, std::string_view description) = 0;
  /// `unit` is "" for a plain count. "bytes" accepts KiB/MiB/GiB suffixes, "Hz" accepts kHz/MHz/GHz, "us" accepts ms and s.
  virtual void integer(std::string_view name, u64& value, Range range, std::string_view unit,
                       std::string_view description) = 0;
  virtual void text(std::string_view name, std::string& value, std::string_view description) = 0;
  /// A file name: relative names in a configuration file are relative to that file.
  virtual void path(std::string_view name, std::string& value, std::string_view description) = 0;
  virtual void choice(std::string_view name, std::string& value, std::span<const std::string_view> allowed,
                      std::string_view description) = 0;
  virtual void list(std::string_view name, std::vector<std::string>& value, std::string_view description) = 0;
  /// A list of file names, each resolved as `path` resolves one.
  virtual void paths(std::string_view name, std::vector<std::string>& value, std::string_view description) {
    list(name, value, description);
  }

  /// Everything visited until the matching end_group() lies under `name`.
  virtual void begin_group(std::string_view name, std::string_view description) = 0;
  virtual void end_group() = 0;

  /// A list of groups, `count` of them so far; returns how many there are to be. Each is visited between begin_item() and
  /// end_item().
  virtual std::size_t begin_list(std::string_view /*name*/, std::size_t count, std::string_view /*description*/) {
    return count;
  }
  virtual void begin_item(std::string_view /*name*/, std::size_t /*index*/) {}
  virtual void end_item() {}
  virtual void end_list() {}

  template <class Parameters>
  void group(std::string_view name, Parameters& parameters, std::string_view description) {
    begin_group(name, description);
    parameters.describe(*this);
    end_group();
  }

  template <class Parameters>
  void groups(std::string_view name, std::vector<Parameters>& items, std::string_view description) {
    items.resize(begin_list(name, items.size(), description));
    for (std::size_t i = 0; i < items.size(); ++i) {
      begin_item(name, i);
      items[i].describe(*this);
      end_item();
    }
    end_list();
  }
};

}  // namespace bunshin
