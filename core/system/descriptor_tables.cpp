// SGDT, SIDT, SLDT, STR, LGDT, LIDT.

#include <array>

#include "core/events/segmentation.h"
#include "core/system/semantics.h"
#include "core/virt/intercept.h"

namespace bunshin::semantics {
namespace {

/// Limit and base: 6 bytes, 10 in 64-bit mode.
constexpr unsigned largest_pseudo_descriptor = 10;
unsigned pseudo_descriptor_bytes(const Cpu& cpu) { return cpu.mode.bits == 64 ? 10 : 6; }

bool store_table(Cpu& cpu, const Record& r, const TableRegister& table, Intercept what) {
  if (!umip_allows(cpu) || intercepted(cpu, r, what)) return false;
  std::array<u8, largest_pseudo_descriptor> bytes;
  std::memcpy(bytes.data(), &table.limit, 2);
  std::memcpy(bytes.data() + 2, &table.base, 8);
  const unsigned size = pseudo_descriptor_bytes(cpu);
  u64 linear = 0;
  return cpu.to_linear(cpu.segment_of(r), cpu.effective_address(r), size, AccessKind::Write, linear) &&
         cpu.write_slow(linear, bytes.data(), size, Cpu::Privilege::Current);
}

bool load_table(Cpu& cpu, const Record& r, TableRegister& table, Intercept what) {
  if (intercepted(cpu, r, what)) return false;
  std::array<u8, largest_pseudo_descriptor> bytes{};
  const unsigned size = pseudo_descriptor_bytes(cpu);
  u64 linear = 0;
  if (!cpu.to_linear(cpu.segment_of(r), cpu.effective_address(r), size, AccessKind::Read, linear) ||
      !cpu.read_slow(linear, bytes.data(), size, Cpu::Privilege::Current)) {
    return false;
  }
  TableRegister loaded;
  std::memcpy(&loaded.limit, bytes.data(), 2);
  std::memcpy(&loaded.base, bytes.data() + 2, 8);
  if (cpu.mode.bits == 64) {
    // For the widest addresses the processor has, whatever CR4.LA57.
    if (!is_canonical(loaded.base, cpu.profile.linear_bits())) return cpu.raise(Vector::GP, 0);
  } else if (r.operand_bytes() == 2) {
    loaded.base &= 0xff'ffff;  // the 80286's form has a 24-bit base (SDM vol. 2, LGDT)
  }
  table = loaded;
  return true;
}

bool store_selector(Cpu& cpu, const Record& r, u16 selector, Intercept what) {
  if (!umip_allows(cpu) || intercepted(cpu, r, what)) return false;
  if (r.has_memory()) return cpu.store(r, selector);
  store_sized(cpu, r, selector);
  return true;
}

}  // namespace

bool sgdt(Cpu& cpu, const Record& r) { return store_table(cpu, r, cpu.state.gdtr, Intercept::Sgdt); }
bool sidt(Cpu& cpu, const Record& r) { return store_table(cpu, r, cpu.state.idtr, Intercept::Sidt); }
bool lgdt(Cpu& cpu, const Record& r) { return load_table(cpu, r, cpu.state.gdtr, Intercept::Lgdt); }
bool lidt(Cpu& cpu, const Record& r) { return load_table(cpu, r, cpu.state.idtr, Intercept::Lidt); }
bool sldt(Cpu& cpu, const Record& r) { return store_selector(cpu, r, cpu.state.ldtr.selector, Intercept::Sldt); }
bool str(Cpu& cpu, const Record& r) { return store_selector(cpu, r, cpu.state.tr.selector, Intercept::Str); }

}  // namespace bunshin::semantics
