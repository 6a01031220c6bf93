#pragma once

// A core's registers as GDB numbers and lays them out: org.gnu.gdb.i386.core and .sse of amd64, then the control
// registers. The one layout serves all modes.

#include <span>
#include <string>
#include <vector>

#include "core/cpu.h"

namespace bunshin::gdb_registers {

unsigned count();
/// Bytes of register `number`.
unsigned size(unsigned number);
/// The register's bytes, little-endian.
std::vector<u8> get(const Cpu& cpu, unsigned number);
/// False if the register cannot be written or `bytes` has the wrong size. Cpu::update_mode() is left to the caller.
bool set(Cpu& cpu, unsigned number, std::span<const u8> bytes);
/// target.xml.
std::string target_description();

}  // namespace bunshin::gdb_registers
