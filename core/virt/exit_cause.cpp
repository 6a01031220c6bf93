#include "core/virt/exit_cause.h"

#include <algorithm>

namespace bunshin {

std::size_t exit_row(ExitTable table, u32 code) {
  const auto last = table.end() - 1;
  const auto row = std::lower_bound(table.begin(), last, code, [](const ExitCause& c, u32 v) { return c.code < v; });
  return static_cast<std::size_t>((row != last && row->code == code ? row : last) - table.begin());
}

}  // namespace bunshin
