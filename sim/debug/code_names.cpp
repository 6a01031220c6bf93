#include "sim/debug/code_names.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include <cxxabi.h>

namespace bunshin {

namespace {

/// "handle_port" of _ZN7bunshin3vmm11handle_portERNS0_5GuestERKNS0_4ExitE.
std::string readable(const std::string& symbol) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status),
                                                    std::free);
  if (status != 0) return symbol;
  std::string name(text.get());
  constexpr std::string_view thunk = "non-virtual thunk to ";
  if (name.starts_with(thunk)) name.erase(0, thunk.size());
  for (const std::string_view part : {"bunshin::vmm::", "bunshin::", "(anonymous namespace)::"}) {
    for (std::size_t at = name.find(part); at != std::string::npos; at = name.find(part)) name.erase(at, part.size());
  }
  return name.substr(0, name.find('('));
}

}  // namespace

CodeNames::CodeNames(const Symbols& guest, std::vector<LinuxKernel> kernels) : guest_(guest) {
  constexpr const char* entry = "entry_SYSCALL_64";
  const std::optional<u64> linked = guest.address(entry);
  for (LinuxKernel& kernel : kernels) {
    Kernel k{kernel.table, Symbols(std::move(kernel.symbols))};
    const std::optional<u64> loaded = k.symbols.address(entry);
    if (linked && loaded) k.slide = *loaded - *linked;
    kernels_.push_back(std::move(k));
  }
}

void CodeNames::set_hypervisor(const Symbols& symbols) {
  constexpr u64 one_page = 4096;
  if (symbols.empty()) return;
  std::map<u64, std::string> names;
  for (const auto& [address, name] : symbols.all()) names.emplace(address, readable(name));
  first_ = names.begin()->first;
  end_ = symbols.address("image_end").value_or(names.rbegin()->first + one_page);
  hypervisor_ = Symbols(std::move(names));
}

std::string CodeNames::describe(u64 rip, u64 physical) const {
  if (is_hypervisor(rip, physical)) return hypervisor_.describe(rip);
  return describe_guest(rip, physical);
}

// Guests' kernels may have the same linear addresses. Whose code it is, its place in memory tells: near the table of its kernel.
std::string CodeNames::describe_guest(u64 rip, u64 physical) const {
  const auto distance = [physical](const Kernel& k) {
    return std::max(physical, k.table.value) - std::min(physical, k.table.value);
  };
  const auto nearest = std::ranges::min_element(kernels_, {}, distance);
  if (nearest == kernels_.end()) return guest_.describe(rip);
  if (guest_.empty()) return nearest->symbols.describe(rip);
  return guest_.describe(rip >> 63 != 0 ? rip - nearest->slide : rip);
}

std::string CodeNames::function(u64 rip, u64 physical) const {
  const std::string described = describe(rip, physical);
  return described.substr(0, described.find("+0x"));
}

}  // namespace bunshin
