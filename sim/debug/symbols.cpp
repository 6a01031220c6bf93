#include "sim/debug/symbols.h"

#include <charconv>
#include <sstream>

#include <fmt/format.h>

#include "sim/loader/elf_file.h"

namespace bunshin {

Symbols Symbols::from_file(const std::string& path) {
  const ImageFile image = ImageFile::open(path);
  Symbols symbols;
  if (ElfFile::is_elf(image)) {
    symbols.by_address_ = ElfFile(image).symbols();
    return symbols;
  }
  std::istringstream lines(std::string(image.bytes().begin(), image.bytes().end()));
  for (std::string line; std::getline(lines, line);) {
    u64 address = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), address, 16);
    // Addresses have all their digits: lines of a file that is something else are not taken for symbols.
    if (error != std::errc() || end - line.data() < 8) continue;
    std::istringstream words(line.substr(static_cast<std::size_t>(end - line.data())));
    std::string type, name;
    if (words >> type >> name && type.size() == 1) symbols.by_address_.emplace(address, name);
  }
  return symbols;
}

std::optional<u64> Symbols::address(const std::string& name) const {
  for (const auto& [address, symbol] : by_address_) {
    if (symbol == name) return address;
  }
  return std::nullopt;
}

std::string Symbols::describe(u64 address) const {
  constexpr u64 farthest = u64{1} << 20;
  auto above = by_address_.upper_bound(address);
  if (above == by_address_.begin()) return "";
  const auto& [base, name] = *--above;
  const u64 offset = address - base;
  if (offset >= farthest) return "";
  return offset == 0 ? name : fmt::format("{}+{:#x}", name, offset);
}

}  // namespace bunshin
