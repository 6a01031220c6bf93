#pragma once

// The interrupt descriptor table, handlers in C++, and exceptions as values.

#include "guests/runtime/processor.h"

namespace guest {

/// What interrupt_entry.S pushes, and the processor before it (Intel SDM vol. 3, 6.14.2).
struct Frame {
  u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
  u64 vector, error;
  u64 rip, cs, rflags, rsp, ss;
};

using Handler = void (*)(Frame& frame);

/// Calls `handler` for each interrupt `vector`; nullptr restores the default, which reports and ends the run.
void set_handler(unsigned vector, Handler handler);
void set_gate_privilege(unsigned vector, unsigned dpl);

struct Exception {
  bool raised = false;
  u64 vector = 0, error = 0, rip = 0, cr2 = 0;
};

/// Calls `function(argument)` and returns the exception that it raised, if it did.
Exception attempt(void (*function)(u64), u64 argument = 0);

}  // namespace guest
