#include "guests/conformance_processor/processor.h"

#include "guests/runtime/console.h"
#include "guests/runtime/segments.h"

extern "C" {
extern guest::u64 user_return_stack;
extern char user_returned[];
void enter_user_mode(void (*program)(), void* stack);
}

namespace guest {

namespace {

constexpr unsigned return_vector = 0x81;

alignas(16) u8 user_stack[8192];

void leave_user_mode(Frame& frame) {
  frame.rip = reinterpret_cast<u64>(user_returned);
  frame.rsp = user_return_stack;
  frame.cs = code_selector;
  frame.ss = data_selector;
  frame.rflags = 2;
}

}  // namespace

void run_in_user_mode(void (*program)()) {
  set_handler(return_vector, leave_user_mode);
  set_gate_privilege(return_vector, 3);
  enter_user_mode(program, user_stack + sizeof(user_stack));
}

unsigned run_processor_checks(const char* group, const ProcessorCheck* checks, unsigned count) {
  unsigned failed = 0;
  for (unsigned i = 0; i < count; ++i) {
    print(group, ": ", checks[i].name, ": ");
    const bool passed = checks[i].passes();
    print(passed ? "ok\n" : "FAILED\n");
    if (!passed) ++failed;
  }
  return failed;
}

}  // namespace guest

guest::u32 kernel_main() {
  using namespace guest;
  // A firmware's timer must not tick into the single steps: both 8259As masked.
  out8(0x21, 0xff);
  out8(0xa1, 0xff);
  unsigned failed = check_registers() + check_protection() + check_encodings();
  failed += check_debugging();
  print(failed == 0 ? "all checks passed\n" : "some checks failed\n");
  return failed == 0 ? 0 : 1;
}
