// What a page walk costs, level by level: after all translations have been forgotten, loads from pages so far apart that a
// known number of tables differs between two of them. 4 KiB apart only the last level's entry is new; 512 GiB apart all four
// are. Warm: the tables are in the first-level cache. Cold: in memory.

#include "guests/micro/micro.h"

namespace micro {

namespace {

constexpr u64 rounds = 8, loads = 8;

/// Entries of the lower levels lie a line further in each table, so that they do not compete for one set of the cache.
constexpr u64 lines_apart(u64 bytes) { return line_bytes / sizeof(u64) * bytes; }

void measure(const char* name, const char* parameter, u64 stride, bool cold) {
  if (!wanted(name, parameter)) return;
  u8* const begin = pages(2 * loads, small_page, stride);
  if (begin == nullptr) return;
  const auto place = [=](u64 i) { return begin + i * stride + i * line_bytes; };
  // Ends in a circle of one, so that a chase may stop anywhere.
  link_in_order(2 * loads, place);
  const auto round = [&](u64 n) {
    for (u64 i = 0; i < rounds; ++i) {
      if (cold) evict_tables();
      // The data is in the cache, and so, unless cold, are the tables.
      if (!forget_translations()) return;
      micro_chase(place(0), n);
    }
  };
  report(name, parameter, ticks_of(round, loads), rounds * loads);
}

}  // namespace

void walk_cost() {
  if (!wanted("walk_warm") && !wanted("walk_cold")) return;
  if (!forget_translations()) return;
  const struct {
    const char* text;
    u64 bytes;
  } strides[] = {{"4K", small_page},
                 {"2M", large_page + lines_apart(small_page)},
                 {"1G", giant_page + lines_apart(large_page + small_page)},
                 {"512G", giant_page * 512 + lines_apart(giant_page + large_page + small_page)}};
  for (const auto& stride : strides) {
    measure("walk_warm", stride.text, stride.bytes, false);
    measure("walk_cold", stride.text, stride.bytes, true);
  }
}

}  // namespace micro
