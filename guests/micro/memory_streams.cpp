// Reading and writing memory in order, and the latency of a chase with a constant stride: bandwidth, open rows, prefetchers.

#include "guests/micro/micro.h"

namespace micro {

namespace {

constexpr u64 from = 16 << 10, to = 64 << 20, fewest_lines = 4096;

void bandwidth(const char* name, u64 (*pass)(u8* begin, u64 lines)) {
  if (!wanted(name)) return;
  for (u64 bytes = from; bytes <= to; bytes *= 4) {
    const Number parameter(bytes);
    if (!wanted(name, parameter.text())) continue;
    u8* const begin = memory(bytes, giant_page);
    if (begin == nullptr) return;
    const u64 lines = bytes / line_bytes, passes = (fewest_lines + lines - 1) / lines;
    const auto run = [=](u64 n) {
      for (; n != 0; --n) pass(begin, lines);
    };
    report(name, parameter.text(), ticks_of(run, passes), passes * lines);
  }
}

void stride_latency(u64 stride, u64 bytes) {
  const Number parameter(stride);
  if (!wanted("stride_latency", parameter.text())) return;
  u8* const begin = memory(bytes, giant_page);
  if (begin == nullptr) return;
  // Once through for each line of a stride: every line is visited.
  const u64 lines = bytes / line_bytes, in_a_pass = bytes / stride;
  link_in_order(lines, [=](u64 i) { return begin + i % in_a_pass * stride + i / in_a_pass * line_bytes; });
  report_chase("stride_latency", parameter.text(), begin, lines);
}

}  // namespace

void memory_streams() {
  bandwidth("read_line", [](u8* begin, u64 lines) { return micro_read_lines(begin, lines); });
  bandwidth("write_line", [](u8* begin, u64 lines) { return micro_write_lines(begin, lines); });
  if (!wanted("stride_latency")) return;
  for (u64 stride = line_bytes; stride <= 1 << 20; stride *= 2) stride_latency(stride, far_bytes());
}

}  // namespace micro
