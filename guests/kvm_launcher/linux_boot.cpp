#include "guests/kvm_launcher/linux_boot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cstring>

#include "guests/kvm_launcher/failure.h"

namespace launcher {

namespace {

class File {
 public:
  explicit File(const char* path) : path_(path), file_(open(path, O_RDONLY | O_CLOEXEC)) {
    struct stat status {};
    if (file_ < 0 || fstat(file_, &status) != 0) fail_errno("%s", path);
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
  ~File() { close(file_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::uint64_t size() const { return size_; }
  void read(std::uint64_t offset, std::uint8_t* to, std::uint64_t size) const {
    while (size != 0) {
      const ssize_t got = pread(file_, to, size, static_cast<off_t>(offset));
      if (got < 0) fail_errno("%s", path_);
      if (got == 0) fail(cannot_start, "%s is too short", path_);
      offset += static_cast<std::uint64_t>(got);
      to += got;
      size -= static_cast<std::uint64_t>(got);
    }
  }

 private:
  const char* path_;
  int file_;
  std::uint64_t size_ = 0;
};

template <class T>
T get(const std::uint8_t* from, std::size_t offset) {
  T value;
  memcpy(&value, from + offset, sizeof value);
  return value;
}

template <class T>
void put(std::uint8_t* to, std::size_t offset, T value) {
  memcpy(to + offset, &value, sizeof value);
}

/// Offsets in the boot parameters ("The Real-Mode Kernel Header" and "zero-page" of the protocol).
namespace field {
constexpr std::size_t rsdp = 0x70, map_entries = 0x1e8, setup_sectors = 0x1f1, signature = 0x202, version = 0x206;
constexpr std::size_t loader_type = 0x210, load_flags = 0x211, initrd_address = 0x218, initrd_size = 0x21c;
constexpr std::size_t command_line = 0x228, initrd_highest = 0x22c, extended_flags = 0x236, command_line_size = 0x238;
constexpr std::size_t preferred_address = 0x258, init_size = 0x260, map = 0x2d0, header_end = 0x268;
}  // namespace field

constexpr std::uint64_t sector = 512, parameters_size = 4096, entry_64 = 0x200;

class MemoryMap {
 public:
  explicit MemoryMap(std::uint8_t* parameters) : parameters_(parameters) {}
  void add(std::uint64_t base, std::uint64_t size, bool usable) {
    constexpr std::size_t record = 20;
    const std::size_t at = field::map + record * count_++;
    put(parameters_, at, base);
    put(parameters_, at + 8, size);
    put(parameters_, at + 16, std::uint32_t{usable ? 1u : 2u});
    put(parameters_, field::map_entries, count_);
  }

 private:
  std::uint8_t* parameters_;
  std::uint8_t count_ = 0;
};

void describe_memory(const Machine& machine, std::uint8_t* parameters) {
  MemoryMap map(parameters);
  map.add(0, 0xa0000, true);
  map.add(place::acpi, 0x100000 - place::acpi, false);
  map.add(0x100000, machine.low_memory() - 0x100000, true);
  if (machine.high_memory() != 0) map.add(4ULL << 30, machine.high_memory(), true);
}

void load_initrd(const Machine& machine, const char* path, std::uint64_t kernel_end, std::uint8_t* parameters) {
  const File file(path);
  const std::uint64_t highest = get<std::uint32_t>(parameters, field::initrd_highest);
  const std::uint64_t top = std::min(machine.low_memory(), highest + 1);
  if (file.size() > top || ((top - file.size()) & ~0xfffULL) < kernel_end) {
    fail(cannot_start, "%s does not fit beside the kernel in %llu MiB: see --memory", path,
         static_cast<unsigned long long>(machine.low_memory() >> 20));
  }
  const std::uint64_t address = (top - file.size()) & ~0xfffULL;
  file.read(0, machine.memory(address, file.size(), path), file.size());
  put(parameters, field::initrd_address, static_cast<std::uint32_t>(address));
  put(parameters, field::initrd_size, static_cast<std::uint32_t>(file.size()));
}

}  // namespace

std::uint64_t load_linux(const Machine& machine, const Options& options) {
  const File file(options.kernel);
  std::uint8_t header[field::header_end] = {};
  if (file.size() > sizeof header) file.read(0, header, sizeof header);
  if (get<std::uint32_t>(header, field::signature) != 0x53726448)
    fail(cannot_start, "%s is no bzImage", options.kernel);
  // Since protocol 2.12 XLF_KERNEL_64 says that there is a 64-bit entry.
  if (get<std::uint16_t>(header, field::version) < 0x20c ||
      (get<std::uint16_t>(header, field::extended_flags) & 1) == 0) {
    fail(cannot_start, "%s has no 64-bit entry", options.kernel);
  }
  const std::uint64_t sectors = header[field::setup_sectors] == 0 ? 4 : header[field::setup_sectors];
  const std::uint64_t start = (sectors + 1) * sector;
  const std::uint64_t address = get<std::uint64_t>(header, field::preferred_address);
  const std::uint64_t room = get<std::uint32_t>(header, field::init_size);
  if (file.size() < start) fail(cannot_start, "%s is too short", options.kernel);
  const std::uint64_t size = file.size() - start;
  file.read(start, machine.memory(address, std::max(room, size), options.kernel), size);

  std::uint8_t* parameters = machine.memory(place::boot_parameters, parameters_size, "boot parameters");
  memset(parameters, 0, parameters_size);
  memcpy(parameters + field::setup_sectors, header + field::setup_sectors, field::header_end - field::setup_sectors);
  parameters[field::loader_type] = 0xff;
  parameters[field::load_flags] = static_cast<std::uint8_t>(parameters[field::load_flags] | 1);  // LOADED_HIGH
  put(parameters, field::rsdp, place::acpi);
  const std::size_t length = strlen(options.cmdline);
  if (length > get<std::uint32_t>(header, field::command_line_size)) {
    fail(cannot_start, "the command line is longer than this kernel takes");
  }
  memcpy(machine.memory(place::command_line, length + 1, "command line"), options.cmdline, length + 1);
  put(parameters, field::command_line, static_cast<std::uint32_t>(place::command_line));
  describe_memory(machine, parameters);
  if (options.initrd != nullptr) load_initrd(machine, options.initrd, address + std::max(room, size), parameters);
  return address + entry_64;
}

void load_flat(const Machine& machine, const char* path, std::uint64_t address) {
  const File file(path);
  file.read(0, machine.memory(address, file.size(), path), file.size());
}

}  // namespace launcher
