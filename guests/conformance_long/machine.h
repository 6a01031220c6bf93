#pragma once

// 64-bit mode as a test bench, as conformance_protected/machine.h is for 32-bit protected mode: one line for each fact.

#include "guests/runtime/console.h"

// The compiler's own type behind `for (x : {…})`, which guests may not have a library for.
namespace std {
template <class T>
class initializer_list {
 public:
  const T* begin() const { return first_; }
  const T* end() const { return first_ + count_; }

 private:
  const T* first_;
  decltype(sizeof(int)) count_;
};
}  // namespace std

namespace guest {

constexpr u16 code0 = 0x08, data0 = 0x10, code32 = 0x1b, data3 = 0x23, code3 = 0x2b, task = 0x30, local_table = 0x40,
              slot = 0x50, slot_more = 0x60, kernel_code32 = 0x70;

/// What record in entry.S leaves.
struct Outcome {
  u64 fs, ds, r11, rbx, rdx, rcx, rax;
  u64 vector, error, rip, cs, rflags, rsp, ss;
  u64 cr2, handler_ss, handler_rsp;
  bool ended_well() const { return vector == 0x80; }
};

struct Arguments {
  u64 rax, rcx, rdx, rbx;
};

/// Intel SDM vol. 3, figure 8-11.
struct [[gnu::packed]] TaskState64 {
  u32 reserved0;
  u64 rsp[3];
  u64 reserved1;
  u64 ist[7];
  u64 reserved2;
  u16 reserved3;
  u16 io_map;
};

struct Gate64 {
  u64 low, high;
};

/// All below 64 KiB.
constexpr u64 stack0 = 0x7000, stack3 = 0x8000, inner_stack = 0x9000, other_stack = 0xa000, landing = 0x6000,
              scratch = 0xb000;
constexpr u64 not_canonical = 0x8000'0000'0000, last_canonical = 0x7fff'ffff'ffff;

extern u64 segments[32];
extern Gate64 gates[256];
extern TaskState64 task_state;

u64 descriptor(u32 base, u32 limit, u8 access, u8 flags);
Gate64 gate(u16 selector, u64 offset, u8 access, unsigned ist = 0);
void restore_tables();
void restore_gate(unsigned vector);

/// Runs code at level 0 or 3, or in compatibility mode (`cs` code32).
void run(const void* code, u16 cs, const Arguments& arguments = {}, u64 flags = 2);

void print_outcome(const void* code);
void print_short();

void check_long_segments();
void check_long_transfers();
void check_long_events();
void check_long_paging();
void check_system_calls();

}  // namespace guest

extern "C" {
extern guest::Outcome outcome;
extern guest::Arguments arguments;
extern char exception_entries[], call_entry[];
void attempt(const void* code, guest::u64 flags, guest::u64 cs, guest::u64 ss, guest::u64 rsp);
}
