#include "sim/vmm/hypervisor_boot.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "vmm-model/bare/multiboot_information.h"

namespace bunshin {

namespace {

namespace fs = std::filesystem;

fs::path own_directory() {
  std::error_code error;
  const fs::path own = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::path(".") : own.parent_path();
}

/// The hypervisor takes whole KiB.
std::string size_text(u64 bytes) { return fmt::format("{}K", bytes >> 10); }

}  // namespace

std::string hypervisor_image(const MachineConfig& config) {
  if (!config.vmm.image.empty()) return config.vmm.image;
  CpuProfile profile = config.cpu;
  profile.resolve();
  // Guests in user state are the 32-bit image's.
  const bool wide = profile.has(Feature::Lm) && config.vmm.execution != "deprivileged";
  const std::string image = (own_directory() / "vmm-model" / (wide ? "bunshin-vmm.elf" : "bunshin-vmm32.elf")).string();
  std::error_code error;
  if (fs::is_regular_file(image, error)) return image;
  throw ConfigError(
      fmt::format("vmm.image: there is no {}: build the target bunshin_vmm_image, or name an image", image));
}

std::string with_guests_files(const MachineConfig& config, const std::string& refusal) {
  const auto described = [&](const std::string& name, const std::string& kernel, const std::vector<std::string>& initrd,
                             u64 memory) {
    const std::string start = "guest " + name + ": ";
    if (!refusal.starts_with(start)) return std::string();
    return fmt::format("{} (kernel {}{}{}, {} MiB of memory)", refusal, kernel, initrd.empty() ? "" : ", initrd ",
                       fmt::join(initrd, ", "), memory >> 20);
  };
  for (const VmmGuestParameters& g : config.vmm.guests) {
    if (const std::string text = described(g.name, g.kernel, g.initrd, g.memory); !text.empty()) return text;
  }
  const std::string text =
      described("guest", config.guest.kernel, config.guest.initrd, config.vmm.guest_memory_of(config.machine.memory));
  return text.empty() ? refusal : text;
}

std::string hypervisor_symbols_file(const MachineConfig& config) {
  const std::string image = hypervisor_image(config);
  std::error_code error;
  return fs::is_regular_file(image + "64", error) ? image + "64" : image;
}

HypervisorBoot::HypervisorBoot(const MachineConfig& config)
    : image_(config.vmm.binding == "bare" ? hypervisor_image(config) : "") {
  const VmmParameters& vmm = config.vmm;
  machine_memory_ = config.machine.memory;
  if (!image_.empty()) check_image();
  configuration_ = fmt::format("paging = {}\nnested_page = {}\nslice = {}us\n", vmm.paging, vmm.nested_page, vmm.slice);
  // What is as the hypervisor has it by itself need not be said.
  if (vmm.execution != "auto") configuration_ += fmt::format("execution = {}\n", vmm.execution);
  if (!vmm.scan) configuration_ += "scan = off\n";
  if (vmm.guests.empty()) add_single_guest(config);
  for (const VmmGuestParameters& guest : vmm.guests) add_guest(guest);
}

void HypervisorBoot::add_single_guest(const MachineConfig& config) {
  VmmGuestParameters guest;
  guest.name = "guest";
  guest.memory = config.vmm.guest_memory_of(config.machine.memory);
  guest.cmdline = config.guest.cmdline;
  if (!config.guest.disks.empty()) guest.disk = config.guest.disks.front();
  guest.kernel = config.guest.kernel;
  guest.initrd = config.guest.initrd;
  add_guest(guest);
}

/// Another kernel would ignore its modules and go its own way.
void HypervisorBoot::check_image() const {
  constexpr std::string_view greeting = "bunshin-vmm: ";
  const ImageFile image = ImageFile::open(image_);
  if (std::ranges::search(image.bytes(), greeting).empty()) {
    throw ConfigError(fmt::format("vmm.image: {} is not the hypervisor: build the target bunshin_vmm_image", image_));
  }
}

std::size_t HypervisorBoot::module_of(const std::string& path) {
  for (std::size_t i = 0; i < modules_.size(); ++i) {
    if (modules_[i].name() == path) return i + 1;
  }
  // Beside the configuration. The hosted hypervisor takes any number.
  constexpr std::size_t most = vmm::bare::BootInformation::max_modules - 1;
  if (!image_.empty() && modules_.size() == most) {
    throw ConfigError(fmt::format("{}: the hypervisor's image takes {} files of guests at most", path, most));
  }
  std::error_code error;
  if (const u64 bytes = fs::file_size(path, error); !error && bytes >= machine_memory_) {
    throw ConfigError(
        fmt::format("{}: does not fit into machine.memory: {} MiB of {}", path, bytes >> 20, machine_memory_ >> 20));
  }
  modules_.push_back(ImageFile::open(path));
  if (modules_.back().size() == 0) modules_.back().fail("is empty");
  return modules_.size();
}

void HypervisorBoot::add_guest(const VmmGuestParameters& guest) {
  const std::size_t kernel = module_of(guest.kernel);
  configuration_ += fmt::format("[guest {}]\nmemory = {}\nkernel = {}\n", guest.name, size_text(guest.memory), kernel);
  const bool linux = is_linux(modules_[kernel - 1]);
  for (const std::string& entry : guest.initrd) {
    const auto [path, arguments] = linux ? std::pair(entry, std::string()) : split_module(entry);
    configuration_ += fmt::format("initrd = {}{}{}\n", module_of(path), arguments.empty() ? "" : " ", arguments);
  }
  if (guest.cmdline.find_first_not_of(" \t") != std::string::npos) {
    configuration_ += fmt::format("cmdline = {}\n", guest.cmdline);
  }
  if (!guest.disk.empty()) configuration_ += fmt::format("disk = {}\n", module_of(guest.disk));
  if (guest.paging != "default") configuration_ += fmt::format("paging = {}\n", guest.paging);
  if (guest.limit != 0) configuration_ += fmt::format("limit = {}us\n", guest.limit);
}

GuestFiles HypervisorBoot::files() const {
  GuestFiles files{"multiboot", image_, {}, "", {}};
  files.modules.emplace_back("vmm.cfg", std::vector<u8>(configuration_.begin(), configuration_.end()));
  // A number is what the configuration calls a module: names of files may be anything.
  for (const ImageFile& module : modules_) files.modules.push_back(module);
  return files;
}

}  // namespace bunshin
