// On the processor itself.

#include "guests/runtime/console.h"
#include "guests/tlb_bound/tlb_bound.h"

guest::u32 kernel_main() { return run_tlb_bound(); }
