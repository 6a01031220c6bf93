#pragma once

// The sixteen conditions of Jcc, SETcc and CMOVcc (SDM vol. 1, appendix B).

#include "core/lazy_flags.h"

namespace bunshin {

template <unsigned code>
inline bool condition(const LazyFlags& f) {
  constexpr bool negated = (code & 1) != 0;
  bool holds = false;
  if constexpr (code / 2 == 0)
    holds = f.of();
  else if constexpr (code / 2 == 1)
    holds = f.cf();
  else if constexpr (code / 2 == 2)
    holds = f.zf();
  else if constexpr (code / 2 == 3)
    holds = f.cf() || f.zf();
  else if constexpr (code / 2 == 4)
    holds = f.sf();
  else if constexpr (code / 2 == 5)
    holds = f.pf();
  else if constexpr (code / 2 == 6)
    holds = f.sf() != f.of();
  else
    holds = f.zf() || f.sf() != f.of();
  return holds != negated;
}

}  // namespace bunshin
