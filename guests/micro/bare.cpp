// The harness without an operating system: page tables of our own making, and the other processor by its mailbox.

#include "guests/micro/micro.h"
#include "guests/runtime/console.h"
#include "guests/runtime/processors.h"

extern "C" {
extern guest::u32 boot_information;
extern guest::u64 page_map[512];
}

namespace micro {

namespace {

enum PageBits : u64 { Present = 1, Writable = 2, User = 4, Accessed = 32, Dirty = 64, Large = 128 };
constexpr u64 mapping = Present | Writable | User | Accessed | Dirty;

/// Physical memory: paging structures, code, data. The machine needs 512 MiB.
constexpr u64 tables_begin = 32 << 20, tables_end = 128 << 20, code_begin = 128 << 20, data_begin = 192 << 20,
              data_end = 512 << 20;
/// Linear: the identity map lies in the first half-terabyte, data from the second on, code far above, by size of page.
constexpr u64 window = u64{512} << 30, small_code_window = u64{100} << 40, large_code_window = u64{101} << 40;

u64 next_table = tables_begin;

u64 shift_of(u64 page) { return page == small_page ? 12 : page == large_page ? 21 : 30; }

u64* new_table() {
  auto* const table = reinterpret_cast<u64*>(next_table);
  next_table += small_page;
  for (u64 i = 0; i < 512; ++i) table[i] = 0;
  return table;
}

void forget_mappings() {
  for (u64 i = 1; i < 512; ++i) page_map[i] = 0;
  next_table = tables_begin;
  forget_translations();
}

/// The entry of `level` (1 maps 4 KiB) for a linear address, in tables that are made where they are missing.
u64& entry(u64 linear, u64 level) {
  u64* table = page_map;
  for (u64 at = 4; at > level; --at) {
    u64& e = table[linear >> (12 + 9 * (at - 1)) & 511];
    if (e == 0) e = reinterpret_cast<u64>(new_table()) | mapping;
    table = reinterpret_cast<u64*>(e & ~u64{0xfff});
  }
  return table[linear >> (12 + 9 * (level - 1)) & 511];
}

void map(u64 linear, u64 physical, u64 page) {
  entry(linear, (shift_of(page) - 3) / 9) = physical | mapping | (page == small_page ? 0 : u64{Large});
}

bool have_giant_pages() { return (cpuid(0x8000'0001).edx >> 26 & 1) != 0; }

/// Tables for so many pages, worst case.
bool tables_suffice(u64 count, u64 stride) {
  const u64 per_page = stride < large_page ? 0 : stride < giant_page ? 1 : stride < window ? 2 : 3;
  return (count * (per_page + 1) / (per_page == 0 ? 512 : 1) + 4) * small_page <= tables_end - tables_begin;
}

/// What translates the pages that pages() has given, at all levels.
constexpr u64 noted_pages = 16, levels = 4;
const u64* table_entries[noted_pages * levels];
u64 table_entry_count = 0;

void note_tables(u64 linear) {
  if (table_entry_count == noted_pages * levels) return;
  for (u64 level = 1; level <= levels; ++level) table_entries[table_entry_count++] = &entry(linear, level);
}

/// Multiboot Specification 0.6.96, 3.3: bit 2 of the first word tells of a command line at offset 16.
const char* command_line() {
  const auto* const information = reinterpret_cast<const u32*>(u64{boot_information});
  return (information[0] & 4) != 0 ? reinterpret_cast<const char*>(u64{information[4]}) : "";
}

/// What the other processor is to do.
struct Mailbox {
  void (*work)(u64) = nullptr;
  u64 argument = 0;
};
Mailbox mailbox;
bool partner_started = false;

/// YMM state, so that FMA works (SDM vol. 1, 13.3).
void enable_avx() {
  constexpr u32 xsave = 1u << 26, avx = 1u << 28;
  if ((cpuid(1).ecx & (xsave | avx)) != (xsave | avx)) return;
  u64 cr4;
  asm volatile("mov %%cr4, %0" : "=r"(cr4));
  asm volatile("mov %0, %%cr4" : : "r"(cr4 | 1 << 18));
  asm volatile("xsetbv" : : "a"(7), "d"(0), "c"(0));
}

}  // namespace

u64 ticks() {
  asm volatile("lfence" : : : "memory");
  const u64 now = guest::read_tsc();
  asm volatile("lfence" : : : "memory");
  return now;
}

u64 repeats() { return 2; }

bool wanted(const char* name, const char* parameter) {
  const char* at = command_line();
  if (*at == 0) return true;
  while (*at != 0) {
    while (*at == ' ') ++at;
    const char* expected = name;
    while (*expected != 0 && *at == *expected) ++at, ++expected;
    const bool whole = *expected == 0 && (*at == 0 || *at == ' ');
    if (*expected == 0 && *at == '=' && parameter == nullptr) return true;
    if (whole) return true;
    if (*expected == 0 && *at == '=') {
      ++at;
      expected = parameter;
      while (*expected != 0 && *at == *expected) ++at, ++expected;
      if (*expected == 0 && (*at == 0 || *at == ' ')) return true;
    }
    while (*at != 0 && *at != ' ') ++at;
  }
  return false;
}

u64 far_bytes() {
  for (const char* at = command_line(); *at != 0; ++at) {
    const char* expected = "far=";
    while (*expected != 0 && *at == *expected) ++at, ++expected;
    if (*expected != 0) {
      if (*at == 0) break;
      continue;
    }
    u64 bytes = 0;
    for (; *at >= '0' && *at <= '9'; ++at) bytes = 10 * bytes + static_cast<u64>(*at - '0');
    return bytes;
  }
  return u64{64} << 20;
}

bool wanted(const char* name) { return wanted(name, nullptr); }

void report(const char* name, const char* parameter, u64 ticks, u64 count) {
  const u64 thousandths = (ticks * 1000 + count / 2) / count;
  const char digits[] = {static_cast<char>('0' + thousandths / 100 % 10),
                         static_cast<char>('0' + thousandths / 10 % 10), static_cast<char>('0' + thousandths % 10),
                         '\n', 0};
  guest::print(name, " ", parameter, " ", thousandths / 1000, ".", digits);
}

u8* memory(u64 bytes, u64 page) {
  if (bytes > data_end - data_begin) return nullptr;
  if (page == large_page || (page == giant_page && !have_giant_pages())) return reinterpret_cast<u8*>(data_begin);
  forget_mappings();
  if (page == giant_page) {
    map(window, 0, giant_page);
    return reinterpret_cast<u8*>(window + data_begin);
  }
  for (u64 at = 0; at < bytes; at += small_page) map(window + at, data_begin + at, small_page);
  return reinterpret_cast<u8*>(window);
}

u8* pages(u64 count, u64 page, u64 stride) {
  if (page == giant_page && !have_giant_pages()) return nullptr;
  if (count * stride > u64{1} << 47 || !tables_suffice(count, stride)) return nullptr;
  forget_mappings();
  table_entry_count = 0;
  // All large pages are the same memory, of which each uses another line.
  for (u64 i = 0; i < count; ++i) {
    const u64 linear = window + i * stride;
    map(linear, page == small_page ? data_begin + i * small_page : page == large_page ? data_begin : 0, page);
    if (page == small_page) note_tables(linear);
  }
  return reinterpret_cast<u8*>(window + (page == giant_page ? data_begin : 0));
}

u8* code_pages(u64 count, u64 page) {
  const u64 begin = page == small_page ? small_code_window : large_code_window;
  for (u64 i = 0; i < count; ++i) {
    map(begin + i * page, page == small_page ? code_begin + i * small_page : code_begin, page);
  }
  forget_translations();
  return reinterpret_cast<u8*>(begin);
}

bool forget_translations() {
  u64 cr3;
  asm volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(cr3) : : "memory");
  return true;
}

bool evict_tables() {
  // Nothing of the tables is read here: it would cost more where less is in the caches.
  for (u64 i = 0; i < table_entry_count; ++i) asm volatile("clflush %0" : : "m"(*table_entries[i]));
  asm volatile("mfence" : : : "memory");
  return true;
}

bool have_partner() {
  if (guest::processor_count() < 2) return false;
  if (!partner_started) guest::start_processors();
  partner_started = true;
  return true;
}

void begin_on_partner(void (*work)(u64), u64 argument) {
  mailbox.argument = argument;
  __atomic_store_n(&mailbox.work, work, __ATOMIC_RELEASE);
}

void finish_partner() {
  while (__atomic_load_n(&mailbox.work, __ATOMIC_ACQUIRE) != nullptr) guest::pause();
}

void on_partner(void (*work)(u64), u64 argument) {
  begin_on_partner(work, argument);
  finish_partner();
}

}  // namespace micro

void processor_main(guest::u32 index) {
  using namespace micro;
  if (index != 1) return;
  u64 cr3 = 0;
  for (;;) {
    void (*const work)(u64) = __atomic_load_n(&mailbox.work, __ATOMIC_ACQUIRE);
    if (work == nullptr) {
      guest::pause();
      continue;
    }
    // The mappings may have changed.
    asm volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(cr3) : : "memory");
    work(mailbox.argument);
    __atomic_store_n(&mailbox.work, nullptr, __ATOMIC_RELEASE);
  }
}

guest::u32 kernel_main() {
  micro::enable_avx();
  micro::run_all();
  return 0;
}
