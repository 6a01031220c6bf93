// In a virtual machine, under EPT or nested paging. Its pages are of 4 KiB too or, if the command line holds "host2m", of 2 MiB.

#include "guests/bench/bench.h"
#include "guests/hypervisor/hypervisor.h"
#include "guests/tlb_bound/tlb_bound.h"

namespace {

constexpr guest::u64 stack_bytes = 32768;
alignas(16) guest::u8 stack[stack_bytes];

void guest_main() { guest::finish(run_tlb_bound()); }

}  // namespace

guest::u32 kernel_main() {
  if (!guest::start_hypervisor() || !guest::has_nested_paging()) {
    guest::print("tlb_bound_nested: the processor has neither EPT nor nested paging\n");
    return 1;
  }
  const bool large = guest::command_line_holds("host2m");
  // A function is entered with its return address on the stack.
  const auto top = reinterpret_cast<guest::u64>(stack + stack_bytes) - 8;
  guest::prepare_guest(guest_main, top, large ? guest::HostPages::Large : guest::HostPages::Small, false);
  guest::round_trips(1);
  guest::print("tlb_bound_nested: exit ", guest::last_exit(), "\n");
  return 1;
}
