// Page tables and data in the second GiB of memory, which has no holes: what under a hypervisor only large pages need map.

#include "guests/runtime/console.h"

/// Of the boot's map (boot.S): all that is below 4 GiB, at its own address.
extern "C" guest::u64 page_directory_pointers[];

namespace {

using guest::u64;

constexpr u64 entries = 512, page_bytes = 4096, present_writable = 3;
constexpr u64 tables = u64{1} << 30, data = tables + (u64{2} << 20), window = u64{1} << 39;

u64* table_at(u64 address) { return reinterpret_cast<u64*>(address); }
volatile u64& word(u64 page) { return *reinterpret_cast<volatile u64*>(window + page * page_bytes + page * 8); }

}  // namespace

guest::u32 kernel_main() {
  u64* const root = table_at(tables);
  root[0] = reinterpret_cast<u64>(page_directory_pointers) | present_writable;
  root[1] = (tables + page_bytes) | present_writable;
  *table_at(tables + page_bytes) = (tables + 2 * page_bytes) | present_writable;
  *table_at(tables + 2 * page_bytes) = (tables + 3 * page_bytes) | present_writable;
  for (u64 i = 0; i < entries; ++i) table_at(tables + 3 * page_bytes)[i] = (data + i * page_bytes) | present_writable;
  guest::write_cr3(tables);
  u64 wrong = 0;
  for (u64 i = 0; i < entries; ++i) word(i) = i * 3;
  for (u64 i = 0; i < entries; ++i)
    wrong += word(i) != i * 3 || *table_at(data + i * page_bytes + i * 8) != i * 3 ? 1 : 0;
  guest::print("gigabyte: ", wrong, " of ", entries, " words wrong\n");
  return wrong == 0 ? 0 : 1;
}
