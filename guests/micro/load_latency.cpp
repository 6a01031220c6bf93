// Load latency against working-set size: a chase through every line of so much memory, in random order. Pages of the largest
// size keep TLBs out of it; the variant with 4 KiB pages has them in.

#include "guests/micro/micro.h"

namespace micro {

namespace {

constexpr u64 from = 4096, to = 256 << 20;

void measure(const char* name, u64 bytes, u64 page) {
  const Number parameter(bytes);
  if (!wanted(name, parameter.text())) return;
  u8* const begin = memory(bytes, page);
  if (begin == nullptr) return;
  const u64 lines = bytes / line_bytes;
  link_randomly(lines, [begin](u64 i) { return begin + i * line_bytes; });
  report_chase(name, parameter.text(), begin, lines);
}

void measure_all(const char* name, u64 page) {
  if (!wanted(name)) return;
  for (u64 bytes = from; bytes <= to; bytes *= 2) {
    measure(name, bytes, page);
    // For knees: a line beyond, and half-way to the next.
    measure(name, bytes + line_bytes, page);
    measure(name, bytes / 2 * 3, page);
  }
}

}  // namespace

void load_latency() {
  measure_all("load_latency", giant_page);
  measure_all("load_latency_4k", small_page);
}

}  // namespace micro
