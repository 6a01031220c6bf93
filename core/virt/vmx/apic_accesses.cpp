// Accesses to the APIC-access page, and RDMSR and WRMSR of a virtual x2APIC (SDM vol. 3, 29.4 and 29.5).

#include <algorithm>

#include "core/virt/vmx/vmx.h"

namespace bunshin::vmx {
namespace {

constexpr u32 tpr = 0x80, eoi = 0xb0, icr_low = 0x300, icr_high = 0x310, self_ipi = 0x3f0;

/// Exit qualification bits 15:12 (table 27-6).
enum AccessType : u64 { linear_read = 0, linear_write = 1, linear_fetch = 2 };

struct Range {
  u16 first, last;
};
constexpr bool contains(std::span<const Range> ranges, u64 offset) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [offset](const Range& r) { return offset - r.first <= u64(r.last - r.first); });
}

/// 29.4.2 and 29.4.3.2: with APIC-register virtualization, what is read from, and may be written to, the virtual-APIC page.
constexpr Range readable[] = {
    {0x020, 0x023}, {0x030, 0x033}, {0x080, 0x083}, {0x0b0, 0x0b3}, {0x0d0, 0x0d3}, {0x0e0, 0x0e3}, {0x0f0, 0x0f3},
    {0x100, 0x103}, {0x110, 0x113}, {0x120, 0x123}, {0x130, 0x133}, {0x140, 0x143}, {0x150, 0x153}, {0x160, 0x163},
    {0x170, 0x173}, {0x180, 0x183}, {0x190, 0x193}, {0x1a0, 0x1a3}, {0x1b0, 0x1b3}, {0x1c0, 0x1c3}, {0x1d0, 0x1d3},
    {0x1e0, 0x1e3}, {0x1f0, 0x1f3}, {0x200, 0x203}, {0x210, 0x213}, {0x220, 0x223}, {0x230, 0x233}, {0x240, 0x243},
    {0x250, 0x253}, {0x260, 0x263}, {0x270, 0x273}, {0x280, 0x283}, {0x300, 0x303}, {0x310, 0x313}, {0x320, 0x323},
    {0x330, 0x333}, {0x340, 0x343}, {0x350, 0x353}, {0x360, 0x363}, {0x370, 0x373}, {0x380, 0x383}, {0x3e0, 0x3e3}};
constexpr Range writable[] = {{0x020, 0x023}, {0x080, 0x083}, {0x0b0, 0x0b3}, {0x0d0, 0x0d3}, {0x0e0, 0x0e3},
                              {0x0f0, 0x0f3}, {0x280, 0x283}, {0x300, 0x303}, {0x310, 0x313}, {0x320, 0x323},
                              {0x330, 0x333}, {0x340, 0x343}, {0x350, 0x353}, {0x360, 0x363}, {0x370, 0x373},
                              {0x380, 0x383}, {0x3e0, 0x3e3}};

/// Entirely within the low four bytes of a 16-byte register.
bool within_register(u64 offset, unsigned size) { return size != 0 && (offset & 0xf) + size <= 4; }

/// ICR writes that self-IPI virtualization takes (29.4.3.2): fixed, edge, physical or logical, to self, vector above 15.
bool is_self_ipi(u32 value) {
  constexpr u32 reserved = 0xfff3'2000;
  const u32 shorthand = value >> 18 & 3;
  return (value & reserved) == 0 && shorthand == 1 && (value >> 8 & 7) == 0 && (value >> 12 & 1) == 0 &&
         (value >> 15 & 1) == 0 && (value & 0xff) >= 16;
}

}  // namespace

bool Vmx::reads_virtualized(u64 offset, unsigned size) const {
  if (!c_.has(primary::tpr_shadow) || !within_register(offset, size)) return false;
  if (!c_.also(secondary::apic_registers)) return (offset & ~u64{3}) == tpr;
  return contains(readable, offset);
}

