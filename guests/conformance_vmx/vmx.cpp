// VT-x as software meets it, one line for each fact of Intel SDM vol. 3, chapters 23 to 30.

#include "guests/conformance_vmx/machine.h"

guest::u32 kernel_main() {
  using namespace guest;
  out8(0x21, 0xff);
  out8(0xa1, 0xff);
  if (!is_intel_with_vmx()) {
    print("vmx: not present\n", "end of facts\n");
    return 0;
  }
  check_operations();
  check_capabilities();
  check_fields();
  check_controls();
  check_host_state();
  check_guest_segments();
  check_guest_state();
  check_instruction_exits();
  check_vmx_exits();
  check_control_exits();
  check_map_exits();
  check_exception_exits();
  check_task_exits();
  check_injection();
  check_interrupts();
  check_nested_paging();
  check_ept_features();
  check_translations();
  check_virtual_apic();
  check_shadowing();
  check_state();
  check_time();
  check_host_of_32_bits();
  check_end();
  print("end of facts\n");
  return failed_checks() == 0 ? 0 : 1;
}
