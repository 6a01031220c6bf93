#include "guests/selftest/selftest.h"

#include "guests/runtime/console.h"

namespace guest {

unsigned run_checks(const char* group, const Check* checks, unsigned count) {
  unsigned failed = 0;
  for (unsigned i = 0; i < count; ++i) {
    print(group, ": ", checks[i].name, ": ");
    const bool passed = checks[i].passes();
    print(passed ? "ok\n" : "FAILED\n");
    if (!passed) ++failed;
  }
  return failed;
}

bool expect_exception(const Exception& exception, u64 vector, u64 error) {
  if (!exception.raised) {
    print("no exception, ");
    return false;
  }
  print("exception ", exception.vector, " error ", Hex{exception.error}, ", ");
  return exception.vector == vector && exception.error == error;
}

}  // namespace guest

extern "C" guest::u32 kernel_main() {
  using namespace guest;
  constexpr unsigned (*groups[])() = {check_exceptions, check_instructions, check_paging, check_modes, check_timers};
  unsigned failed = 0;
  for (const auto check : groups) {
    failed += check();
  }
  if (failed == 0) {
    print("selftest: all passed\n");
  } else {
    print("selftest: ", failed, " failed\n");
  }
  return failed == 0 ? 0 : 1;
}
