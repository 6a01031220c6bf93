#pragma once

// A guest under VT-x as a test bench: a VMCS that each check fills anew, a few bytes of code behind which VMCALL waits, and what
// the exit left behind.

#include "guests/conformance_vmx/vmcs.h"
#include "guests/virt/guest_code.h"

namespace guest {

/// What VM entries leave to software; entry.S knows the order.
struct Registers {
  u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
};

enum class Mode {
  Long,           ///< 64-bit, level 0, the host's page tables
  Compatibility,  ///< 32-bit code under the same
  Pae,            ///< 32-bit, three-level tables that map the lowest GiB onto itself
  Virtual8086,    ///< level 3, under Pae
  Protected,      ///< 32-bit, paging off: only an unrestricted guest
  Real,           ///< likewise
};

/// RFLAGS of the VMX instructions: VMsucceed, VMfailInvalid, VMfailValid (30.2).
constexpr u64 succeeded = 0, failed_invalid = 1, failed_valid = 0x40;

extern "C" {
extern Registers registers;
}
/// Regions of a page each: VMXON's, the VMCS of the checks, another one.
struct Region {
  u32 revision;
  u32 words[1023];
};
extern Region vmxon_region, region, other_region;

u64 vmxon(u64 address);
u64 vmclear(u64 address);
u64 vmptrld(u64 address);
u64 vmwrite(u64 field, u64 value);
struct Read {
  u64 flags, value;
};
Read vmread(u64 field);
/// What VMREAD leaves, 0 where it fails.
inline u64 get(u32 field) { return vmread(field).value; }
inline void put(u32 field, u64 value) { vmwrite(field, value); }
inline void set(u32 field, u64 bits) { put(field, get(field) | bits); }
inline void reset(u32 field, u64 bits) { put(field, get(field) & ~bits); }

/// Which word of controls, and what this processor allows in it: its capability MSR, the TRUE one if there is one (A.2).
enum class Word { Pin, Primary, Secondary, Exit, Entry };
u32 field_of(Word word);
u64 capability(Word word);
inline u32 must_be_1(Word word) { return static_cast<u32>(capability(word)); }
inline u32 may_be_1(Word word) { return static_cast<u32>(capability(word) >> 32); }
bool has(Word word, u32 bits);
inline bool has_secondary(u32 bits) {
  return has(Word::Primary, primary_control::secondary) && has(Word::Secondary, bits);
}
void enable(Word word, u32 bits);

bool is_intel_with_vmx();
/// Whether this is Bochs 2.7, by its VMCS revision.
bool is_bochs();
/// From the reset state to VMX operation.
void start_vmx();

/// A VMCS whose guest would run `code` and VMCALL; whether this processor can have such a guest.
bool prepare(Mode mode, Code code);
inline void prepare(Code code) { prepare(Mode::Long, code); }
bool is_possible(Mode mode);
void at_level_3();
/// Ends a guest that might wait forever with an exit for an external interrupt.
void watch();

/// VMLAUNCH, or VMRESUME once it was: succeeded behind an exit or a failed entry with an exit reason.
u64 enter();
inline u64 exit_reason() { return get(vmcs::exit_reason); }
inline u64 code_offset() { return get(vmcs::guest_rip) - (get(vmcs::cs_base) == 0 ? code_page : 0); }
bool arrived(unsigned vector);
/// Word n of the guest's stack after an event: 0 is RIP if no error code was pushed.
u64 stack_word(unsigned n);

struct Exit {
  u64 reason;
  u64 length = any;
  u64 qualification = any, information = any;
  unsigned at = 0;                 ///< offset of the instruction
  u64 information_mask = ~u64{0};  ///< bits of the information that are defined
};
/// Instruction information of an operand at [RDI], and its defined bits (27.2.5).
constexpr u64 at_rdi = 2u << 7 | 3u << 15 | 1u << 22 | 7u << 23, memory_bits = 0xf7c3'8780;
void check_exit(const char* name, const Exit& wanted);
/// The guest ran to its VMCALL.
void check_finished(const char* name);
/// VMfailValid with this instruction error.
void check_error(const char* name, u64 flags, u64 error);
void check_refused(const char* name, u64 error);
/// An exit that tells of a failed entry.
void check_entry_failure(const char* name, u64 reason, u64 qualification = any);

u64 read_cr3();

void check_operations();
void check_capabilities();
void check_fields();
void check_controls();
void check_host_state();
void check_host_of_32_bits();
void check_guest_segments();
void check_guest_state();
void check_instruction_exits();
void check_vmx_exits();
void check_control_exits();
void check_map_exits();
void check_exception_exits();
void check_task_exits();
void check_injection();
void check_interrupts();
void check_virtual_apic();
void check_nested_paging();
void check_ept_features();
void check_translations();
void check_shadowing();
void check_state();
void check_time();
void check_end();

}  // namespace guest
