// The hypervisor as an operating system: what Multiboot hands over becomes a page pool and boot modules, and off it goes.

#include <algorithm>
#include <new>

#include "vmm-model/bare/back_ends.h"
#include "vmm-model/bare/bare_hardware.h"
#include "vmm-model/bare/interrupts.h"
#include "vmm-model/bare/multiboot_information.h"
#include "vmm-model/hypervisor.h"

namespace bunshin::vmm::bare {
namespace {

/// Everything the hypervisor is. It lives on the boot stack's side of the image, made when boot is far enough.
struct Machine {
  BareHardware hardware;
  PagePool pool{hardware};
  BackEnds back_ends;
  Hypervisor hypervisor{hardware, pool, back_ends.list};
};

alignas(Machine) u8 machine_memory[sizeof(Machine)];

}  // namespace

extern "C" void bare_main(u32 magic, u64 information) {
  load_interrupt_table();
  Machine& machine = *new (machine_memory) Machine;
  set_fatal_console(machine.hardware);
  machine.hardware.connect(machine.pool);
  BootInformation boot(magic, information);
  boot.fill(machine.hardware, machine.pool);
  machine.hypervisor.serve(boot.modules());
}

}  // namespace bunshin::vmm::bare
