// Memory-level parallelism: so many independent chases through more memory than the caches hold. Cycles for a step of all of
// them: as many as a step of one takes while there are registers for the misses.

#include "guests/micro/code.h"
#include "guests/micro/micro.h"

namespace micro {

namespace {

constexpr u64 most_chases = 64, steps = 512;
alignas(64) u64 positions[most_chases];

void measure(const char* name, u64 chases, u64 bytes) {
  const Number parameter(chases);
  if (!wanted(name, parameter.text())) return;
  u8* const begin = memory(2 * bytes, giant_page);
  u8* const code_begin = code_pages(1, small_page);
  if (begin == nullptr || code_begin == nullptr) return;
  const u64 lines = bytes / line_bytes;
  link_randomly(lines, [begin](u64 i) { return begin + i * line_bytes; });
  // From places that lie equally far from each other along the way.
  u64 at = reinterpret_cast<u64>(begin);
  for (u64 i = 0; i < chases; ++i) {
    positions[i] = at;
    at = micro_chase(reinterpret_cast<const void*>(at), lines / chases);
  }
  // What this has left in the caches goes.
  micro_read_lines(begin + bytes, lines);
  CodeWriter code(code_begin);
  for (u32 i = 0; i < chases; ++i) code.chase_in_memory(i);
  code.loop_rdi(code_begin);
  const auto run = reinterpret_cast<void (*)(u64, u64*)>(code_begin);
  report(name, parameter.text(), ticks_of([run](u64 n) { run(n, positions); }, steps), steps);
}

}  // namespace

void memory_parallelism() {
  if (!wanted("parallel_chases")) return;
  for (u64 chases = 1; chases <= most_chases; chases += chases < 24 ? 1 : 8) {
    measure("parallel_chases", chases, far_bytes());
  }
}

}  // namespace micro
