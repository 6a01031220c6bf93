// Table entries as the processor reads and writes them (Intel SDM vol. 3, 4.5 to 4.10).

#include "guests/selftest/paging.h"

#include "guests/selftest/selftest.h"

extern "C" guest::u64 page_directory_pointers[512];

namespace guest {

namespace {

alignas(4096) u64 directory[512], table[512];
alignas(4096) u64 frames[2][512];

constexpr u64 page_fault = 14;
constexpr u64 supervisor_data = Present | Writable;

volatile u64* page(unsigned index) { return reinterpret_cast<volatile u64*>(window + 4096 * index); }

bool sets_accessed_and_dirty() {
  volatile u64* const entry = map_page(0, 0, supervisor_data);
  static_cast<void>(*page(0));
  const u64 after_read = *entry;
  *page(0) = 1;
  return (after_read & (Accessed | Dirty)) == Accessed && (*entry & Dirty) != 0;
}

bool sets_accessed_in_directory() {
  map_page(0, 0, supervisor_data);
  static_cast<void>(*page(0));
  const volatile u64& entry = directory[0];
  return (entry & Accessed) != 0 && (page_directory_pointers[256] & Accessed) != 0;
}

bool protects_from_writing() {
  map_page(0, 0, Present);
  const Exception e = attempt([](u64) { *page(0) = 1; });
  return expect_exception(e, page_fault, 3) && e.cr2 == window;
}

bool protects_from_execution() {
  map_page(0, 0, supervisor_data | NoExecute);
  *page(0) = 0xc3;
  return expect_exception(attempt([](u64) { asm volatile("call *%0" : : "r"(window)); }), page_fault, 0x11);
}

bool executes() {
  map_page(0, 0, supervisor_data);
  *page(0) = 0xc3;
  return !attempt([](u64) { asm volatile("call *%0" : : "r"(window)); }).raised;
}

bool rejects_reserved_bits() {
  // The whole error code is 9; QEMU leaves out bit 0 (SDM vol. 3, 4.7), so only bit 3 is compared.
  map_page(0, 0, supervisor_data | Reserved);
  const Exception e = attempt([](u64) { static_cast<void>(*page(0)); });
  return e.raised && e.vector == page_fault && (e.error & 8) != 0;
}

bool forgets_on_invlpg() {
  *frame_memory(0) = 10;
  *frame_memory(1) = 11;
  map_page(0, 0, supervisor_data);
  const u64 before = *page(0);
  map_page(0, 1, supervisor_data);
  return before == 10 && *page(0) == 11;
}

bool faults_on_the_second_page() {
  map_page(0, 0, supervisor_data);
  map_page(1, 0, 0);
  const Exception e = attempt([](u64) { *reinterpret_cast<volatile u64*>(window + 4092) = 0; });
  return expect_exception(e, page_fault, 2) && e.cr2 == window + 4096;
}

bool stores_nothing_when_it_faults() {
  map_page(0, 0, supervisor_data);
  map_page(1, 0, 0);
  *reinterpret_cast<volatile u32*>(window + 4092) = 0x1234;
  attempt([](u64) { *reinterpret_cast<volatile u64*>(window + 4092) = 0; });
  return *reinterpret_cast<volatile u32*>(window + 4092) == 0x1234;
}

bool crosses_pages() {
  map_page(0, 0, supervisor_data);
  map_page(1, 1, supervisor_data);
  *reinterpret_cast<volatile u64*>(window + 4092) = 0x1111'1111'2222'2222;
  return static_cast<u32>(*frame_memory(1)) == 0x1111'1111;
}

constexpr Check checks[] = {
    {"accessed and dirty bits", sets_accessed_and_dirty},
    {"accessed bits above", sets_accessed_in_directory},
    {"read-only page", protects_from_writing},
    {"no-execute page", protects_from_execution},
    {"executable page", executes},
    {"reserved bit", rejects_reserved_bits},
    {"INVLPG", forgets_on_invlpg},
    {"fault on the second page", faults_on_the_second_page},
    {"no half of a store", stores_nothing_when_it_faults},
    {"access across pages", crosses_pages},
};

}  // namespace

volatile u64* map_page(unsigned index, unsigned frame, u64 bits) {
  page_directory_pointers[256] |= reinterpret_cast<u64>(directory) | Present | Writable | User;
  directory[0] |= reinterpret_cast<u64>(table) | Present | Writable | User;
  volatile u64* const entry = &table[index];
  *entry = reinterpret_cast<u64>(frames[frame]) | bits;
  invalidate_page(window + 4096 * index);
  return entry;
}

volatile u64* frame_memory(unsigned frame) { return frames[frame]; }

unsigned check_paging() { return run_checks("paging", checks); }

}  // namespace guest
