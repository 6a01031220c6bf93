#pragma once

// The interrupt descriptor table, handlers in C++, and exceptions as values.

#include "guests/runtime/processor.h"

namespace guest {

/// What the interrupt entries push, and the processor before them. Registers have their 64-bit names in both.
template <unsigned register_bytes>
struct FrameOf;

/// runtime/interrupt_entry.S; Intel SDM vol. 3, 6.14.2.
template <>
struct FrameOf<8> {
  u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
  u64 vector, error;
  u64 rip, cs, rflags, rsp, ss;
};

/// runtime/protected/interrupt_entry.S; Intel SDM vol. 3, 6.12.1. `rsp` and `ss` are there only if the interrupted code was
/// in user mode.
template <>
struct FrameOf<4> {
  u32 es, ds, rdi, rsi, rbp, unused, rbx, rdx, rcx, rax;
  u32 vector, error;
  u32 rip, cs, rflags, rsp, ss;
};

using Frame = FrameOf<sizeof(void*)>;

using Handler = void (*)(Frame& frame);

/// Calls `handler` for each interrupt `vector`; nullptr restores the default, which reports and ends the run.
void set_handler(unsigned vector, Handler handler);
void set_gate_privilege(unsigned vector, unsigned dpl);

/// 64-bit only: exceptions as values.
struct Exception {
  bool raised = false;
  u64 vector = 0, error = 0, rip = 0, cr2 = 0;
};

/// Calls `function(argument)` and returns the exception that it raised, if it did.
Exception attempt(void (*function)(u64), u64 argument = 0);

}  // namespace guest
