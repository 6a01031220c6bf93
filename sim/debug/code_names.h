#pragma once

// Whose code an instruction is, and what it is called. Under a hypervisor the same linear address means different things in
// its own world and in a guest's, so it is the physical address that tells them apart.

#include <string>

#include "base/types.h"
#include "sim/debug/symbols.h"

namespace bunshin {

class CodeNames {
 public:
  /// `system_call_entry` is LSTAR at the end of the run: where Linux has entry_SYSCALL_64, wherever it moved to (KASLR).
  CodeNames(const Symbols& guest, u64 system_call_entry);
  /// The hypervisor's image, which runs where it lies, as C++ names it. Empty symbols: there is no hypervisor.
  void set_hypervisor(const Symbols& symbols);

  /// "name+0x12", or "".
  std::string describe(u64 rip, u64 physical) const;
  /// "name", or "".
  std::string function(u64 rip, u64 physical) const;
  bool is_hypervisor(u64 rip, u64 physical) const { return rip == physical && rip >= first_ && rip < end_; }

 private:
  const Symbols& guest_;
  u64 slide_ = 0;
  Symbols hypervisor_;
  u64 first_ = 0, end_ = 0;
};

}  // namespace bunshin
