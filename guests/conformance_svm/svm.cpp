// AMD-V as software meets it, one line for each fact of APM vol. 2, chapter 15.

#include "guests/conformance_svm/machine.h"

guest::u32 kernel_main() {
  using namespace guest;
  out8(0x21, 0xff);
  out8(0xa1, 0xff);
  if (!is_amd_with_svm()) {
    print("svm: not present\n", "end of facts\n");
    return 0;
  }
  check_instructions();
  check_consistency();
  check_injection_consistency();
  check_register_intercepts();
  check_instruction_intercepts();
  check_exception_intercepts();
  check_io_intercepts();
  check_msr_intercepts();
  check_task_intercepts();
  check_injection();
  check_interrupts();
  check_virtual_interrupts();
  check_nested_paging();
  check_translations();
  check_state();
  check_clean_bits();
  check_time();
  check_host_of_32_bits();
  check_long_mode_not_active();
  print("end of facts\n");
  return failed_checks() == 0 ? 0 : 1;
}
