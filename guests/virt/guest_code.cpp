#include "guests/virt/guest_code.h"

#include "guests/runtime/segments.h"

extern "C" char guest_entries[];

namespace guest {

alignas(16) u64 guest_idt[2 * vectors], guest_idt32[vectors];
alignas(16) u32 task_state[26], task_state32[26];
alignas(32) u64 pae_pointers[4];

namespace {

alignas(4096) u64 pae_directory[512];
constexpr unsigned entry_bytes = 16;
constexpr u64 interrupt_gate = u64{0x8e00} << 32, page = 0xe7;

}  // namespace

u64 event_entry(unsigned vector) { return reinterpret_cast<u64>(guest_entries) + entry_bytes * vector; }

void put_code(u64 address, Code code, Code end) {
  auto* to = reinterpret_cast<volatile u8*>(address);
  for (const Code& part : {code, end, Code{"\xf4", 1}}) {
    for (unsigned i = 0; i < part.size; ++i) *to++ = static_cast<u8>(part.bytes[i]);
  }
}

void fill_guest_tables() {
  for (unsigned vector = 0; vector < vectors; ++vector) {
    const u64 entry = event_entry(vector);
    const u64 gate = (entry & 0xffff) | (entry & 0xffff'0000) << 32 | interrupt_gate;
    guest_idt[2 * vector] = gate | u64{code_selector} << 16;
    guest_idt[2 * vector + 1] = entry >> 32;
    guest_idt32[vector] = gate | u64{code32_selector} << 16;
  }
  task_state[1] = task_state32[1] = stack_top - 0x1000;
  task_state[25] = task_state32[25] = 0x68 << 16;  // no I/O map
  task_state32[2] = data_selector;
  for (unsigned i = 0; i < 512; ++i) pae_directory[i] = u64{i} << 21 | page;
  pae_pointers[0] = reinterpret_cast<u64>(pae_directory) | 1;
}

}  // namespace guest
