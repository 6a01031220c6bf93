// IN, OUT, INS, OUTS (SDM vol. 1, ch. 19). All rows are attr::alone: a port access happens at its exact time.

#include "core/events/debug.h"
#include "core/system/semantics.h"
#include "core/virt/intercept.h"

namespace bunshin::semantics {
namespace {

/// REX.W does not widen port accesses.
unsigned port_bytes(const Record& r) { return r.operand_bytes() == 2 ? 2 : 4; }

u16 dx(const Cpu& cpu) { return cpu.reg<u16>(offset_of(RDX)); }

/// Privilege, the TSS's map, and then the hypervisor's (SDM vol. 3, 25.1.1).
bool may_access(Cpu& cpu, const Record& r, const IoDetail& access) {
  return cpu.check_port_permission(access.port, access.bytes) && !intercepted(cpu, r, Intercept::Io, access.packed());
}

IoDetail plain_access(u16 port, unsigned size, bool input, bool immediate) {
  return {.port = port, .bytes = static_cast<u8>(size), .input = input, .immediate = immediate};
}

IoDetail string_access(const Cpu& cpu, const Record& r, unsigned size, bool input) {
  return {.port = dx(cpu),
          .bytes = static_cast<u8>(size),
          .input = input,
          .string = true,
          .repeated = (r.prefixes & (prefix::rep | prefix::repne)) != 0};
}

bool input(Cpu& cpu, u16 port, unsigned size, u32& value) {
  if (!cpu.port_read(port, size, value)) return false;
  note_io_access(cpu.state, port, size);
  return true;
}

bool output(Cpu& cpu, u16 port, unsigned size, u32 value) {
  if (!cpu.port_write(port, size, value)) return false;
  note_io_access(cpu.state, port, size);
  return true;
}

bool in(Cpu& cpu, const Record& r, u16 port, unsigned size, bool immediate) {
  u32 value = 0;
  if (!may_access(cpu, r, plain_access(port, size, true, immediate)) || !input(cpu, port, size, value)) return false;
  switch (size) {
    case 1: cpu.set_reg(offset_of(RAX), static_cast<u8>(value)); break;
    case 2: cpu.set_reg(offset_of(RAX), static_cast<u16>(value)); break;
    default: cpu.set_reg(offset_of(RAX), value); break;
  }
  return true;
}

bool out(Cpu& cpu, const Record& r, u16 port, unsigned size, bool immediate) {
  const u32 value = cpu.reg<u32>(offset_of(RAX)) & (~u32{0} >> (32 - 8 * size));
  return may_access(cpu, r, plain_access(port, size, false, immediate)) && output(cpu, port, size, value);
}

/// --- String forms: registers as wide as the address size ---

u64 address_register(const Cpu& cpu, const Record& r, Gpr g) {
  const u64 value = cpu.reg<u64>(offset_of(g));
  return value & (~u64{0} >> (64 - 8 * r.address_bytes()));
}

void add_to_register(Cpu& cpu, const Record& r, Gpr g, i64 amount) {
  const u64 value = cpu.reg<u64>(offset_of(g)) + static_cast<u64>(amount);
  switch (r.address_bytes()) {
    case 2: cpu.set_reg(offset_of(g), static_cast<u16>(value)); break;
    case 4: cpu.set_reg(offset_of(g), static_cast<u32>(value)); break;
    default: cpu.set_reg(offset_of(g), value); break;
  }
}

i64 step_of(const Cpu& cpu, unsigned size) {
  return (cpu.state.flags.system & rflags::DF) != 0 ? -static_cast<i64>(size) : static_cast<i64>(size);
}

bool ins_once(Cpu& cpu, const Record& r, unsigned size) {
  const u64 offset = address_register(cpu, r, RDI);
  // What comes from a port cannot be put back, so the store must be known to succeed first.
  if (!may_access(cpu, r, string_access(cpu, r, size, true)) || !cpu.probe_write(Seg::ES, offset, size)) return false;
  u32 value = 0;
  if (!input(cpu, dx(cpu), size, value)) return false;
  const bool stored = size == 1   ? cpu.store(Seg::ES, offset, static_cast<u8>(value))
                      : size == 2 ? cpu.store(Seg::ES, offset, static_cast<u16>(value))
                                  : cpu.store(Seg::ES, offset, value);
  if (stored) add_to_register(cpu, r, RDI, step_of(cpu, size));
  return stored;
}

template <class T>
bool load_source(Cpu& cpu, const Record& r, u64 offset, u32& value) {
  T loaded = 0;
  if (!cpu.load(cpu.segment_of(r), offset, loaded)) return false;
  value = loaded;
  return true;
}

bool outs_once(Cpu& cpu, const Record& r, unsigned size) {
  const u64 offset = address_register(cpu, r, RSI);
  if (!may_access(cpu, r, string_access(cpu, r, size, false))) return false;
  u32 value = 0;
  const bool loaded = size == 1   ? load_source<u8>(cpu, r, offset, value)
                      : size == 2 ? load_source<u16>(cpu, r, offset, value)
                                  : load_source<u32>(cpu, r, offset, value);
  if (!loaded || !output(cpu, dx(cpu), size, value)) return false;
  add_to_register(cpu, r, RSI, step_of(cpu, size));
  return true;
}

/// One iteration a run: each has its own time, and events are taken between them (SDM vol. 2, REP).
template <bool (*once)(Cpu&, const Record&, unsigned)>
bool repeated(Cpu& cpu, const Record& r, unsigned size) {
  if ((r.prefixes & (prefix::rep | prefix::repne)) == 0) return once(cpu, r, size);
  if (address_register(cpu, r, RCX) == 0) return true;
  if (!once(cpu, r, size)) return false;
  add_to_register(cpu, r, RCX, -1);
  if (address_register(cpu, r, RCX) == 0) return true;
  cpu.leave = Leave::Repeat;
  return false;
}

}  // namespace

bool in_byte_immediate(Cpu& cpu, const Record& r) { return in(cpu, r, static_cast<u16>(r.imm), 1, true); }
bool in_immediate(Cpu& cpu, const Record& r) { return in(cpu, r, static_cast<u16>(r.imm), port_bytes(r), true); }
bool out_byte_immediate(Cpu& cpu, const Record& r) { return out(cpu, r, static_cast<u16>(r.imm), 1, true); }
bool out_immediate(Cpu& cpu, const Record& r) { return out(cpu, r, static_cast<u16>(r.imm), port_bytes(r), true); }
bool in_byte_dx(Cpu& cpu, const Record& r) { return in(cpu, r, dx(cpu), 1, false); }
bool in_dx(Cpu& cpu, const Record& r) { return in(cpu, r, dx(cpu), port_bytes(r), false); }
bool out_byte_dx(Cpu& cpu, const Record& r) { return out(cpu, r, dx(cpu), 1, false); }
bool out_dx(Cpu& cpu, const Record& r) { return out(cpu, r, dx(cpu), port_bytes(r), false); }
bool ins_byte(Cpu& cpu, const Record& r) { return repeated<ins_once>(cpu, r, 1); }
bool ins(Cpu& cpu, const Record& r) { return repeated<ins_once>(cpu, r, port_bytes(r)); }
bool outs_byte(Cpu& cpu, const Record& r) { return repeated<outs_once>(cpu, r, 1); }
bool outs(Cpu& cpu, const Record& r) { return repeated<outs_once>(cpu, r, port_bytes(r)); }

}  // namespace bunshin::semantics
