#include "guests/hypervisor/hypervisor.h"

#include "guests/runtime/console.h"

namespace guest {

namespace {

constexpr unsigned entries = 512;
constexpr u64 page = 4096, large_page = u64{2} << 20, large = 1u << 7;

alignas(page) u64 nested_root[entries], nested_pointers[entries], nested_directory[entries];
alignas(page) u64 nested_tables[entries * entries];

}  // namespace

bool has_vmx() { return (cpuid(1).ecx >> 5 & 1) != 0; }

bool start_hypervisor() { return has_vmx() ? vmx::start() : svm::start(); }

bool has_nested_paging() { return has_vmx() ? vmx::has_nested_paging() : svm::has_nested_paging(); }

void prepare_guest(void (*entry)(), u64 stack, HostPages pages, bool ports) {
  if (has_vmx())
    vmx::prepare(entry, stack, pages, ports);
  else
    svm::prepare(entry, stack, pages, ports);
}

u64 round_trips(u64 count) {
  const u64 begin = read_tsc();
  if (has_vmx())
    vmx::enter(count);
  else
    svm::enter(count);
  return read_tsc() - begin;
}

u64 last_exit() { return has_vmx() ? vmx::exit_reason() : svm::exit_reason(); }

u64 vmreads(u64 count) { return vmx::repeat_reads(count); }

u64 vmwrites(u64 count) { return vmx::repeat_writes(count); }

u64 build_nested_tables(HostPages pages, u64 rights) {
  nested_root[0] = reinterpret_cast<u64>(nested_pointers) | rights;
  nested_pointers[0] = reinterpret_cast<u64>(nested_directory) | rights;
  // Write-back where EPT asks for a memory type (SDM vol. 3, 28.3.2); software's bits in the tables of nested paging's format
  // are PWT and PCD, which the rights leave alone.
  for (u64 i = 0; i < entries; ++i) {
    u64* const table = nested_tables + i * entries;
    nested_directory[i] =
        pages == HostPages::Large ? i * large_page | large | rights : reinterpret_cast<u64>(table) | rights;
  }
  const u64 write_back = has_vmx() ? u64{6} << 3 : 0;
  if (pages == HostPages::Large) {
    for (u64& e : nested_directory) e |= write_back;
  } else {
    for (u64 i = 0; i < entries * entries; ++i) nested_tables[i] = i * page | rights | write_back;
  }
  return reinterpret_cast<u64>(nested_root);
}

}  // namespace guest
