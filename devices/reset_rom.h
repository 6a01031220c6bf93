#pragma once

// The one page of firmware code that a processor may run after it has started: devices/reset_rom.S.

#include <span>

#include "base/types.h"

extern "C" {
extern const bunshin::u8 bunshin_reset_rom[];
extern const bunshin::u8 bunshin_reset_rom_end[];
}

namespace bunshin {

constexpr u64 reset_rom_base = 0xffff'f000;
/// CMOS byte 0FH, the values that reset_rom.S goes on for.
constexpr u8 shutdown_status_index = 0x0f;
constexpr u8 shutdown_end_interrupt_and_jump = 0x05, shutdown_jump = 0x0a, shutdown_suspended = 0xfe;

inline std::span<const u8> reset_rom() { return {bunshin_reset_rom, bunshin_reset_rom_end}; }

}  // namespace bunshin
