// The whole hypervisor in this process, on a modeled core: a debugger and the sanitizers see all of it.

#include "tests/vmm-model/modeled_machine.h"

extern "C" const bunshin::u8 tiny_guest[], tiny_guest_end[];

namespace bunshin::vmm {
namespace {

std::span<const u8> guest_image() { return {tiny_guest, static_cast<std::size_t>(tiny_guest_end - tiny_guest)}; }

struct Case {
  const char* name;
  const char* vendor;
  const char* paging;
};

/// With everything that the simulator knows of that maker's.
CpuProfile processor_of(const Case& c) { return resolved_profile(c.vendor); }

class HostedHypervisorTest : public testing::TestWithParam<Case> {
 protected:
  static std::string configuration() {
    return std::string("paging = ") + GetParam().paging + "\n[guest tiny]\nmemory = 4M\nkernel = kernel\n";
  }
  ModeledMachine machine{processor_of(GetParam())};
};

TEST_P(HostedHypervisorTest, RunsAGuestToItsEnd) {
  EXPECT_EQ(machine.run(configuration(), guest_image()), "well") << machine.log;
  EXPECT_EQ(machine.console, "pages\ntraps taken\ntick\n") << machine.log;
}

/// AMD-V says of INT3 and INTO that exceptions were under way: injected as such, they returned to address 0.
TEST_P(HostedHypervisorTest, ABreakpointWhoseDeliveryExitsIsExecutedAgain) {
  machine.run(configuration(), guest_image());
  EXPECT_EQ(machine.console.substr(0, 18), "pages\ntraps taken\n") << machine.log;
}

/// It is the highest that a guest gets, and was left unused.
TEST_P(HostedHypervisorTest, UsesMemoryAboveFourGib) {
  ModeledMachine large(processor_of(GetParam()), u64{4} << 30);
  EXPECT_EQ(large.run(configuration(), guest_image()), "well") << large.log;
  EXPECT_EQ(large.console, "pages\ntraps taken\ntick\n") << large.log;
}

/// The timer's clock and the time-stamp counter are measured, and agree but nearly. Spent before its time it was not set again: Xen,
/// waiting for ticks of the PIT in a loop that does not exit, found "IO-APIC + timer doesn't work".
TEST_P(HostedHypervisorTest, ATimerThatGoesOffEarlyIsSetAgain) {
  ModeledMachine hasty(processor_of(GetParam()), u64{64} << 20, 2000);
  EXPECT_EQ(hasty.run(configuration(), guest_image()), "well") << hasty.log;
  EXPECT_EQ(hasty.console, "pages\ntraps taken\ntick\n") << hasty.log;
}

TEST_P(HostedHypervisorTest, ExitsAreThoseOfThePagingMode) {
  machine.run(configuration(), guest_image());
  const std::string mode = GetParam().paging;
  // Each character, the end, and what the timer and its controller are told.
  EXPECT_EQ(machine.exits(ExitReason::Io), 23u + 1 + 13);
  EXPECT_EQ(machine.exits(ExitReason::Hlt), 1u);
  EXPECT_EQ(machine.exits(ExitReason::InvalidatePage), mode == "vtlb" ? 16u : 0u);
  // CR3 twice, and CR0.PG, which VT-x's second stage has to be told of as well.
  const u64 paging_on = GetParam().vendor == std::string("GenuineIntel") ? 1 : 0;
  EXPECT_EQ(machine.exits(ExitReason::WriteControl), mode == "nested" ? paging_on : 3);
  EXPECT_EQ(machine.exits(ExitReason::SecondStageFault) == 0, mode != "nested");
}

TEST_P(HostedHypervisorTest, ComputingTakesWhatTheTableSays) {
  machine.run(configuration(), guest_image());
  ModeledMachine slow(processor_of(GetParam()));
  ComputeCosts dear;
  for (ComputeCosts::Mode& mode : dear.modes) mode.start = 5'000'000'000;
  slow.run(configuration(), guest_image(), dear);
  EXPECT_GE(slow.processor().cycles(), machine.processor().cycles() + 4'900'000);
}

TEST_P(HostedHypervisorTest, RepeatsToTheCycle) {
  machine.run(configuration(), guest_image());
  ModeledMachine again(processor_of(GetParam()));
  again.run(configuration(), guest_image());
  StateHash first, second;
  machine.processor().hash(first);
  again.processor().hash(second);
  EXPECT_EQ(first.value(), second.value());
}

constexpr std::array cases{Case{"SvmNested", "AuthenticAMD", "nested"},   Case{"SvmVirtualTlb", "AuthenticAMD", "vtlb"},
                           Case{"SvmShadow", "AuthenticAMD", "shadow"},   Case{"VmxNested", "GenuineIntel", "nested"},
                           Case{"VmxVirtualTlb", "GenuineIntel", "vtlb"}, Case{"VmxShadow", "GenuineIntel", "shadow"}};
INSTANTIATE_TEST_SUITE_P(Modes, HostedHypervisorTest, testing::ValuesIn(cases),
                         [](const auto& mode) { return std::string(mode.param.name); });

TEST(HostedHypervisor, ABadConfigurationIsToldAndEndsTheMachine) {
  ModeledMachine machine(processor_of(cases.front()));
  EXPECT_EQ(machine.run("colour = red\n", guest_image()), "failed");
  EXPECT_NE(machine.log.find("vmm.cfg:1:1: unknown key"), std::string::npos) << machine.log;
}

TEST(HostedHypervisor, AProcessorWithoutVirtualizationIsRefused) {
  ModeledMachine machine(
      resolved_profile("AuthenticAMD", {"fpu", "tsc", "msr", "pae", "cx8", "apic", "fxsr", "sse", "sse2", "lm", "nx"}));
  EXPECT_EQ(machine.run("[guest a]\nkernel = kernel\n", guest_image()), "failed");
  EXPECT_NE(machine.log.find("AMD-V"), std::string::npos) << machine.log;
}

}  // namespace
}  // namespace bunshin::vmm
