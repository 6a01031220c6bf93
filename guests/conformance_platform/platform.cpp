#include "guests/conformance_platform/platform.h"

#include "guests/runtime/console.h"

extern "C" guest::u32 kernel_main() {
  using namespace guest;
  constexpr unsigned (*groups[])() = {check_boot,      check_firmware,    check_interrupt_controllers,
                                      check_clocks,    check_peripherals, check_local_apic,
                                      check_processors};
  unsigned failed = 0;
  for (const auto check : groups) failed += check();
  if (failed == 0) {
    print("platform: all passed\n");
  } else {
    print("platform: ", failed, " failed\n");
  }
  return failed == 0 ? 0 : 1;
}
