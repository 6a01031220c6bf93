// Branches: what directions, targets and returns cost, by how well they can be foreseen.

#include "guests/micro/code.h"
#include "guests/micro/micro.h"

namespace micro {

namespace {

constexpr u64 longest = 1 << 16;
alignas(64) u8 pattern[longest];

void measure_conditional(const char* parameter, u64 period) {
  const u64 branches = 4 * longest / period * period;
  const auto run = [period](u64 n) { micro_conditional(n, pattern, period); };
  report("branch", parameter, ticks_of(run, branches), branches);
}

void conditional() {
  if (wanted("branch", "always")) {
    pattern[0] = 0;
    measure_conditional("always", 1);
  }
  if (wanted("branch", "never")) {
    pattern[0] = 1;
    measure_conditional("never", 1);
  }
  for (u64 period = 2; period <= 1024; period *= 2) {
    const Number parameter(period);
    if (!wanted("branch", parameter.text())) continue;
    for (u64 i = 0; i < period; ++i) pattern[i] = i == 0 ? 0 : 1;
    measure_conditional(parameter.text(), period);
  }
  if (wanted("branch", "random")) {
    Random random;
    for (u8& direction : pattern) direction = static_cast<u8>(random.below(2));
    measure_conditional("random", longest);
  }
}

/// Indirect jumps to N targets: in turn, and at random.
void indirect() {
  for (u64 targets = 1; targets <= 64; targets *= 2) {
    const Number parameter(targets);
    if (wanted("indirect", parameter.text())) {
      for (u64 i = 0; i < targets; ++i) pattern[i] = static_cast<u8>(i);
      const u64 jumps = longest;
      report("indirect", parameter.text(), ticks_of([=](u64 n) { micro_indirect(n, pattern, targets); }, jumps), jumps);
    }
    if (wanted("indirect_random", parameter.text())) {
      Random random;
      for (u8& target : pattern) target = static_cast<u8>(random.below(targets));
      const u64 jumps = longest;
      report("indirect_random", parameter.text(), ticks_of([](u64 n) { micro_indirect(n, pattern, longest); }, jumps),
             jumps);
    }
  }
}

void returns() {
  for (u64 depth = 1; depth <= 64; ++depth) {
    const Number parameter(depth);
    if (!wanted("call_depth", parameter.text())) continue;
    const u64 rounds = 1024;
    report("call_depth", parameter.text(), ticks_of([=](u64 n) { micro_call_depth(n, depth); }, rounds),
           rounds * depth);
  }
  if (wanted("mispredicted", "return")) {
    const u64 calls = 4096;
    report("mispredicted", "return", ticks_of(micro_mispredicted_return, calls), calls);
  }
}

/// Taken jumps, 16 bytes apart: more than the branch target buffer has entries.
void targets() {
  if (!wanted("jumps")) return;
  constexpr u64 apart = 16;
  for (u64 count = 64; count <= 16384; count *= 2) {
    const Number parameter(count);
    if (!wanted("jumps", parameter.text())) continue;
    u8* const begin = code_pages(count * apart / small_page + 1, small_page);
    if (begin == nullptr) return;
    CodeWriter code;
    for (u64 i = 0; i + 1 < count; ++i) {
      code.move_to(begin + i * apart);
      code.jump(begin + (i + 1) * apart);
    }
    code.move_to(begin + (count - 1) * apart);
    code.loop_rdi(begin);
    const u64 rounds = most(1, 16384 / count);
    report("jumps", parameter.text(), ticks_of(reinterpret_cast<void (*)(u64)>(begin), rounds), rounds * count);
  }
}

}  // namespace

void branches() {
  conditional();
  indirect();
  returns();
  targets();
}

}  // namespace micro
