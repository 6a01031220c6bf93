// Latency and throughput of instructions: chains and independent streams, the table of which is in kernels.S.

#include "guests/micro/micro.h"

namespace micro {

namespace {

/// A line of the table. The two loops differ by `copies` instructions.
struct Kernel {
  const char* name;
  const char* parameter;
  void (*shorter)(u64 rounds, void* scratch);
  void (*longer)(u64 rounds, void* scratch);
  u64 copies;
  u64 features;
};

enum Feature : u64 { Fma = 1, Aes = 2, Pclmul = 4, Popcnt = 8, Sse42 = 16 };

alignas(4096) u8 scratch[4096];

u64 features() {
  const CpuId leaf = cpuid(1);
  const auto has = [&leaf](unsigned bit, u64 feature) { return (leaf.ecx >> bit & 1) != 0 ? feature : 0; };
  constexpr unsigned osxsave = 27;
  return (has(osxsave, 1) != 0 ? has(12, Fma) : 0) | has(25, Aes) | has(1, Pclmul) | has(23, Popcnt) | has(20, Sse42);
}

u64 least_time(void (*run)(u64, void*), u64 rounds) {
  u64 best = ~u64{0};
  run(rounds, scratch);
  for (u64 i = repeats(); i != 0; --i) best = least(best, time_of([run](u64 n) { run(n, scratch); }, rounds));
  return best;
}

/// How much longer one more round of the longer loop takes than one of the shorter. The loops' own cost is the same.
u64 measure(const Kernel& kernel, u64 rounds) {
  const u64 longer = least_time(kernel.longer, 2 * rounds) - least_time(kernel.longer, rounds);
  const u64 shorter = least_time(kernel.shorter, 2 * rounds) - least_time(kernel.shorter, rounds);
  return longer > shorter ? longer - shorter : 0;
}

extern "C" {
extern const Kernel micro_kernels[], micro_kernels_end[];
}

}  // namespace

void instructions() {
  const u64 have = features();
  for (const Kernel* kernel = micro_kernels; kernel != micro_kernels_end; ++kernel) {
    if ((kernel->features & ~have) != 0 || !wanted(kernel->name, kernel->parameter)) continue;
    constexpr u64 rounds = 128;
    report(kernel->name, kernel->parameter, measure(*kernel, rounds), rounds * kernel->copies);
  }
}

}  // namespace micro
