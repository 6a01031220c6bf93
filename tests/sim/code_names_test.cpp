// The same linear address has one name in the hypervisor's world and another in a guest's.

#include <gtest/gtest.h>

#include "sim/debug/code_names.h"

extern "C" int sc_main(int, char**) { return 0; }

namespace bunshin {
namespace {

const Symbols& guest() {
  static const Symbols symbols({{0x100000, "start"}, {0xffffffff81000000, "entry_SYSCALL_64"}});
  return symbols;
}

CodeNames names() {
  CodeNames names(guest(), {});
  names.set_hypervisor(Symbols({{0x100000, "_ZN7bunshin3vmm11handle_portERNS0_5GuestERKNS0_4ExitE"},
                                {0x100040, "_ZThn8_N7bunshin3vmm4bare12BareHardware3tscEv"},
                                {0x100080, "svm_switch"},
                                {0x101000, "image_end"}}));
  return names;
}

TEST(CodeNames, TheHypervisorRunsWhereItLies) {
  EXPECT_EQ(names().describe(0x100004, 0x100004), "handle_port+0x4");
  EXPECT_EQ(names().function(0x100050, 0x100050), "bare::BareHardware::tsc");
  EXPECT_EQ(names().function(0x100100, 0x100100), "svm_switch");
}

TEST(CodeNames, AGuestLiesElsewhere) {
  EXPECT_EQ(names().describe(0x100004, 0x7f00004), "start+0x4");
  EXPECT_FALSE(names().is_hypervisor(0x100004, 0x7f00004));
}

TEST(CodeNames, BeyondItsImageNothingIsTheHypervisors) {
  EXPECT_FALSE(names().is_hypervisor(0x101000, 0x101000));
  EXPECT_FALSE(names().is_hypervisor(0xff000, 0xff000));
}

TEST(CodeNames, WithoutOneEverythingIsTheGuests) {
  EXPECT_EQ(CodeNames(guest(), {}).describe(0x100004, 0x100004), "start+0x4");
}

TEST(CodeNames, AKernelThatHasMovedIsFound) {
  const CodeNames moved(guest(), {{HostPhysical(0x2000000), {{0xffffffff91000000, "entry_SYSCALL_64"}}}});
  EXPECT_EQ(moved.describe(0xffffffff91000002, 0x1000002), "entry_SYSCALL_64+0x2");
}

TEST(CodeNames, TwoKernelsAtTheSameAddressesLieInTwoPlaces) {
  const Symbols none;
  const CodeNames both(none, {{HostPhysical(0x2000000), {{0xffffffff81000000, "theirs"}}},
                              {HostPhysical(0x8000000), {{0xffffffff81000000, "ours"}}}});
  EXPECT_EQ(both.describe(0xffffffff81000010, 0x1000010), "theirs+0x10");
  EXPECT_EQ(both.describe(0xffffffff81000010, 0x7000010), "ours+0x10");
  EXPECT_EQ(both.function(0x400000, 0x3000000), "");
}

}  // namespace
}  // namespace bunshin
