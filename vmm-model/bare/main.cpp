// The hypervisor as an operating system: what Multiboot hands over becomes a page pool and boot modules, and off it goes.

#include <algorithm>
#include <new>

#include "vmm-model/bare/back_ends.h"
#include "vmm-model/bare/bare_hardware.h"
#include "vmm-model/bare/interrupts.h"
#include "vmm-model/bare/multiboot_information.h"
#include "vmm-model/hypervisor.h"
#include "vmm-model/message.h"

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
  Message hello;
  hello << "bunshin-vmm: " << machine.hardware.tsc_hertz() / 1'000'000 << " MHz, ";
  boot.fill(machine.pool);
  hello << machine.pool.free_pages() / 256 << " MiB, " << boot.modules().size() << " modules\n";
  machine.hardware.log(hello.text());
  const bool good = machine.hypervisor.start(boot.modules()) && machine.hypervisor.run();
  machine.hardware.log(good ? "bunshin-vmm: all guests ended well\n" : "bunshin-vmm: not all is well\n");
  machine.hardware.power_off(good);
}

}  // namespace bunshin::vmm::bare
