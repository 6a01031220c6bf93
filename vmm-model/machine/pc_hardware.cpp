#include "vmm-model/machine/pc_hardware.h"

namespace bunshin::vmm {

void PcHardware::start_devices() {
  guests_.start();
  own_.start();
  clock_.start();
}

void PcHardware::log(std::string_view text) {
  for (const char c : text) own_.put(c);
}

void PcHardware::guest_output(std::span<const char> text) {
  for (const char c : text) guests_.put(c);
}

// The debug-exit port for a machine that has one and for a run that failed, then ACPI's soft-off as QEMU's boards and ours
// have it (PM1 control at 604H, SLP_EN, SLP_TYP 0).
void PcHardware::power_off(bool success) {
  constexpr u16 debug_exit = 0xf4, pm1_control = 0x604, sleep_enable = 1 << 13;
  if (!success) out(debug_exit, 4, 1);
  out(pm1_control, 2, sleep_enable);
  stop();
}

}  // namespace bunshin::vmm
