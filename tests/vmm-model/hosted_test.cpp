// The whole hypervisor in this process, on a modeled core: a debugger and the sanitizers see all of it.

#include "tests/vmm-model/modeled_machine.h"

extern "C" const bunshin::u8 tiny_guest[], tiny_guest_end[];

namespace bunshin::vmm {
namespace {

std::span<const u8> guest_image() { return {tiny_guest, static_cast<std::size_t>(tiny_guest_end - tiny_guest)}; }

CpuProfile svm_processor() {
  return resolved_profile("AuthenticAMD",
                          {"fpu",  "pse", "tsc",  "msr", "pae", "cx8",     "apic",   "pge", "cmov", "pat",    "mmx",
                           "fxsr", "sse", "sse2", "lm",  "nx",  "syscall", "rdtscp", "svm", "npt",  "pdpe1gb"});
}

class HostedHypervisorTest : public testing::TestWithParam<const char*> {
 protected:
  std::string configuration() const {
    return std::string("paging = ") + GetParam() + "\n[guest tiny]\nmemory = 4M\nkernel = kernel\n";
  }
};

TEST_P(HostedHypervisorTest, RunsAGuestToItsEnd) {
  ModeledMachine machine(svm_processor());
  EXPECT_EQ(machine.run(configuration(), guest_image()), "well") << machine.log;
  EXPECT_EQ(machine.console, "pages\ntick\n") << machine.log;
}

TEST_P(HostedHypervisorTest, ExitsAreThoseOfThePagingMode) {
  ModeledMachine machine(svm_processor());
  machine.run(configuration(), guest_image());
  const std::string mode = GetParam();
  // Each character, the end, and what the timer and its controller are told.
  EXPECT_EQ(machine.exits(ExitReason::Io), 11u + 1 + 9);
  EXPECT_EQ(machine.exits(ExitReason::Hlt), 1u);
  EXPECT_EQ(machine.exits(ExitReason::InvalidatePage), mode == "vtlb" ? 16u : 0u);
  EXPECT_EQ(machine.exits(ExitReason::WriteControl) == 0, mode == "nested");
  EXPECT_EQ(machine.exits(ExitReason::SecondStageFault) == 0, mode != "nested");
}

TEST_P(HostedHypervisorTest, ComputingTakesWhatTheTableSays) {
  const auto cycles = [this](const ComputeCosts& costs) {
    ModeledMachine machine(svm_processor());
    machine.run(configuration(), guest_image(), costs);
    return machine.processor().cycles();
  };
  ComputeCosts dear;
  dear.start = 5'000'000'000;
  EXPECT_GE(cycles(dear), cycles({}) + 4'900'000);
}

TEST_P(HostedHypervisorTest, RepeatsToTheCycle) {
  const auto hash = [this] {
    ModeledMachine machine(svm_processor());
    machine.run(configuration(), guest_image());
    StateHash all;
    machine.processor().hash(all);
    return all.value();
  };
  EXPECT_EQ(hash(), hash());
}

INSTANTIATE_TEST_SUITE_P(PagingModes, HostedHypervisorTest, testing::Values("nested", "vtlb", "shadow"),
                         [](const auto& mode) { return std::string(mode.param); });

TEST(HostedHypervisor, ABadConfigurationIsToldAndEndsTheMachine) {
  ModeledMachine machine(svm_processor());
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
