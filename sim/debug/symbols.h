#pragma once

// Names of addresses, from an ELF file or a System.map.

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/types.h"

namespace bunshin {

class Symbols {
 public:
  Symbols() = default;
  explicit Symbols(std::map<u64, std::string> by_address) : by_address_(std::move(by_address)) {}
  /// Reads the symbols of an ELF file or the lines "address type name" of a System.map. A file without any gives none.
  /// Throws std::runtime_error if the file cannot be read.
  static Symbols from_file(const std::string& path);

  bool empty() const { return by_address_.empty(); }
  std::optional<u64> address(const std::string& name) const;
  /// "name+0x12", or "" if nothing lies at or within 1 MiB below the address.
  std::string describe(u64 address) const;
  const std::map<u64, std::string>& all() const { return by_address_; }

 private:
  std::map<u64, std::string> by_address_;
};

}  // namespace bunshin
