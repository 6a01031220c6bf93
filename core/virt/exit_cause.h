#pragma once

// Why guests are left, by kinds that cost alike (core/timing/transition_parameters.h) and by names for people. Each vendor
// has a table of its exits: core/virt/vmx/exit_reasons.h, core/virt/svm/exit_codes.h.

#include <array>
#include <span>
#include <string_view>

#include "base/types.h"

namespace bunshin {

enum class ExitKind : u8 {
  Exception,  ///< page faults and the others, NMI
  Interrupt,  ///< external ones, and windows in which one may be delivered
  CrAccess,
  Msr,
  Io,
  Hlt,
  Hypercall,
  Cpuid,
  SecondStage,  ///< EPT violation and misconfiguration, nested page fault
  Other,
  Count
};
inline constexpr unsigned exit_kinds = static_cast<unsigned>(ExitKind::Count);

/// A row of a vendor's table.
struct ExitCause {
  u32 code = 0;           ///< VmExit::cause
  std::string_view name;  ///< part of a statistic's name: lower case, digits and underscores
  ExitKind kind = ExitKind::Other;
};

/// A vendor's exits, ordered by code; the last row stands for every code that has none.
using ExitTable = std::span<const ExitCause>;

/// Index of the row that `code` belongs to.
std::size_t exit_row(ExitTable table, u32 code);

}  // namespace bunshin
