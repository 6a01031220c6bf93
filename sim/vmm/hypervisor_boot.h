#pragma once

// From the configuration to what the machine boots instead of the guest: the hypervisor's image, its own configuration
// (vmm-model/config.h), and guests' files, as Multiboot modules.

#include <string>
#include <vector>

#include "sim/config/machine_config.h"
#include "sim/loader/loader.h"

namespace bunshin {

class HypervisorBoot {
 public:
  /// Reads the guests' files. Throws std::runtime_error naming the one that cannot be read or used.
  explicit HypervisorBoot(const MachineConfig& config);

  const std::string& configuration() const { return configuration_; }
  /// What the loader gets: the image, if the hypervisor is one, and the modules with the configuration first.
  GuestFiles files() const;

 private:
  /// The module's number. What several guests name is loaded once.
  std::size_t module_of(const std::string& path);
  void add_guest(const VmmGuestParameters& guest);
  void add_single_guest(const MachineConfig& config);

  void check_image() const;

  std::string image_;
  u64 machine_memory_ = 0;
  std::string configuration_;
  std::vector<ImageFile> modules_;
};

/// The image that the configuration means. Throws ConfigError if there is no such file.
std::string hypervisor_image(const MachineConfig& config);
/// "guest NAME: why", as the hypervisor refuses a guest, with what the configuration gives it to run.
std::string with_guests_files(const MachineConfig& config, const std::string& refusal);
/// Where the hypervisor's symbols are: the 64-bit file from which its image was made, or the image itself.
std::string hypervisor_symbols_file(const MachineConfig& config);

}  // namespace bunshin
