#pragma once

#include "guests/runtime/processor.h"

/// Runs the program that the command line names; kernel_main()'s value.
guest::u32 run_tlb_bound();
