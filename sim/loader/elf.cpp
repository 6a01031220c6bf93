// Plain ELF, without any boot protocol: a 32-bit file is entered in flat protected mode, a 64-bit file in 64-bit mode
// with the first 4 GiB mapped to themselves; a stack of 16 KiB, all other registers 0. A module's place is in RDI
// (begin) and RSI (end), the command line's address in RDX, the ACPI root pointer's in RCX.

#include <fmt/format.h>

#include "sim/loader/entry_state.h"
#include "sim/loader/loader.h"

namespace bunshin {

LoadedGuest load_elf(const BootContext& c) {
  constexpr u64 stack_size = 16384;
  const ElfFile elf(c.image);
  const u64 end = elf.load(c.memory);
  const u64 entry = elf.physical_entry();
  if (entry >> 32 != 0) c.image.fail(fmt::format("its entry point {:#x} lies above 4 GiB, which is not mapped", entry));
  if (c.files.initrd.size() > 1) c.image.fail("a plain ELF program takes one module (guest.initrd) at most");
  const std::vector<LoadedModule> modules = load_modules(c, end);
  const u64 stack = c.memory.place_table(stack_size, "stack");
  const u64 cmdline = c.memory.place_string(c.files.cmdline, "command line");

  elf.is_64bit() ? enter_long_mode(c.state, c.memory, entry) : enter_protected_mode(c.state, c.memory, entry);
  c.state.gpr[RSP] = stack + stack_size;
  c.state.gpr[RDI] = modules.empty() ? 0 : modules.front().begin;
  c.state.gpr[RSI] = modules.empty() ? 0 : modules.front().end;
  c.state.gpr[RDX] = cmdline;
  c.state.gpr[RCX] = c.rsdp;
  return {elf.is_64bit() ? "ELF, 64-bit" : "ELF, 32-bit", entry};
}

}  // namespace bunshin
