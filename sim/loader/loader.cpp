#include "sim/loader/loader.h"

#include <filesystem>
#include <stdexcept>

#include <fmt/format.h>

namespace bunshin {

namespace {

void reject_compressed(const ImageFile& image) {
  if (image.size() >= 2 && image.get<u16>(0, "magic") == 0x8b1f) image.fail("is compressed with gzip: unpack it first");
}

LoadedGuest load_automatically(const BootContext& context) {
  const ImageFile& image = context.image;
  reject_compressed(image);
  if (is_linux(image)) return load_linux(context);
  if (find_multiboot_header(image)) return load_multiboot(context);
  if (find_multiboot2_header(image)) return load_multiboot2(context);
  if (!ElfFile::is_elf(image)) {
    image.fail("is not a kernel that any loader knows: no Linux, Multiboot or ELF header");
  }
  return is_pvh(image) ? load_pvh(context) : load_elf(context);
}

}  // namespace

LoadedGuest load_guest(const GuestFiles& files, BootMemory& memory, u64 rsdp, CpuState& state) {
  return load_guest(files, ImageFile::open(files.kernel), memory, rsdp, state);
}

LoadedGuest load_guest(const GuestFiles& files, const ImageFile& image, BootMemory& memory, u64 rsdp, CpuState& state) {
  const BootContext context{files, image, memory, rsdp, state};
  if (image.size() == 0) image.fail("is empty");
  if (files.protocol == "auto") return load_automatically(context);
  if (files.protocol == "linux") return load_linux(context);
  if (files.protocol == "multiboot") return load_multiboot(context);
  if (files.protocol == "multiboot2") return load_multiboot2(context);
  if (files.protocol == "pvh") return load_pvh(context);
  if (files.protocol == "elf") return load_elf(context);
  throw std::runtime_error(fmt::format("{}: no loader is called '{}'", image.name(), files.protocol));
}

std::string base_name(const std::string& path) { return std::filesystem::path(path).filename().string(); }

std::pair<std::string, std::string> split_module(const std::string& text) {
  std::error_code error;
  for (std::size_t blank = text.size();; blank = text.rfind(' ', blank - 1)) {
    if (blank == std::string::npos || blank == 0) break;
    if (std::filesystem::is_regular_file(text.substr(0, blank), error)) {
      return {text.substr(0, blank), text.substr(std::min(text.size(), blank + 1))};
    }
  }
  const std::size_t first = text.find(' ');
  return {text.substr(0, first), first == std::string::npos ? "" : text.substr(first + 1)};
}

std::vector<LoadedModule> load_modules(const BootContext& context, u64 from) {
  std::vector<LoadedModule> modules;
  const auto load = [&](const ImageFile& file, const std::string& text) {
    LoadedModule module;
    if (file.size() == 0) file.fail("the module is empty");
    module.begin = context.memory.place_low(file.size(), page_size, from, u64{1} << 32, file.name(), "module");
    module.end = module.begin + file.size();
    context.memory.write(module.begin, file.bytes());
    module.text = text;
    module.string = context.memory.place_string(module.text, "module's string");
    modules.push_back(module);
    from = module.end;
  };
  for (const ImageFile& file : context.files.modules) load(file, base_name(file.name()));
  for (const std::string& entry : context.files.initrd) {
    const auto [path, arguments] = split_module(entry);
    load(ImageFile::open(path), base_name(path) + (arguments.empty() ? "" : " " + arguments));
  }
  return modules;
}

std::string command_line_with_name(const GuestFiles& files) {
  const std::string name = base_name(files.kernel);
  return files.cmdline.empty() ? name : name + " " + files.cmdline;
}

}  // namespace bunshin
