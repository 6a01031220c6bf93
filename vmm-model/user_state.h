#pragma once

// The world switch to a guest in user state (CHAPTER S9), on a 32-bit processor without virtualization: what a binding and the
// deprivileged back end must agree on. The switch happens on pages that both sides' address spaces have at the same place:
//
//   page 0, 1   code: an entry for each of the 256 vectors, and the way in and out
//   page 2      interrupt table, task state, the hypervisor's stack pointer and CR3
//   page 3      the stack that an event in a guest arrives on: a UserState lies at its top
//   page 4 on   the guest's descriptor tables as the processor sees them

#include <array>

#include "base/address.h"

namespace bunshin::vmm {

namespace switch_area {
inline constexpr u32 linear = 0xf7e0'0000, bytes = 0x20'0000;
inline constexpr unsigned shared_pages = 4, tables_page = 2, stack_page = 3, first_guest_page = 4;
/// In each of the guest's descriptor tables, which are a page each: the hypervisor's own flat segments.
inline constexpr u16 code_selector = 0xfe0, data_selector = 0xfe8;
inline constexpr unsigned table_bytes = 4096, descriptors = table_bytes / 8, first_own_descriptor = code_selector / 8;

constexpr u32 page(unsigned number) { return linear + number * 4096; }
constexpr bool contains(u64 address) { return address >= linear && address < u64{linear} + bytes; }
}  // namespace switch_area

/// A guest's registers as the switch leaves them on its stack, lowest address first.
struct UserState {
  u32 gs = 0, fs = 0, es = 0, ds = 0;
  u32 edi = 0, esi = 0, ebp = 0, unused = 0, ebx = 0, edx = 0, ecx = 0, eax = 0;
  u32 vector = 0, error_code = 0;
  u32 eip = 0, cs = 0, eflags = 0, esp = 0, ss = 0;
};
static_assert(sizeof(UserState) == 76);

/// Where it runs.
struct UserSpace {
  HostPhysical root;        ///< PAE's four entries
  HostPhysical area_table;  ///< page table of the switch area
  u32 gdt = 0;              ///< linear, in the area
  u16 ldt = 0;              ///< selector in that table
  bool ldt_in_use = false;  ///< it may have descriptors
  u32 cr0 = 0;              ///< MP, EM and TS, as the guest wants them
};

}  // namespace bunshin::vmm
