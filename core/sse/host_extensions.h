#pragma once

// What the host has beyond the x86-64 baseline that the simulator is built for. VEX-encoded host instructions are used on
// XMM registers only: those leave no upper halves behind that would slow down the simulator's own SSE code.

#include <cpuid.h>

namespace bunshin::sse {

/// With the operating system's consent (XCR0), which the compiler's run-time library checks.
inline const bool host_has_sse41 = __builtin_cpu_supports("sse4.1") != 0;
inline const bool host_has_fma = __builtin_cpu_supports("fma") != 0;
/// Clang 16 does not know the name of F16C: CPUID.1:ECX bit 29.
inline const bool host_has_f16c = [] {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __builtin_cpu_supports("avx") != 0 && __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 29 & 1) != 0;
}();

}  // namespace bunshin::sse
