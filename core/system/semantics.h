#pragma once

// The system instructions' semantics, as the rows of system_rows() bind them, and what several of them share.
// Unless a row says otherwise privilege level 0 has been checked by the engine (attr::privileged).

#include <array>

#include "core/cpu.h"
#include "core/record.h"

namespace bunshin::semantics {

// control_registers.cpp
bool mov_from_cr(Cpu& cpu, const Record& r);
bool mov_to_cr(Cpu& cpu, const Record& r);
bool lmsw(Cpu& cpu, const Record& r);
bool smsw(Cpu& cpu, const Record& r);
bool clts(Cpu& cpu, const Record& r);

// debug_registers.cpp
bool mov_from_dr(Cpu& cpu, const Record& r);
bool mov_to_dr(Cpu& cpu, const Record& r);

// msr_instructions.cpp
bool rdmsr(Cpu& cpu, const Record& r);
bool wrmsr(Cpu& cpu, const Record& r);

// cpuid.cpp
bool cpuid(Cpu& cpu, const Record& r);

// descriptor_tables.cpp
bool sgdt(Cpu& cpu, const Record& r);
bool sidt(Cpu& cpu, const Record& r);
bool lgdt(Cpu& cpu, const Record& r);
bool lidt(Cpu& cpu, const Record& r);
bool sldt(Cpu& cpu, const Record& r);
bool str(Cpu& cpu, const Record& r);

// descriptor_checks.cpp
bool lar(Cpu& cpu, const Record& r);
bool lsl(Cpu& cpu, const Record& r);
bool verr(Cpu& cpu, const Record& r);
bool verw(Cpu& cpu, const Record& r);
bool arpl(Cpu& cpu, const Record& r);

// translation.cpp
bool invlpg(Cpu& cpu, const Record& r);
bool invpcid(Cpu& cpu, const Record& r);
/// The 128-bit memory operand of INVPCID, INVEPT and INVVPID.
[[nodiscard]] bool load_invalidation_descriptor(Cpu& cpu, const Record& r, std::array<u64, 2>& descriptor);
bool rdpkru(Cpu& cpu, const Record& r);
bool wrpkru(Cpu& cpu, const Record& r);

// processor_registers.cpp
bool swapgs(Cpu& cpu, const Record& r);
bool rdfsbase(Cpu& cpu, const Record& r);
bool rdgsbase(Cpu& cpu, const Record& r);
bool wrfsbase(Cpu& cpu, const Record& r);
bool wrgsbase(Cpu& cpu, const Record& r);
bool rdtsc(Cpu& cpu, const Record& r);
bool rdtscp(Cpu& cpu, const Record& r);
bool rdpmc(Cpu& cpu, const Record& r);
bool rdpid(Cpu& cpu, const Record& r);
bool rdrand(Cpu& cpu, const Record& r);
bool rdseed(Cpu& cpu, const Record& r);

// processor_control.cpp
bool hlt(Cpu& cpu, const Record& r);
bool monitor(Cpu& cpu, const Record& r);
bool mwait(Cpu& cpu, const Record& r);
bool invd(Cpu& cpu, const Record& r);
bool wbinvd(Cpu& cpu, const Record& r);

// port_io.cpp
bool in_byte_immediate(Cpu& cpu, const Record& r);
bool in_immediate(Cpu& cpu, const Record& r);
bool out_byte_immediate(Cpu& cpu, const Record& r);
bool out_immediate(Cpu& cpu, const Record& r);
bool in_byte_dx(Cpu& cpu, const Record& r);
bool in_dx(Cpu& cpu, const Record& r);
bool out_byte_dx(Cpu& cpu, const Record& r);
bool out_dx(Cpu& cpu, const Record& r);
bool ins_byte(Cpu& cpu, const Record& r);
bool ins(Cpu& cpu, const Record& r);
bool outs_byte(Cpu& cpu, const Record& r);
bool outs(Cpu& cpu, const Record& r);

/// Byte offset of a general register in the register file.
constexpr u8 offset_of(Gpr g) { return static_cast<u8>(g * 8); }

/// The 16-bit r/m operand: memory, or the low half of a register.
[[nodiscard]] inline bool load_word(Cpu& cpu, const Record& r, u16& value) {
  if (r.has_memory()) return cpu.load(r, value);
  value = cpu.reg<u16>(r.rm);
  return true;
}

/// Writes register r/m with the instruction's operand size.
inline void store_sized(Cpu& cpu, const Record& r, u64 value) {
  switch (r.operand_bytes()) {
    case 2: cpu.set_reg(r.rm, static_cast<u16>(value)); break;
    case 4: cpu.set_reg(r.rm, static_cast<u32>(value)); break;
    default: cpu.set_reg(r.rm, value); break;
  }
}

/// User-mode instruction prevention: SGDT, SIDT, SLDT, SMSW, STR (SDM vol. 3, 2.5, CR4.UMIP). #GP(0).
[[nodiscard]] inline bool umip_allows(Cpu& cpu) {
  if ((cpu.state.cr4 & cr4::UMIP) != 0 && cpu.state.cpl != 0) return cpu.raise(Vector::GP, 0);
  return true;
}

}  // namespace bunshin::semantics
