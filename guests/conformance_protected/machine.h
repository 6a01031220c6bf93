#pragma once

// 32-bit protected mode as a test bench: descriptor tables that tests change at will, code that runs at any level and is
// recorded when it ends, and one line of text for each question. The lines are facts, not verdicts: they are compared
// between simulators.

// The compiler's own type behind `for (x : {…})`: a 32-bit C++ library need not be installed.
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

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;

/// Selectors. The tested descriptor is `slot`; `slot_data`, `slot_more` serve as its company.
constexpr u16 code0 = 0x08, data0 = 0x10, code3 = 0x1b, data3 = 0x23, main_task = 0x28, other_task = 0x30,
              local_table = 0x38, slot = 0x40, slot_more = 0x48, code1 = 0x51, data1 = 0x59, code16 = 0x60,
              data16 = 0x68;

/// What record in entry.S leaves.
struct Outcome {
  u32 gs, fs, es, ds;
  u32 edi, esi, ebp, esp_of_pusha, ebx, edx, ecx, eax;
  u32 vector, error, eip, cs, eflags;
  u32 rest[11];  ///< ESP, SS (and ES, DS, FS, GS) if the level changed, else the stack as the tested code left it
  u32 tr, cr2, ss;
  bool ended_well() const { return vector == 0x80; }
  unsigned level() const { return (eflags & 0x20000) != 0 ? 3 : cs & 3; }
};
static_assert(sizeof(Outcome) == 31 * 4);

struct Arguments {
  u32 eax, ecx, edx, ebx;
};

/// Intel SDM vol. 3, figure 7-2.
struct TaskState {
  u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
  u32 es, cs, ss, ds, fs, gs, ldt;
  u16 trap, io_map;
  u8 redirection[32];
  u8 permission[0x2001];
};

/// Figure 7-10.
struct TaskState16 {
  u16 link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
};

/// Stacks and landing places of tested code, all below 64 KiB.
constexpr u32 stack0 = 0x7000, stack1 = 0x7800, stack3 = 0x8000, task_stack = 0x8800, inner_stack = 0x9000;
constexpr u32 landing = 0x6000;  ///< INT 80H
constexpr u32 scratch = 0xa000;

extern u64 segments[32], gates[256], local_segments[8];
extern TaskState main_state, other_state;
extern TaskState16 other_state16;

u64 descriptor(u32 base, u32 limit, u8 access, u8 flags);
u64 gate(u16 selector, u32 offset, u8 access, unsigned parameters = 0);

/// All tables as at the start; LDTR and TR too.
void restore_tables();
/// Interrupt gate to the recording stub of an exception.
void restore_gate(unsigned vector);

/// Runs code at `level` with EFLAGS `flags`.
void run(const void* code, unsigned level, const Arguments& arguments = {}, u32 flags = 2);
/// In virtual-8086 mode at `segment`:`offset`.
void run_8086(u16 segment, u16 offset, u32 flags);

struct Hex {
  u32 value;
};
void write(const char* text);
void write(Hex value);
template <class... Parts>
void print(const Parts&... parts) {
  (write(parts), ...);
}
/// "ok", or the exception with its error code and where it is told to have happened, from `code` on.
void print_outcome(const void* code);
/// One word: "." or vector with s (error code names `slot`), t (another one) or nothing (zero).
void print_short();

template <class T>
u32 address_of(const T* object) {
  return reinterpret_cast<u32>(object);
}

void check_segments();
void check_transfers();
void check_events();
void check_tasks();
void check_virtual_8086();
void check_debugging();

}  // namespace guest

extern "C" {
extern guest::Outcome outcome;
extern guest::Arguments arguments;
extern char exception_entries[], call_entry[];
void attempt(const void* code, guest::u32 flags, guest::u32 cs, guest::u32 ss, guest::u32 esp);
}
