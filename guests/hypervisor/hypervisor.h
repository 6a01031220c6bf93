#pragma once

// The least hypervisor that there can be, on VT-x and AMD-V alike: one guest in 64-bit mode that shares the host's page tables,
// segments and registers, under nested tables that map memory onto itself or under none, and a host that does nothing but
// enter it again.

#include "guests/runtime/processor.h"

namespace guest {

/// Pages of the nested tables.
enum class HostPages { None, Small, Large };

/// Finds the extension and switches it on. False: the processor has none, or firmware has locked it.
bool start_hypervisor();
bool has_vmx();
/// Whether the processor has EPT or nested paging.
bool has_nested_paging();

/// The guest begins at `entry` on `stack`, which it need not leave. It exits for everything that round_trips() can repeat:
/// hypercalls, CPUID, HLT, RDMSR, CR3 and page faults; `ports` says whether accesses to I/O space do.
void prepare_guest(void (*entry)(), u64 stack, HostPages pages, bool ports);

/// Enters the guest so many times; after each exit nothing is done and nothing changed, so that an exit which leaves RIP at its
/// instruction is made again. Returns the time-stamp counter's cycles for all. Ends the run if an entry fails.
u64 round_trips(u64 count);

/// VMX: basic exit reason; SVM: EXITCODE.
u64 last_exit();

/// Repeats VMREAD or VMWRITE; of VMX.
u64 vmreads(u64 count);
u64 vmwrites(u64 count);

/// Root of tables that map the lowest GiB onto itself; what EPT and nested page tables call readable, writable and
/// executable, `rights`, and what marks a large page's entry.
u64 build_nested_tables(HostPages pages, u64 rights);

}  // namespace guest

// The two extensions' sides of it.
namespace guest::vmx {
bool start();
bool has_nested_paging();
void prepare(void (*entry)(), u64 stack, HostPages pages, bool ports);
void enter(u64 count);
u64 exit_reason();
u64 repeat_reads(u64 count);
u64 repeat_writes(u64 count);
}  // namespace guest::vmx
namespace guest::svm {
bool start();
bool has_nested_paging();
void prepare(void (*entry)(), u64 stack, HostPages pages, bool ports);
void enter(u64 count);
u64 exit_reason();
}  // namespace guest::svm
