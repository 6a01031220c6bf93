#pragma once

#include "guests/lab/call_numbers.h"
#include "guests/lab/process.h"

namespace lab {

/// Opens the way in: SYSCALL, or INT 80H.
void initialize_system_calls();

/// Cycles for `count` operations; 0 if this processor has no such operation (kernel_loops.cpp).
u64 run_kernel_loop(KernelLoop loop, word count);
/// One line for each instruction that tells user mode what it tells the kernel (sensitive.cpp). How many disagree with what
/// the kernel has loaded.
word check_sensitive_instructions();
/// A guest that is no good neighbour (misbehaviour.cpp).
[[noreturn]] void misbehave(Misbehaviour kind);

}  // namespace lab
