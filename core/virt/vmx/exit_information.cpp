#include "core/virt/vmx/exit_information.h"

#include "core/system/semantics.h"

namespace bunshin::vmx {
namespace {

constexpr u8 no_register = CpuState::zero_slot * 8;
constexpr u8 rip_relative = CpuState::rip_slot * 8;

/// 0: 16 bits, 1: 32, 2: 64.
u32 size_code(unsigned bytes) { return bytes == 2 ? 0 : bytes == 4 ? 1 : 2; }

u32 address_size(const Record& r) { return size_code(r.address_bytes()) << 7; }

/// Scaling, address size, segment, index and base.
u32 memory_operand(const Record& r) {
  constexpr u32 no_index = 1u << 22, no_base = 1u << 27;
  u32 info = address_size(r) | u32{r.segment} << 15;
  if (r.index == no_register)
    info |= no_index;
  else
    info |= u32{r.scale} | register_number(r.index) << 18;
  if (r.base == no_register || r.base == rip_relative)
    info |= no_base;
  else
    info |= register_number(r.base) << 23;
  return info;
}

/// The same, or the register that stands in its place.
u32 any_operand(const Record& r) {
  constexpr u32 is_register = 1u << 10;
  return r.has_memory() ? memory_operand(r) : is_register | register_number(r.rm) << 3;
}

}  // namespace

u64 displacement(const Cpu& cpu, const Record& r) {
  if (!r.has_memory()) return 0;
  const auto disp = static_cast<u64>(static_cast<i64>(r.disp));
  return r.base == rip_relative ? cpu.reg<u64>(r.base) + disp : disp;
}

u32 string_io_information(const Record& r, bool input) { return address_size(r) | (input ? 0 : u32{r.segment} << 15); }

u32 invalidation_information(const Record& r) { return memory_operand(r) | register_number(r.reg) << 28; }

u32 table_information(const Record& r, const Cpu& cpu, u32 instruction) {
  const bool wide = cpu.mode.bits != 64 && r.operand_bytes() == 4;
  return memory_operand(r) | (wide ? 1u << 11 : 0) | instruction << 28;
}

u32 selector_information(const Record& r, u32 instruction) { return any_operand(r) | instruction << 28; }

u32 random_information(const Record& r) { return register_number(r.rm) << 3 | size_code(r.operand_bytes()) << 11; }

u32 pointer_information(const Record& r) { return memory_operand(r); }

u32 field_information(const Record& r) { return any_operand(r) | register_number(r.reg) << 28; }

u32 interruption_information(const Event& event) {
  u32 type = interruption::hardware;
  switch (event.kind) {
    case EventKind::Exception: break;
    case EventKind::External: type = interruption::external; break;
    case EventKind::Nmi: type = interruption::nmi; break;
    case EventKind::SoftwareInterrupt: type = interruption::software; break;
    case EventKind::SoftwareException: type = interruption::software_exception; break;
    case EventKind::PrivilegedSoftwareException: type = interruption::privileged_software; break;
  }
  return interruption::valid | type << 8 | event.vector | (event.has_error_code ? interruption::error_code : 0);
}

}  // namespace bunshin::vmx
