#pragma once

// The descriptors of boot.S, and the task state segment of each processor.

#include "guests/runtime/processor.h"

namespace guest {

constexpr u16 code_selector = 0x08, data_selector = 0x10;
constexpr u16 user_code32_selector = 0x1b, user_data_selector = 0x23, user_code_selector = 0x2b;
constexpr u16 code32_selector = 0x30, code16_selector = 0x38, absent_selector = 0x40;

/// Sets the base of an 8-byte descriptor of the GDT.
void set_segment_base(u16 selector, u32 base);

/// Where interrupts from user mode find their stack, on the first processor.
void set_kernel_stack(uptr top);

void load_interrupt_table();
uptr interrupt_table();

}  // namespace guest

/// Task register and interrupt table for the processor that calls it; both boot paths do.
extern "C" void prepare_processor();
