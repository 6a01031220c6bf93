#include "guests/bench/bench.h"

extern "C" {
extern guest::u32 boot_information;
extern guest::u64 page_directory_pointers[512];
}

namespace guest {

/// Multiboot Specification 0.6.96, 3.3: bit 2 of the first word tells of a command line at offset 16.
bool command_line_holds(const char* word) {
  const auto* const information = reinterpret_cast<const u32*>(u64{boot_information});
  if ((information[0] & 4) == 0) return false;
  const auto* at = reinterpret_cast<const char*>(u64{information[4]});
  while (*at != 0) {
    while (*at == ' ') ++at;
    const char* expected = word;
    while (*expected != 0 && *at == *expected) ++at, ++expected;
    if (*expected == 0 && (*at == 0 || *at == ' ')) return true;
    while (*at != 0 && *at != ' ') ++at;
  }
  return false;
}

u32 measure(const char* name, Sizes sizes, u64 (*run)(u64 rounds)) {
  const u64 rounds = command_line_holds("short") ? sizes.brief : sizes.full;
  print("bench ", name, " start ", rounds, "\n");
  const u64 begin = read_tsc();
  const u64 checksum = run(rounds);
  const u64 end = read_tsc();
  print("bench ", name, " checksum ", Hex{checksum}, "\nbench ", name, " end\n");
  print("bench ", name, " cycles ", end - begin, "\n");
  return 0;
}

void open_window(const u64* directory) {
  page_directory_pointers[window >> 30] = reinterpret_cast<u64>(directory) | Present | Writable | User;
}

}  // namespace guest
