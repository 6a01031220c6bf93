// The second stage leads to the guest's memory and nowhere else.

#include <gtest/gtest.h>

#include "host_machine.h"
#include "vmm-model/paging/nested_paging.h"

namespace bunshin::vmm {
namespace {

constexpr u64 present = 1, large = 0x80, frame = 0x000f'ffff'ffff'f000;

TEST(NestedPages, MapTheGuestsMemoryAndNothingElse) {
  HostMachine machine(64 << 20);
  PagePool pool(machine);
  pool.add(0x1000, 16 << 20);
  for (const u64 page_bytes : {page_size, u64{2} << 20, u64{1} << 30}) {
    GuestMemory memory(machine, HostPhysical(32 << 20), 6 << 20);
    StillProcessor processor;
    NestedPaging paging({machine, pool, memory, processor, 40}, page_bytes);
    ASSERT_TRUE(paging.start());
    const auto fault = [&](u64 address) {
      Exit exit;
      exit.reason = ExitReason::SecondStageFault;
      exit.address = address;
      return paging.fault(exit).outcome;
    };
    EXPECT_EQ(fault(0x5f'f123), FaultOutcome::Resume);
    EXPECT_EQ(fault(0x1234), FaultOutcome::Resume);
    EXPECT_EQ(fault(0x60'0000), FaultOutcome::Emulate);
    EXPECT_EQ(fault(0xb8000), FaultOutcome::Emulate);
    EXPECT_EQ(fault(~u64{0}), FaultOutcome::Emulate);
    // Every leaf lies in the guest's memory.
    const auto check = [&](const auto& self, u64 table, unsigned level) -> void {
      for (unsigned i = 0; i < 512; ++i) {
        const u64 entry = machine.load(HostPhysical(table + 8 * i), 8);
        if ((entry & present) == 0) continue;
        if (level == 1 || (entry & large) != 0) {
          EXPECT_GE(entry & frame, u64{32} << 20);
          EXPECT_LE((entry & frame) + (u64{1} << (12 + 9 * (level - 1))), u64{38} << 20);
        } else {
          self(self, entry & frame, level - 1);
        }
      }
    };
    check(check, processor.root.value, 4);
  }
}

}  // namespace
}  // namespace bunshin::vmm
