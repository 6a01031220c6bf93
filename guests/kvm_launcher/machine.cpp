#include "guests/kvm_launcher/machine.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <algorithm>

#include "guests/kvm_launcher/failure.h"

namespace launcher {

namespace {

constexpr std::uint64_t low_limit = 3ULL << 30, four_gib = 4ULL << 30;
/// Four pages that KVM needs on VT-x without unrestricted guests, away from RAM and chips.
constexpr std::uint64_t identity_map = 0xfeffc000, task_state = identity_map + 0x1000;

}  // namespace

Machine::Machine(const Options& options) : size_(options.memory), low_size_(std::min(options.memory, low_limit)) {
  system_ = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (system_ < 0) fail_errno("/dev/kvm cannot be opened (is kvm_intel or kvm_amd loaded?)");
  const int version = system_control(KVM_GET_API_VERSION, "KVM_GET_API_VERSION", 0);
  if (version != KVM_API_VERSION) fail(cannot_start, "this KVM speaks version %d, not %d", version, KVM_API_VERSION);
  run_size_ = static_cast<std::size_t>(system_control(KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE", 0));
  machine_ = system_control(KVM_CREATE_VM, "KVM_CREATE_VM", 0);
  create_memory();
  create_chips();
}

void Machine::create_memory() {
  void* mapped = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) fail_errno("no %llu MiB for the guest", static_cast<unsigned long long>(size_ >> 20));
  base_ = static_cast<std::uint8_t*>(mapped);
  kvm_userspace_memory_region region{};
  region.memory_size = low_size_;
  region.userspace_addr = reinterpret_cast<std::uint64_t>(base_);
  machine_control(KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", reinterpret_cast<std::uint64_t>(&region));
  if (high_memory() == 0) return;
  region.slot = 1;
  region.guest_phys_addr = four_gib;
  region.memory_size = high_memory();
  region.userspace_addr += low_size_;
  machine_control(KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", reinterpret_cast<std::uint64_t>(&region));
}

void Machine::create_chips() const {
  // Before the first virtual processor, as the KVM documentation asks.
  const std::uint64_t map = identity_map;
  machine_control(KVM_SET_IDENTITY_MAP_ADDR, "KVM_SET_IDENTITY_MAP_ADDR", reinterpret_cast<std::uint64_t>(&map));
  machine_control(KVM_SET_TSS_ADDR, "KVM_SET_TSS_ADDR", task_state);
  machine_control(KVM_CREATE_IRQCHIP, "KVM_CREATE_IRQCHIP", 0);
  // With port 61h, whose speaker gate and refresh bit kernels use to measure the TSC.
  kvm_pit_config timer{};
  timer.flags = KVM_PIT_SPEAKER_DUMMY;
  machine_control(KVM_CREATE_PIT2, "KVM_CREATE_PIT2", reinterpret_cast<std::uint64_t>(&timer));
}

std::uint8_t* Machine::memory(std::uint64_t address, std::uint64_t size, const char* what) const {
  if (address > low_size_ || size > low_size_ - address) {
    fail(cannot_start, "%s (%llu KiB at %#llx) does not fit %llu MiB of memory: see --memory", what,
         static_cast<unsigned long long>((size + 1023) >> 10), static_cast<unsigned long long>(address),
         static_cast<unsigned long long>(size_ >> 20));
  }
  return base_ + address;
}

int Machine::machine_control(unsigned long request, const char* name, std::uint64_t argument) const {
  const int result = ioctl(machine_, request, argument);
  if (result < 0) fail_errno("%s", name);
  return result;
}

int Machine::system_control(unsigned long request, const char* name, std::uint64_t argument) const {
  const int result = ioctl(system_, request, argument);
  if (result < 0) fail_errno("%s", name);
  return result;
}

void Machine::interrupt_line(unsigned line, bool level) const {
  kvm_irq_level request{};
  request.irq = line;
  request.level = level ? 1 : 0;
  machine_control(KVM_IRQ_LINE, "KVM_IRQ_LINE", reinterpret_cast<std::uint64_t>(&request));
}

}  // namespace launcher
