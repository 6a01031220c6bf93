#pragma once

// Memory above 4 GiB, which the tables that the hypervisor starts with leave out.

#include "vmm-model/page_pool.h"

namespace bunshin::vmm {

/// What one table of page-directory pointers reaches.
inline constexpr u64 identity_map_end = u64{1} << 39;

/// Maps [begin, end) at its own address, from 4 GiB on, in the four-level tables below `root`, and hands it to the pool, which
/// gives the tables for it. What lies beyond identity_map_end, or finds no tables, is left alone.
void add_high_memory(Hardware& hardware, PagePool& pool, HostPhysical root, u64 begin, u64 end);

}  // namespace bunshin::vmm
