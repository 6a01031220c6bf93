#pragma once

// A guest under SVM as a test bench: a VMCB that each check fills anew, a few bytes of code behind which VMMCALL waits, and
// what the exit left behind.

#include "guests/conformance_svm/vmcb.h"
#include "guests/virt/guest_code.h"

namespace guest {

/// What VMRUN neither loads nor saves; entry.S knows the order.
struct Registers {
  u64 rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
};

enum class Mode {
  Long,           ///< 64-bit, level 0, the host's page tables
  Compatibility,  ///< 32-bit code under the same
  Protected,      ///< 32-bit, paging off
  Protected16,    ///< 16-bit code, paging off
  Pae,            ///< 32-bit, three-level tables that map the lowest GiB onto itself
  Real,
  PagedReal,  ///< CR0.PE 0 and CR0.PG 1, which only VMRUN can make (APM vol. 2, 15.5.1)
};

extern "C" {
extern Vmcb vmcb, other_vmcb;
extern Registers registers;
/// RFLAGS of the host at VMRUN, behind CLGI.
extern u64 host_flags;
/// RFLAGS of the host behind #VMEXIT, before anything changed them.
extern u64 host_flags_after;
}

bool is_amd_with_svm();
void start_svm();

/// A VMCB whose guest would run `code` and VMMCALL, with no intercepts but VMRUN, VMMCALL and shutdown.
void prepare(Mode mode, Code code);
inline void prepare(Code code) { prepare(Mode::Long, code); }
void at_level_3();
inline void intercept(u64 code) {
  if (code < 0xa0) {
    vmcb.instructions |= u64{1} << (code - exit_code::intr);
  } else {
    vmcb.more_instructions |= 1u << (code - 0xa0);
  }
}
void release(u64 code);

/// Ends a guest that might wait forever with an exit for INTR.
void watch();
/// Enters the guest; returns the exit code.
u64 enter();

/// Whether the exit was VMMCALL in the entry of `vector`.
bool arrived(unsigned vector);
/// Word n of the guest's stack after an event: 0 is RIP if no error code was pushed.
u64 stack_word(unsigned n);
/// RIP of the guest, counted from its first instruction.
inline u64 code_offset() { return vmcb.rip - (vmcb.cs.base == 0 ? code_page : 0); }

/// All of the I/O or MSR map open.
void open_maps();
extern u8 io_map[0x3000], msr_map[0x2000];

/// Lines for what an intercept of the instruction prepared must leave: exit code, EXITINFO1 and 2, RIP still at the
/// instruction, nRIP `length` on if the processor has it. EXITINFO1 from decode assists is `assisted`.
struct Exit {
  u64 code;
  unsigned length = 0;
  u64 info1 = any, info2 = any;
  bool assisted = false;
  unsigned at = 0;  ///< offset of the instruction
};
void check_exit(const char* name, const Exit& wanted);
/// The guest ran to its VMMCALL.
void check_finished(const char* name);
/// The guest ran into exception `vector`, taken through its own table, at offset `at` with `error` on the stack if any.
void check_exception(const char* name, unsigned vector, u64 at = 0, u64 error = any);

void check_instructions();
void check_consistency();
void check_injection_consistency();
void check_register_intercepts();
void check_instruction_intercepts();
void check_exception_intercepts();
void check_io_intercepts();
void check_msr_intercepts();
void check_task_intercepts();
void check_injection();
void check_interrupts();
void check_virtual_interrupts();
void check_nested_paging();
void check_translations();
void check_host_of_32_bits();
void check_state();
void check_clean_bits();
void check_time();
void check_long_mode_not_active();

}  // namespace guest
