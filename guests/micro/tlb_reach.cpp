// TLB reach: one load (one jump) in each of so many pages. Beside it the same number of lines packed together, so that what
// the data cache adds can be taken off.

#include "guests/micro/code.h"
#include "guests/micro/micro.h"

namespace micro {

namespace {

constexpr u64 most_pages = 16384, fewest_steps = 4096;

/// In which line of page i the load is: all sets of every cache get as many.
u64 offset_in_page(u64 i, u64 page) { return (page == small_page ? (i + i / 64) % 64 : i) * line_bytes; }

void measure_data(const char* name, u64 count, u64 page) {
  const Number parameter(count);
  if (!wanted(name, parameter.text())) return;
  u8* const begin = page == 0 ? memory(count * line_bytes, giant_page) : pages(count, page, page);
  if (begin == nullptr) return;
  const auto place = [=](u64 i) {
    return page == 0 ? begin + i * line_bytes : begin + i * page + offset_in_page(i, page);
  };
  link_randomly(count, place);
  report_chase(name, parameter.text(), place(0), count);
}

void measure_code(const char* name, u64 count, u64 page) {
  const Number parameter(count);
  if (!wanted(name, parameter.text())) return;
  const bool packed = page == 0;
  u8* const begin = packed ? code_pages(count / 64 + 1, small_page) : code_pages(count, page);
  if (begin == nullptr) return;
  const auto place = [=](u64 i) {
    return packed ? begin + i * line_bytes : begin + i * page + offset_in_page(i, page);
  };
  CodeWriter code;
  for (u64 i = 0; i + 1 < count; ++i) {
    code.move_to(place(i));
    code.jump(place(i + 1));
  }
  code.move_to(place(count - 1));
  code.loop_rdi(place(0));
  const auto run = reinterpret_cast<void (*)(u64)>(place(0));
  const u64 rounds = (fewest_steps + count - 1) / count;
  report(name, parameter.text(), ticks_of(run, rounds), rounds * count);
}

void measure_all(void (*measure)(const char*, u64, u64), const char* name, u64 page, u64 most) {
  if (!wanted(name)) return;
  for (u64 count = 1; count <= most; count *= 2) {
    measure(name, count, page);
    if (count >= 2) measure(name, count + 1, page);
    if (count >= 4) measure(name, count / 2 * 3, page);
  }
}

}  // namespace

void tlb_reach() {
  measure_all(measure_data, "lines", 0, most_pages);
  measure_all(measure_data, "tlb_reach_4k", small_page, most_pages);
  measure_all(measure_data, "tlb_reach_2m", large_page, 4096);
  measure_all(measure_data, "tlb_reach_1g", giant_page, 256);
  measure_all(measure_code, "code_lines", 0, 4096);
  measure_all(measure_code, "itlb_reach_4k", small_page, 4096);
  measure_all(measure_code, "itlb_reach_2m", large_page, 256);
}

}  // namespace micro
