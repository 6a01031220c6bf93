// Task switches leave the guest, always (Intel SDM vol. 3, 25.4.2, table 27-2).

#include "guests/conformance_vmx/machine.h"

extern "C" guest::u64 gdt[];

namespace guest {

namespace {

constexpr u16 current_task = 0x48, other_task = 0x50;
constexpr u64 by_call = 0, by_iret = 1u << 30, by_jump = 2u << 30, by_gate = 3u << 30;

alignas(16) u64 table[16], gates[64];
alignas(16) u32 states[2][26];

u64 task_descriptor(const void* base, u8 type) {
  const u64 at = reinterpret_cast<u64>(base);
  return 0x67 | (at & 0xff'ffff) << 16 | u64{type} << 40 | (at >> 24) << 56;
}

void prepare_task(Code code) {
  prepare(Mode::Pae, code);
  for (unsigned i = 0; i < 9; ++i) table[i] = gdt[i];
  table[current_task / 8] = task_descriptor(states[0], 0x8b);
  table[other_task / 8] = task_descriptor(states[1], 0x89);
  for (u64& gate : gates) gate = u64{0x8500} << 32 | u64{other_task} << 16;
  put(vmcs::gdtr_base, reinterpret_cast<u64>(table));
  put(vmcs::gdtr_limit, sizeof table - 1);
  put(vmcs::idtr_base, reinterpret_cast<u64>(gates));
  put(vmcs::idtr_limit, sizeof gates - 1);
  put(vmcs::tr_base, reinterpret_cast<u64>(states[0]));
}

struct Row {
  const char* name;
  Code code;
  void (*change)();
  u64 source, event = 0, error = any, length = any;
};

constexpr Row rows[] = {
    {"jmp", "\xea\0\0\0\0\x50\0"_code, [] {}, by_jump, 0, any, 7},
    {"call", "\x9a\0\0\0\0\x50\0"_code, [] {}, by_call, 0, any, 7},
    {"iret", "\xcf"_code,
     [] {
       set(vmcs::guest_rflags, 1u << 14);
       states[0][0] = other_task;
       table[other_task / 8] = task_descriptor(states[1], 0x8b);
     },
     by_iret, 0, any, 1},
    {"int 21h", "\xcd\x21"_code, [] {}, by_gate, event_valid | event_software | 0x21, any, 2},
    {"int3", "\xcc"_code, [] {}, by_gate, event_valid | event_software_exception | 3, any, 1},
    {"undefined opcode", "\x0f\x0b"_code, [] {}, by_gate, event_valid | event_exception | 6},
    {"general protection", "\x8e\xd8"_code, [] { registers.rax = 0x1238; }, by_gate,
     event_valid | event_exception | event_has_code | 13, 0x1238},
};

}  // namespace

void check_task_exits() {
  begin_group("task switch");
  for (const Row& row : rows) {
    prepare_task(row.code);
    row.change();
    enter();
    check(row.name, Field{"reason", exit_reason(), reason::task_switch}, Field{"rip", code_offset(), 0},
          Field{"qualification", get(vmcs::qualification), row.source | other_task},
          Field{"vectoring", get(vmcs::vectoring) & (row.event == 0 ? event_valid : ~u64{0}), row.event},
          Field{"error", get(vmcs::vectoring_error), row.error},
          Field{"length", get(vmcs::instruction_length), row.length}, Field{"tr", get(vmcs::guest_tr), current_task});
  }
}

}  // namespace guest
