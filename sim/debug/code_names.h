#pragma once

// Whose code an instruction is, and what it is called. Under a hypervisor the same linear address means different things in
// its own world and in a guest's, so it is the physical address that tells them apart.

#include <string>

#include "base/types.h"
#include "sim/debug/linux_symbols.h"
#include "sim/debug/symbols.h"

namespace bunshin {

class CodeNames {
 public:
  /// `guest`: of a file that was named, or of the kernel's own. `kernels`: found in memory; they say what a kernel's functions are
  /// called if no file does, and else where it has moved to (KASLR).
  CodeNames(const Symbols& guest, std::vector<LinuxKernel> kernels);
  /// The hypervisor's image, which runs where it lies, as C++ names it. Empty symbols: there is no hypervisor.
  void set_hypervisor(const Symbols& symbols);

  /// "name+0x12", or "".
  std::string describe(u64 rip, u64 physical) const;
  /// "name", or "".
  std::string function(u64 rip, u64 physical) const;
  bool is_hypervisor(u64 rip, u64 physical) const { return rip == physical && rip >= first_ && rip < end_; }

 private:
  struct Kernel {
    HostPhysical table;
    Symbols symbols;
    u64 slide = 0;  ///< how far it has moved from where `guest_` has it
  };
  std::string describe_guest(u64 rip, u64 physical) const;

  const Symbols& guest_;
  std::vector<Kernel> kernels_;
  Symbols hypervisor_;
  u64 first_ = 0, end_ = 0;
};

}  // namespace bunshin
