#include "sim/debug/code_names.h"

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

CodeNames::CodeNames(const Symbols& guest, u64 system_call_entry) : guest_(guest) {
  const std::optional<u64> entry = guest.address("entry_SYSCALL_64");
  if (entry && system_call_entry >> 63 != 0) slide_ = system_call_entry - *entry;
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
  return guest_.describe(rip >> 63 != 0 ? rip - slide_ : rip);
}

std::string CodeNames::function(u64 rip, u64 physical) const {
  const std::string described = describe(rip, physical);
  return described.substr(0, described.find("+0x"));
}

}  // namespace bunshin
