#pragma once

// Checks of the processor as kernels written to test one meet it. Like the self-test it prints nothing that depends on
// speed or model.

#include "guests/runtime/interrupts.h"
#include "guests/runtime/processor.h"

namespace guest {

struct ProcessorCheck {
  const char* name;
  bool (*passes)();
};

/// Runs and reports the checks of one group; returns how many failed.
unsigned run_processor_checks(const char* group, const ProcessorCheck* checks, unsigned count);

template <unsigned count>
unsigned run_processor_checks(const char* group, const ProcessorCheck (&checks)[count]) {
  return run_processor_checks(group, checks, count);
}

unsigned check_debugging();
unsigned check_registers();
unsigned check_protection();
unsigned check_encodings();

constexpr u64 invalid_opcode = 6, general_protection = 13, page_fault = 14;

/// Whether `function(argument)` raises this exception.
inline bool raises(u64 vector, void (*function)(u64), u64 argument = 0) {
  const Exception e = attempt(function, argument);
  return e.raised && e.vector == vector;
}
inline bool succeeds(void (*function)(u64), u64 argument = 0) { return !attempt(function, argument).raised; }

/// Runs `program` in user mode with IOPL 3 until it returns.
void run_in_user_mode(void (*program)());

template <unsigned number>
u64 read_cr() {
  u64 value;
  if constexpr (number == 0) asm volatile("mov %%cr0, %0" : "=r"(value));
  if constexpr (number == 3) asm volatile("mov %%cr3, %0" : "=r"(value));
  if constexpr (number == 4) asm volatile("mov %%cr4, %0" : "=r"(value));
  return value;
}
template <unsigned number>
void write_cr(u64 value) {
  if constexpr (number == 0) asm volatile("mov %0, %%cr0" : : "r"(value) : "memory");
  if constexpr (number == 3) asm volatile("mov %0, %%cr3" : : "r"(value) : "memory");
  if constexpr (number == 4) asm volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

inline bool has_structured_feature(u32 CpuId::*reg, unsigned bit) { return (cpuid(7).*reg >> bit & 1) != 0; }

}  // namespace guest
