// Any file is a kernel or a std::runtime_error, by every loader.

#include <stdexcept>
#include <vector>

#include "sim/loader/loader.h"
#include "tests/fuzz/target.h"

namespace {

using namespace bunshin;

void load(const std::string& protocol, const std::vector<u8>& bytes) {
  PhysicalMemory memory(u64{64} << 20);
  BootMemory boot(memory, {{0xe0000, 0x20000}});
  CpuState state;
  GuestFiles files;
  files.protocol = protocol;
  files.kernel = "kernel";
  try {
    load_guest(files, ImageFile("kernel", bytes), boot, 0xe0000, state);
  } catch (const std::runtime_error&) {
    // What a damaged kernel is to end in.
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr const char* protocols[] = {"auto", "linux", "multiboot", "multiboot2", "pvh", "elf"};
  std::vector<u8> bytes(data + 1, data + size);
  // Random bytes seldom begin as an ELF file does: every other input is helped over that.
  const u8 magic[] = {0x7f, 'E', 'L', 'F', static_cast<u8>(1 + (data[0] >> 6) % 2), 1, 1};
  if ((data[0] & 0x80) != 0 && bytes.size() >= sizeof(magic))
    std::copy(std::begin(magic), std::end(magic), bytes.begin());
  load(protocols[data[0] % 6], bytes);
  return 0;
}
