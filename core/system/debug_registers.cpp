// MOV to and from debug registers (SDM vol. 3, 17.2).

#include "core/events/debug.h"
#include "core/system/semantics.h"
#include "core/virt/intercept.h"

namespace bunshin::semantics {
namespace {

constexpr u64 dr6_writable = dr6::breakpoints | dr6::BD | dr6::BS | dr6::BT, dr7_writable = 0xffff'23ff;

/// #UD for DR8-15 and, with CR4.DE, for DR4 and DR5, which otherwise are other names of DR6 and DR7; #DB for any access
/// while DR7.GD guards the registers. `number` receives the register meant.
/// A hypervisor on VT-x is asked before all that, privilege included (SDM vol. 3, 25.1.3), on AMD-V behind it.
bool select_register(Cpu& cpu, const Record& r, Intercept what, unsigned& number) {
  number = r.reg;
  const bool first = cpu.profile.intel();
  if (first && intercepted(cpu, r, what, r.reg)) return false;
  if (cpu.state.cpl != 0) return cpu.raise(Vector::GP, 0);
  if (number > 7) return cpu.raise(Vector::UD);
  if (number == 4 || number == 5) {
    if ((cpu.state.cr4 & cr4::DE) != 0) return cpu.raise(Vector::UD);
    number += 2;
  }
  return check_general_detect(cpu) && (first || !intercepted(cpu, r, what, r.reg));
}

}  // namespace

bool mov_from_dr(Cpu& cpu, const Record& r) {
  unsigned number = 0;
  if (!select_register(cpu, r, Intercept::ReadDr, number)) return false;
  const u64 value = cpu.state.dr[number];
  cpu.set_reg<u64>(r.rm, cpu.mode.bits == 64 ? value : static_cast<u32>(value));
  return true;
}

bool mov_to_dr(Cpu& cpu, const Record& r) {
  unsigned number = 0;
  if (!select_register(cpu, r, Intercept::WriteDr, number)) return false;
  const u64 value = cpu.mode_sized_reg(r.rm);
  if (number >= 6 && value >> 32 != 0) return cpu.raise(Vector::GP, 0);
  switch (number) {
    case 6: cpu.state.dr[6] = (value & dr6_writable) | dr6::fixed; break;
    case 7: cpu.state.dr[7] = (value & dr7_writable) | dr7::fixed; break;
    default: cpu.state.dr[number] = value; break;
  }
  cpu.update_mode();
  return true;
}

}  // namespace bunshin::semantics
