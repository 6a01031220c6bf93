#pragma once

// Pieces of a tested guest: a few bytes of code at a fixed place, gates that lead to an instruction which always leaves the
// guest, tables for paging that is not the host's.

#include <initializer_list>

#include "guests/virt/checks.h"

namespace guest {

struct Code {
  const char* bytes;
  unsigned size;
};
constexpr Code operator""_code(const char* bytes, decltype(sizeof(0)) size) {
  return {bytes, static_cast<unsigned>(size)};
}

constexpr u64 code_page = 0x30'0000, stack_top = 0x31'0000, data_page = 0x32'0000, low_page = 0x5000;

/// Copies `code` to `address`, and `end`, the instruction that leaves the guest, with HLT behind it.
void put_code(u64 address, Code code, Code end);

/// Interrupt tables whose gate for `vector` leads to event_entry(vector): 64-bit and 32-bit, and the tables of a task.
constexpr unsigned vectors = 256;
extern u64 guest_idt[2 * vectors], guest_idt32[vectors];
/// RSP0 at 4 (AMD APM vol. 2, figure 12-8; Intel SDM vol. 3, figure 8-11); ESP0 and SS0 at 4 and 8 in the other.
extern u32 task_state[26], task_state32[26];
/// Three-level tables of 2 MiB pages that map the lowest GiB onto itself, at `pae_pointers`.
extern u64 pae_pointers[4];
void fill_guest_tables();
/// Entry of a vector: 16 bytes of each program's entry.S.
u64 event_entry(unsigned vector);

}  // namespace guest
