#pragma once

// A machine's memory around one guest of the hypervisor: tables, a guard, the guest, a guard. Nobody may touch the guards.

#include <algorithm>

#include "base/check.h"
#include "tests/vmm-model/host_machine.h"
#include "vmm-model/guest_memory.h"

namespace bunshin::fuzz {

class GuardedMachine {
 public:
  static constexpr u64 mib = 1 << 20, tables = 1 * mib, tables_end = 3 * mib, guest_begin = 4 * mib, largest = 2 * mib,
                       total = 8 * mib;
  static constexpr u8 guard = 0xa5;

  explicit GuardedMachine(u64 guest_bytes) : machine(total), memory(machine, HostPhysical(guest_begin), guest_bytes) {
    pool.add(tables, tables_end);
    std::ranges::fill(machine.memory(0, tables), guard);
    std::ranges::fill(machine.memory(tables_end, guest_begin - tables_end), guard);
    std::ranges::fill(machine.memory(guest_end(), total - guest_end()), guard);
  }
  u64 guest_end() const { return guest_begin + memory.size(); }

  void check_guards() {
    const auto untouched = [](std::span<const u8> bytes) {
      return std::ranges::all_of(bytes, [](u8 byte) { return byte == guard; });
    };
    SIM_CHECK(untouched(machine.memory(0, tables)));
    SIM_CHECK(untouched(machine.memory(tables_end, guest_begin - tables_end)));
    SIM_CHECK(untouched(machine.memory(guest_end(), total - guest_end())));
  }

  vmm::HostMachine machine;
  vmm::PagePool pool{machine};
  vmm::GuestMemory memory;
};

}  // namespace bunshin::fuzz
