#pragma once

// One virtual machine: memory, interrupt controllers and timer inside KVM, virtual processors.

#include <linux/kvm.h>
#include <cstddef>
#include <cstdint>

#include "guests/kvm_launcher/options.h"

namespace launcher {

/// Physical addresses of what the launcher itself puts into the guest's first megabyte.
namespace place {
inline constexpr std::uint64_t gdt = 0x500, boot_parameters = 0x7000, page_tables = 0x9000, stack = 0x9000;
inline constexpr std::uint64_t result = 0x6000, command_line = 0x20000, acpi = 0xe0000;
}  // namespace place

class Machine {
 public:
  /// Opens /dev/kvm and creates everything; ends the program when it cannot.
  explicit Machine(const Options& options);

  /// The `size` bytes at physical `address`; ends the program, naming `what`, if there is no RAM for them.
  std::uint8_t* memory(std::uint64_t address, std::uint64_t size, const char* what) const;
  std::uint64_t low_memory() const { return low_size_; }
  std::uint64_t high_memory() const { return size_ - low_size_; }

  /// ioctl on the machine and on /dev/kvm; end the program, naming the request, when it fails.
  int machine_control(unsigned long request, const char* name, std::uint64_t argument) const;
  int system_control(unsigned long request, const char* name, std::uint64_t argument) const;
  /// Sets the level of an interrupt line.
  void interrupt_line(unsigned line, bool level) const;

  int file() const { return machine_; }
  /// The size of a virtual processor's shared kvm_run.
  std::size_t run_size() const { return run_size_; }

 private:
  void create_memory();
  void create_chips() const;

  int system_ = -1, machine_ = -1;
  std::size_t run_size_ = 0;
  std::uint64_t size_ = 0, low_size_ = 0;
  std::uint8_t* base_ = nullptr;
};

}  // namespace launcher
