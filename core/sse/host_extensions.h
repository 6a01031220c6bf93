#pragma once

// What the host has beyond the x86-64 baseline that the simulator is built for. VEX-encoded host instructions are used on
// XMM registers only: those leave no upper halves behind that would slow down the simulator's own SSE code.

namespace bunshin::sse {

/// With the operating system's consent (XCR0), which the compiler's run-time library checks.
inline const bool host_has_sse41 = __builtin_cpu_supports("sse4.1") != 0;
inline const bool host_has_fma = __builtin_cpu_supports("fma") != 0;
inline const bool host_has_f16c = __builtin_cpu_supports("avx") != 0 && __builtin_cpu_supports("f16c") != 0;

}  // namespace bunshin::sse
