// Any kernel and initrds: the hypervisor's loaders put them into the guest's memory or say what is wrong.

#include <array>
#include <string>
#include <vector>

#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/vmm_memory.h"
#include "vmm-model/boot/guest_loader.h"
#include "vmm-model/config.h"

namespace {

using namespace bunshin;

void put(std::vector<u8>& bytes, std::size_t at, u64 value, unsigned size) {
  if (bytes.size() < at + size) bytes.resize(at + size);
  for (unsigned i = 0; i < size; ++i) bytes[at + i] = static_cast<u8>(value >> (8 * i));
}

/// A number that headers have, or nearly: small, large, about the guest's memory, or any.
u64 plausible(fuzz::Input& input) {
  switch (input.byte() % 5) {
    case 0: return input.byte();
    case 1: return 0x10'0000 + input.word();
    case 2: return fuzz::GuardedMachine::largest - input.byte();
    case 3: return ~u64{0} - input.byte();
    default: return input.qword();
  }
}

/// The magic numbers that random bytes would not hit, and header fields.
void make_linux(fuzz::Input& input, std::vector<u8>& kernel) {
  put(kernel, 0x1f1, input.byte() % 8, 1);
  put(kernel, 0x1fe, 0xaa55, 2);
  put(kernel, 0x202, 0x53726448, 4);
  put(kernel, 0x206, 0x20c + input.byte() % 4, 2);
  put(kernel, 0x236, 1, 2);
  for (const unsigned at : {0x1f4u, 0x22cu, 0x238u, 0x260u}) put(kernel, at, plausible(input), 4);
  put(kernel, 0x258, plausible(input), 8);
}

void make_multiboot(fuzz::Input& input, std::vector<u8>& kernel) {
  const std::size_t at = input.word() % 4096 / 4 * 4;
  const u32 flags = input.byte() % 2 == 0 ? 0 : 1 << 16;
  put(kernel, at, 0x1bad'b002, 4);
  put(kernel, at + 4, flags, 4);
  put(kernel, at + 8, 0u - 0x1bad'b002 - flags, 4);
  for (unsigned i = 0; i < 5; ++i) put(kernel, at + 12 + 4 * i, plausible(input), 4);
}

void make_elf(fuzz::Input& input, std::vector<u8>& kernel) {
  make_multiboot(input, kernel);
  const bool wide = input.byte() % 2 != 0;
  put(kernel, 0, 0x464c'457f, 4);
  put(kernel, 4, wide ? 2 : 1, 1);
  put(kernel, wide ? 32 : 28, 64, wide ? 8 : 4);
  put(kernel, wide ? 54 : 42, wide ? 56 : 32, 2);
  put(kernel, wide ? 56 : 44, 1 + input.byte() % 3, 2);
  put(kernel, 64, 1, 4);
  for (unsigned i = 1; i < 7; ++i) put(kernel, 64 + (wide ? 8 : 4) * i, plausible(input), wide ? 8 : 4);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  fuzz::Input input(data, size);
  fuzz::GuardedMachine machine(input.byte() % 2 == 0 ? fuzz::GuardedMachine::largest
                                                     : 5 * fuzz::GuardedMachine::mib / 4);
  const u8 kind = input.byte();
  const std::size_t initrd_bytes = input.word() % 600, cmdline_bytes = input.word() % 300;
  const auto initrd = input.take(initrd_bytes);
  const auto text = input.take(cmdline_bytes);
  const auto rest = input.take(size / 2);
  std::vector<u8> kernel(rest.begin(), rest.end());
  if (kind % 4 == 1) make_linux(input, kernel);
  if (kind % 4 == 2) make_multiboot(input, kernel);
  if (kind % 4 == 3) make_elf(input, kernel);
  vmm::StillProcessor processor;
  const std::string cmdline(text.begin(), text.end());
  const std::string name = cmdline.substr(0, kind);
  std::array<vmm::GuestModule, vmm::GuestConfig::max_initrds> initrds;
  const std::size_t count = input.byte() % (initrds.size() + 1);
  const bool spoken = input.byte() % 2 != 0;
  for (std::size_t i = 0; i < count; ++i) {
    initrds[i] = {initrd.subspan(initrd.size() * i / count), name, spoken ? std::string_view(cmdline) : ""};
  }
  vmm::load_guest({kernel, std::span(initrds).first(count), cmdline, name}, machine.memory, processor);
  machine.check_guards();
  return 0;
}
