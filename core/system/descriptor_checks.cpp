// LAR, LSL, VERR, VERW, ARPL: questions about selectors, answered in ZF instead of by faults (SDM vol. 3, 5.10).

#include "core/events/segmentation.h"
#include "core/system/semantics.h"

namespace bunshin::semantics {
namespace {

void set_zf(Cpu& cpu, bool zf) { cpu.state.flags.change_status(rflags::ZF, zf ? rflags::ZF : 0); }

/// Reads the descriptor that `selector` names. `found` is false for a null selector and one outside its table; false is
/// returned only if reading faulted.
bool look_up(Cpu& cpu, u16 selector, Descriptor& d, bool& found) {
  found = false;
  if (is_null_selector(selector)) return true;
  if (!read_descriptor(cpu, selector, d, Vector::GP)) {
    if (cpu.leave != Leave::Fault || cpu.fault.vector != Vector::GP) return false;
    cpu.leave = Leave::None;
    return true;
  }
  found = true;
  return true;
}

/// Privilege rule of all four: the weaker of CPL and RPL must reach the DPL, except for conforming code.
bool privileged_enough(const Cpu& cpu, u16 selector, const Descriptor& d) {
  return d.is_conforming() || (cpu.state.cpl <= d.dpl() && (selector & 3u) <= d.dpl());
}

/// System types that LAR and LSL accept (SDM vol. 2, tables 3-51 and 3-55), a bit a type.
constexpr u32 lar_types = 0x1a3e, lsl_types = 0x0a0e, lar_types_long = 0x1a04, lsl_types_long = 0x0a04;

bool is_accepted_type(const Cpu& cpu, const Descriptor& d, u32 types, u32 types_long) {
  if (!d.is_system()) return true;
  const u32 accepted = cpu.state.long_mode_active() ? types_long : types;
  return (accepted >> static_cast<unsigned>(d.system_type()) & 1) != 0;
}

void set_result(Cpu& cpu, const Record& r, u64 value) {
  switch (r.operand_bytes()) {
    case 2: cpu.set_reg(r.reg, static_cast<u16>(value)); break;
    case 4: cpu.set_reg(r.reg, static_cast<u32>(value)); break;
    default: cpu.set_reg(r.reg, value); break;
  }
}

/// `usable` says whether the descriptor satisfies the instruction; ZF answers.
template <class Usable>
bool verify(Cpu& cpu, const Record& r, Usable usable) {
  u16 selector = 0;
  Descriptor d;
  bool found = false;
  if (!load_word(cpu, r, selector) || !look_up(cpu, selector, d, found)) return false;
  set_zf(cpu, found && !d.is_system() && privileged_enough(cpu, selector, d) && usable(d));
  return true;
}

/// LAR and LSL: `value` of an accessible descriptor of an accepted type goes to the register.
template <class Value>
bool inspect(Cpu& cpu, const Record& r, u32 types, u32 types_long, Value value) {
  u16 selector = 0;
  Descriptor d;
  bool found = false;
  if (!load_word(cpu, r, selector) || !look_up(cpu, selector, d, found)) return false;
  const bool ok = found && is_accepted_type(cpu, d, types, types_long) && privileged_enough(cpu, selector, d);
  if (ok) set_result(cpu, r, value(d));
  set_zf(cpu, ok);
  return true;
}

}  // namespace

bool lar(Cpu& cpu, const Record& r) {
  return inspect(cpu, r, lar_types, lar_types_long, [](const Descriptor& d) { return d.low >> 32 & 0x00f0'ff00; });
}

bool lsl(Cpu& cpu, const Record& r) {
  return inspect(cpu, r, lsl_types, lsl_types_long, [](const Descriptor& d) { return u64{d.segment(0).limit}; });
}

bool verr(Cpu& cpu, const Record& r) {
  return verify(cpu, r, [](const Descriptor& d) { return d.is_readable(); });
}

bool verw(Cpu& cpu, const Record& r) {
  return verify(cpu, r, [](const Descriptor& d) { return d.is_writable_data(); });
}

bool arpl(Cpu& cpu, const Record& r) {
  u16 destination = 0;
  if (r.has_memory() && !cpu.probe_write(cpu.segment_of(r), cpu.effective_address(r), 2)) return false;
  if (!load_word(cpu, r, destination)) return false;
  const u16 source_rpl = cpu.reg<u16>(r.reg) & 3;
  const bool raised = (destination & 3) < source_rpl;
  if (raised) {
    const u16 adjusted = static_cast<u16>((destination & ~3u) | source_rpl);
    if (!r.has_memory())
      cpu.set_reg(r.rm, adjusted);
    else if (!cpu.store(r, adjusted))
      return false;
  }
  set_zf(cpu, raised);
  return true;
}

}  // namespace bunshin::semantics