bool Vmx::writes_virtualized(u64 offset, unsigned size) const {
  if (!c_.has(primary::tpr_shadow) || !within_register(offset, size)) return false;
  if (c_.also(secondary::apic_registers)) return contains(writable, offset);
  const u64 reg = offset & ~u64{3};
  return reg == tpr || (c_.also(secondary::interrupt_delivery) && (reg == eoi || reg == icr_low));
}

bool Vmx::exit_for_apic_access(u64 linear, u64 offset, u64 type) {
  exit_with({.reason = Reason::ApicAccess, .qualification = offset | type << 12, .linear = linear});
  return false;
}

bool Vmx::read_apic_page(u64 linear, u64 offset, unsigned size, bool fetch, void* data) {
  if (fetch) return exit_for_apic_access(linear, offset, linear_fetch);
  if (!reads_virtualized(offset, size)) return exit_for_apic_access(linear, offset, linear_read);
  read_physical(cpu_, HostPhysical(c_.virtual_apic + offset), {static_cast<u8*>(data), size});
  return true;
}

bool Vmx::write_apic_page(u64 linear, u64 offset, unsigned size, const void* data) {
  if (!writes_virtualized(offset, size)) return exit_for_apic_access(linear, offset, linear_write);
  write_physical(cpu_, HostPhysical(c_.virtual_apic + offset), {static_cast<const u8*>(data), size});
  apic_write_emulation(static_cast<u32>(offset & ~u64{0xf}));
  return true;
}

/// 29.4.3.3.
void Vmx::apic_write_emulation(u32 offset) {
  const auto exit = [this, offset] {
    trap_exit_ = ExitInformation{.reason = Reason::ApicWrite, .qualification = offset, .keeps_debug = true};
  };
  const bool delivers = c_.also(secondary::interrupt_delivery);
  switch (offset) {
    case tpr:
      set_virtual_register(tpr, virtual_register(tpr) & 0xff);
      virtualize_tpr();
      break;
    case eoi:
      if (!delivers) return exit();
      set_virtual_register(eoi, 0);
      virtualize_eoi();
      break;
    case icr_low: {
      const u32 value = virtual_register(icr_low);
      if (delivers && is_self_ipi(value))
        virtualize_self_ipi(static_cast<u8>(value));
      else
        exit();
      break;
    }
    case icr_high: set_virtual_register(icr_high, virtual_register(icr_high) & 0xff00'0000); break;
    default: exit(); break;
  }
}

/// 29.5.
std::optional<bool> Vmx::read_virtual_msr(u32 index, u64& value) {
  if (!c_.also(secondary::x2apic) || index >> 8 != 8) return std::nullopt;
  const u32 offset = (index & 0xff) << 4;
  if (!c_.also(secondary::apic_registers) && offset != tpr) return std::nullopt;
  value = read_physical<u64>(cpu_, HostPhysical(c_.virtual_apic + offset));
  return true;
}

std::optional<bool> Vmx::write_virtual_msr(u32 index, u64 value) {
  if (!c_.also(secondary::x2apic) || index >> 8 != 8) return std::nullopt;
  const u32 offset = (index & 0xff) << 4;
  const bool delivers = c_.also(secondary::interrupt_delivery);
  switch (offset) {
    case tpr:
      if (value >> 8 != 0) return false;
      write_physical(cpu_, HostPhysical(c_.virtual_apic + tpr), value);
      virtualize_tpr();
      return true;
    case eoi:
      if (!delivers) return std::nullopt;
      if (value != 0) return false;
      write_physical(cpu_, HostPhysical(c_.virtual_apic + eoi), value);
      virtualize_eoi();
      return true;
    case self_ipi:
      if (!delivers) return std::nullopt;
      if (value >> 8 != 0 || value < 16) return false;
      write_physical(cpu_, HostPhysical(c_.virtual_apic + self_ipi), value);
      virtualize_self_ipi(static_cast<u8>(value));
      return true;
    default: return std::nullopt;
  }
}

}  // namespace bunshin::vmx
