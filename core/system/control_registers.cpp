#include "core/system/control_registers.h"

#include "core/system/semantics.h"
#include "core/virt/intercept.h"

namespace bunshin {
namespace {

constexpr u64 cr0_defined =
    cr0::PE | cr0::MP | cr0::EM | cr0::TS | cr0::ET | cr0::NE | cr0::WP | cr0::AM | cr0::NW | cr0::CD | cr0::PG;
constexpr u64 cr3_keep_translations = u64{1} << 63;

u64 physical_mask(const CpuProfile& profile) { return (u64{1} << profile.physical_bits) - 1; }

bool pae_paging(u64 cr0_value, u64 cr4_value, u64 efer_value) {
  return (cr0_value & cr0::PG) != 0 && (cr4_value & cr4::PAE) != 0 && (efer_value & efer::LMA) == 0;
}

/// Entering IA-32e mode needs PAE, a code segment that is not yet 64-bit and a 32-bit TSS (SDM vol. 2, MOV CR).
bool may_activate_long_mode(const CpuState& s) {
  const unsigned tss = s.tr.type();
  return (s.cr4 & cr4::PAE) != 0 && !s.segment(Seg::CS).is_long() && tss != 1 && tss != 3;
}

bool cr0_allowed(const Cpu& cpu, u64 value) {
  const CpuState& s = cpu.state;
  if (cpu.virt != nullptr && !cpu.virt->cr0_allowed(value)) return false;
  if (value >> 32 != 0) return false;
  if ((value & cr0::PG) != 0 && (value & cr0::PE) == 0) return false;
  if ((value & cr0::NW) != 0 && (value & cr0::CD) == 0) return false;
  const bool pages = (value & cr0::PG) != 0;
  if (pages && !s.paging() && (s.msr.efer & efer::LME) != 0) return may_activate_long_mode(s);
  if (!pages && s.paging()) return !s.code64() && (s.cr4 & cr4::PCIDE) == 0;
  return true;
}

bool cr4_allowed(const Cpu& cpu, u64 value) {
  const CpuState& s = cpu.state;
  if ((value & ~cr4_writable(cpu.profile)) != 0) return false;
  if (cpu.virt != nullptr && !cpu.virt->cr4_allowed(value)) return false;
  const u64 changed = value ^ s.cr4;
  if (s.long_mode_active() && ((value & cr4::PAE) == 0 || (changed & cr4::LA57) != 0)) return false;
  if ((changed & value & cr4::PCIDE) != 0) return s.long_mode_active() && (s.cr3 & 0xfff) == 0;
  return true;
}

/// SDM vol. 3, 4.10.4.1 and 11.9: these also drop global translations. Raising SMEP demands the current PCID's only;
/// the manual lets a processor drop more.
constexpr u64 cr4_flushing = cr4::PSE | cr4::PAE | cr4::PGE;
constexpr u64 cr4_reloading_pdptes = cr4::PAE | cr4::PGE | cr4::PSE | cr4::SMEP;

void flush_for_cr4(Cpu& cpu, u64 before, u64 after) {
  const u64 changed = before ^ after;
  if ((changed & cr4_flushing) != 0 || (changed & before & cr4::PCIDE) != 0 || (changed & after & cr4::SMEP) != 0) {
    cpu.mmu.flush_all();
  }
}

}  // namespace

u64 cr4_writable(const CpuProfile& profile) {
  struct Bits {
    Feature feature;
    u64 bits;
  };
  static constexpr Bits table[] = {
      {Feature::Base, cr4::PCE},          {Feature::Vme, cr4::VME | cr4::PVI},
      {Feature::Tsc, cr4::TSD},           {Feature::De, cr4::DE},
      {Feature::Pse, cr4::PSE},           {Feature::Pae, cr4::PAE},
      {Feature::Mce, cr4::MCE},           {Feature::Pge, cr4::PGE},
      {Feature::Fxsr, cr4::OSFXSR},       {Feature::Sse, cr4::OSXMMEXCPT},
      {Feature::Umip, cr4::UMIP},         {Feature::La57, cr4::LA57},
      {Feature::Fsgsbase, cr4::FSGSBASE}, {Feature::Pcid, cr4::PCIDE},
      {Feature::Xsave, cr4::OSXSAVE},     {Feature::Smep, cr4::SMEP},
      {Feature::Smap, cr4::SMAP},         {Feature::Pku, cr4::PKE},
      {Feature::Vmx, cr4::VMXE},
  };
  u64 writable = 0;
  for (const Bits& b : table) {
    if (profile.has(b.feature)) writable |= b.bits;
  }
  return writable;
}

bool load_pdptes(Cpu& cpu, u64 cr3) {
  if (cpu.pdptes_in_memory || cpu.mmu.load_pdptes(cr3, cpu.state.pdpte)) return true;
  return cpu.mmu.second_stage_faulted() ? cpu.raise(Fault::second_stage(0)) : cpu.raise(Vector::GP, 0);
}

bool write_cr0(Cpu& cpu, u64 value) {
  CpuState& s = cpu.state;
  if (!cr0_allowed(cpu, value)) return cpu.raise(Vector::GP, 0);
  value = (value & cr0_defined) | cr0::ET;
  const u64 changed = value ^ s.cr0;
  const bool activates = (changed & value & cr0::PG) != 0 && (s.msr.efer & efer::LME) != 0;
  u64 new_efer = s.msr.efer;
  if (activates) new_efer |= efer::LMA;
  if ((value & cr0::PG) == 0) new_efer &= ~efer::LMA;
  if ((changed & (cr0::PG | cr0::CD | cr0::NW)) != 0 && pae_paging(value, s.cr4, new_efer) &&
      !load_pdptes(cpu, s.cr3)) {
    return false;
  }
  s.cr0 = value;
  s.msr.efer = new_efer;
  if ((changed & (cr0::PG | cr0::PE)) != 0) cpu.mmu.flush_all();
  cpu.update_mode();
  return true;
}

bool write_cr3(Cpu& cpu, u64 value) {
  CpuState& s = cpu.state;
  const bool pcide = (s.cr4 & cr4::PCIDE) != 0;
  const bool keep = pcide && (value & cr3_keep_translations) != 0;
  if (pcide) value &= ~cr3_keep_translations;
  if (s.long_mode_active()) {
    if ((value & ~physical_mask(cpu.profile)) != 0) return cpu.raise(Vector::GP, 0);
  } else {
    value &= 0xffff'ffff;
    if (pae_paging(s.cr0, s.cr4, s.msr.efer) && !load_pdptes(cpu, value)) return false;
  }
  s.cr3 = value;
  cpu.update_mode();
  if (!keep) cpu.mmu.flush_pcid(pcide ? static_cast<u16>(value & 0xfff) : u16{0});
  return true;
}

bool write_cr4(Cpu& cpu, u64 value) {
  CpuState& s = cpu.state;
  if (!cr4_allowed(cpu, value)) return cpu.raise(Vector::GP, 0);
  const u64 before = s.cr4;
  if (((value ^ before) & cr4_reloading_pdptes) != 0 && pae_paging(s.cr0, value, s.msr.efer) &&
      !load_pdptes(cpu, s.cr3)) {
    return false;
  }
  s.cr4 = value;
  flush_for_cr4(cpu, before, value);
  cpu.update_mode();
  return true;
}

bool write_cr8(Cpu& cpu, u64 value) {
  if (value > 15) return cpu.raise(Vector::GP, 0);
  if (cpu.guest != nullptr && cpu.guest->virtualizes_tpr()) {
    cpu.guest->write_virtual_tpr(static_cast<u8>(value));
    return true;
  }
  cpu.apic.set_task_priority_class(static_cast<u8>(value));
  cpu.accessed_device = true;
  return true;
}

namespace semantics {
namespace {

/// Operand size of MOV to/from control and debug registers: the mode's, whatever the prefixes say.
u64 mode_sized(const Cpu& cpu, u64 value) { return cpu.mode.bits == 64 ? value : static_cast<u32>(value); }

void set_mode_sized(Cpu& cpu, u8 offset, u64 value) { cpu.set_reg<u64>(offset, mode_sized(cpu, value)); }

u64 visible_cr0(const Cpu& cpu) { return cpu.guest == nullptr ? cpu.state.cr0 : cpu.guest->visible_cr0(); }
u64 visible_cr4(const Cpu& cpu) { return cpu.guest == nullptr ? cpu.state.cr4 : cpu.guest->visible_cr4(); }
u64 merged_cr0(const Cpu& cpu, u64 value) { return cpu.guest == nullptr ? value : cpu.guest->merged_cr0(value); }
u64 merged_cr4(const Cpu& cpu, u64 value) { return cpu.guest == nullptr ? value : cpu.guest->merged_cr4(value); }

u8 task_priority_class(Cpu& cpu) {
  const bool is_virtual = cpu.guest != nullptr && cpu.guest->virtualizes_tpr();
  return is_virtual ? cpu.guest->read_virtual_tpr() : cpu.apic.task_priority_class();
}

/// A register that does not exist is an undefined opcode, and that comes before privilege (SDM vol. 3, table 6-2).
bool may_access(Cpu& cpu, unsigned number) {
  const bool exists = number == 0 || (number >= 2 && number <= 4) || number == 8;
  if (!exists) return cpu.raise(Vector::UD);
  return cpu.state.cpl == 0 || cpu.raise(Vector::GP, 0);
}

}  // namespace

bool mov_from_cr(Cpu& cpu, const Record& r) {
  if (!may_access(cpu, r.reg) || intercepted(cpu, r, Intercept::ReadCr)) return false;
  const CpuState& s = cpu.state;
  switch (r.reg) {
    case 0: set_mode_sized(cpu, r.rm, visible_cr0(cpu)); return true;
    case 2: set_mode_sized(cpu, r.rm, s.cr2); return true;
    case 3: set_mode_sized(cpu, r.rm, s.cr3); return true;
    case 4: set_mode_sized(cpu, r.rm, visible_cr4(cpu)); return true;
    default: set_mode_sized(cpu, r.rm, task_priority_class(cpu)); return true;
  }
}

bool mov_to_cr(Cpu& cpu, const Record& r) {
  if (!may_access(cpu, r.reg)) return false;
  const u64 value = cpu.mode_sized_reg(r.rm);
  if (intercepted(cpu, r, Intercept::WriteCr, value)) return false;
  switch (r.reg) {
    case 0: return write_cr0(cpu, merged_cr0(cpu, value));
    case 2: cpu.state.cr2 = value; return true;
    case 3: return write_cr3(cpu, value);
    case 4: return write_cr4(cpu, merged_cr4(cpu, value));
    default: return write_cr8(cpu, value);
  }
}

bool lmsw(Cpu& cpu, const Record& r) {
  u16 value = 0;
  if (!load_word(cpu, r, value)) return false;
  if (intercepted(cpu, r, Intercept::Lmsw, value)) return false;
  // PE can be set but not cleared (SDM vol. 2, LMSW).
  const u64 kept = cpu.state.cr0 & ~u64{cr0::MP | cr0::EM | cr0::TS};
  return write_cr0(cpu, merged_cr0(cpu, kept | (value & 0xf)));
}

bool smsw(Cpu& cpu, const Record& r) {
  if (!umip_allows(cpu) || intercepted(cpu, r, Intercept::Smsw)) return false;
  const u64 value = visible_cr0(cpu);
  if (r.has_memory()) return cpu.store(r, static_cast<u16>(value));
  store_sized(cpu, r, value);
  return true;
}

bool clts(Cpu& cpu, const Record& r) {
  if (intercepted(cpu, r, Intercept::Clts)) return false;
  cpu.state.cr0 = merged_cr0(cpu, cpu.state.cr0 & ~cr0::TS);
  cpu.update_mode();
  return true;
}

}  // namespace semantics
}  // namespace bunshin
