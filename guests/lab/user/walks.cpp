// A chase of pointers, one in each 4 KiB of the footprint, in random order: in 4 KiB pages a step misses TLBs that do not hold
// the footprint, in large pages (2 MiB; 4 MiB in 32-bit mode) the same steps need few translations.

#include "guests/lab/user/bench.h"
#include "guests/runtime/bunshin_mark.h"

namespace user {

namespace {

constexpr word default_footprint = word{16} << 20, default_count = 20000, line_bytes = 64;

/// A linear congruential generator, Knuth's MMIX constants: the same numbers everywhere.
class Random {
 public:
  word below(word limit) {
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    return static_cast<word>(static_cast<u32>(state_ >> 33) % limit);
  }

 private:
  u64 state_ = 1;
};

/// The pointer in page `i`. Its line is one that the page's number does not tell, so that contiguous pages' spread over all
/// sets of the caches.
word* node(word begin, word i) {
  constexpr word lines = lab::page_bytes / line_bytes;
  return reinterpret_cast<word*>(begin + i * lab::page_bytes + (i + i / lines) % lines * line_bytes);
}

/// One cycle through all nodes (Sattolo).
void link(word begin, word pages) {
  for (word i = 0; i < pages; ++i) *node(begin, i) = address(node(begin, i));
  Random random;
  for (word i = pages - 1; i > 0; --i) {
    word* const other = node(begin, random.below(i));
    const word next = *node(begin, i);
    *node(begin, i) = *other;
    *other = next;
  }
}

u64 chase(word begin, word steps) {
  const u64 start = guest::read_tsc();
  word at = address(node(begin, 0));
  for (word i = 0; i < steps; ++i) at = *reinterpret_cast<volatile word*>(at);
  const u64 end = guest::read_tsc();
  asm volatile("" : : "r"(at));
  return end - start;
}

}  // namespace

void run_walk(const Walk& walk, const char* arguments) {
  const word footprint = option(arguments, "footprint", default_footprint);
  const word count = option(arguments, "count", default_count), pages = footprint / lab::page_bytes;
  const word free_pages = call(Call::FreePages);
  const bool fits = pages >= 2 && footprint <= lab::heap_end - lab::heap_begin && pages + pages / 8 <= free_pages;
  const word begin = walk.large && fits ? call(Call::MapLarge, footprint) : word{lab::heap_begin};
  if (!fits || begin == refused || count == 0) return print("lab: bench ", walk.name, " none\n");
  link(begin, pages);
  chase(begin, pages);
  bunshin_begin(1);
  const u64 cycles = chase(begin, count);
  bunshin_end(1);
  if (!walk.large) call(Call::Unmap, begin, begin + footprint);
  report(walk.name, {cycles, 0}, count);
}

}  // namespace user
