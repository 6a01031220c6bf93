#include "core/x87/semantics.h"

namespace bunshin::x87 {

namespace {

EnvironmentFormat format_of(const Cpu& cpu, const Record& r) {
  return {r.operand_bytes() != 2, cpu.mode.protected_mode};
}

/// Reads or writes an image field by field: alignment is checked by field (SDM vol. 3, table 6-7) and offsets wrap.
template <class T, std::size_t size>
[[nodiscard]] bool load_fields(Cpu& cpu, const Record& r, unsigned at, std::array<u8, size>& image, unsigned bytes) {
  for (unsigned i = 0; i < bytes; i += sizeof(T)) {
    T v;
    if (!cpu.load(cpu.segment_of(r), cpu.part_address(r, at + i), v)) return false;
    std::memcpy(image.data() + i, &v, sizeof(T));
  }
  return true;
}

template <class T, std::size_t size>
[[nodiscard]] bool store_fields(Cpu& cpu, const Record& r, unsigned at, const std::array<u8, size>& image,
                                unsigned bytes) {
  for (unsigned i = 0; i < bytes; i += sizeof(T)) {
    T v;
    std::memcpy(&v, image.data() + i, sizeof(T));
    if (!cpu.store(cpu.segment_of(r), cpu.part_address(r, at + i), v)) return false;
  }
  return true;
}

[[nodiscard]] bool probe_fields(Cpu& cpu, const Record& r, unsigned bytes) {
  for (unsigned i = 0; i < bytes; i += 2) {
    if (!cpu.probe_write(cpu.segment_of(r), cpu.part_address(r, i), 2)) return false;
  }
  return true;
}

[[nodiscard]] bool load_environment_operand(Cpu& cpu, const Record& r, const EnvironmentFormat& format,
                                            EnvironmentImage& image) {
  return format.wide ? load_fields<u32>(cpu, r, 0, image, 28) : load_fields<u16>(cpu, r, 0, image, 14);
}

[[nodiscard]] bool store_environment_operand(Cpu& cpu, const Record& r, const EnvironmentFormat& format) {
  const EnvironmentImage image = store_environment(cpu.state.x87, format);
  return format.wide ? store_fields<u32>(cpu, r, 0, image, 28) : store_fields<u16>(cpu, r, 0, image, 14);
}

}  // namespace

bool load_operand(Cpu& cpu, const Record& r, host::Bcd& value) {
  X87Register v;
  if (!load_operand(cpu, r, v)) return false;
  std::memcpy(value.data(), &v.mantissa, 8);
  std::memcpy(value.data() + 8, &v.sign_exponent, 2);
  return true;
}

bool probe_operand(Cpu& cpu, const Record& r, const X87Register&) {
  const Seg segment = cpu.segment_of(r);
  return cpu.probe_write(segment, cpu.part_address(r, 0), 8) && cpu.probe_write(segment, cpu.part_address(r, 8), 2);
}

bool probe_operand(Cpu& cpu, const Record& r, const host::Bcd&) { return probe_operand(cpu, r, X87Register{}); }

bool store_operand(Cpu& cpu, const Record& r, const X87Register& value) {
  const Seg segment = cpu.segment_of(r);
  return probe_operand(cpu, r, value) && cpu.store(segment, cpu.part_address(r, 0), value.mantissa) &&
         cpu.store(segment, cpu.part_address(r, 8), value.sign_exponent);
}

bool store_operand(Cpu& cpu, const Record& r, const host::Bcd& value) {
  X87Register v;
  std::memcpy(&v.mantissa, value.data(), 8);
  std::memcpy(&v.sign_exponent, value.data() + 8, 2);
  return store_operand(cpu, r, v);
}

bool fwait(Cpu& cpu, const Record&) {
  constexpr u64 unavailable = cr0::MP | cr0::TS;
  if ((cpu.state.cr0 & unavailable) == unavailable) return cpu.raise(Vector::NM);
  return deliver_pending(cpu);
}

bool fldcw(Cpu& cpu, const Record& r) {
  if (!deliver_pending(cpu)) return false;
  u16 value = 0;
  if (!cpu.load(r, value)) return false;
  set_control_word(cpu.state.x87, value);
  return true;
}

bool fnstcw(Cpu& cpu, const Record& r) { return cpu.store(r, cpu.state.x87.control); }

bool fnstsw(Cpu& cpu, const Record& r) { return cpu.store(r, status_word(cpu.state.x87)); }

bool fnstsw_ax(Cpu& cpu, const Record&) {
  cpu.set_reg<u16>(RAX * 8, status_word(cpu.state.x87));
  return true;
}

bool fnclex(Cpu& cpu, const Record&) {
  clear_exceptions(cpu.state.x87);
  return true;
}

bool fninit(Cpu& cpu, const Record&) {
  initialize(cpu.state.x87);
  return true;
}

bool fldenv(Cpu& cpu, const Record& r) {
  if (!deliver_pending(cpu)) return false;
  const EnvironmentFormat format = format_of(cpu, r);
  EnvironmentImage image{};
  if (!load_environment_operand(cpu, r, format, image)) return false;
  load_environment(cpu.state.x87, image, format);
  return true;
}

bool fnstenv(Cpu& cpu, const Record& r) {
  const EnvironmentFormat format = format_of(cpu, r);
  if (!probe_fields(cpu, r, format.size()) || !store_environment_operand(cpu, r, format)) return false;
  X87State& s = cpu.state.x87;
  set_control_word(s, s.control | exceptions);
  return true;
}

bool frstor(Cpu& cpu, const Record& r) {
  if (!deliver_pending(cpu)) return false;
  const EnvironmentFormat format = format_of(cpu, r);
  EnvironmentImage image{};
  RegisterImage registers{};
  if (!load_environment_operand(cpu, r, format, image)) return false;
  if (!load_fields<u16>(cpu, r, format.size(), registers, registers.size())) return false;
  load_environment(cpu.state.x87, image, format);
  load_registers(cpu.state.x87, registers);
  return true;
}

bool fnsave(Cpu& cpu, const Record& r) {
  const EnvironmentFormat format = format_of(cpu, r);
  const RegisterImage registers = store_registers(cpu.state.x87);
  if (!probe_fields(cpu, r, format.size() + static_cast<unsigned>(registers.size()))) return false;
  if (!store_environment_operand(cpu, r, format)) return false;
  if (!store_fields<u16>(cpu, r, format.size(), registers, registers.size())) return false;
  initialize(cpu.state.x87);
  return true;
}

bool ignored(Cpu&, const Record&) { return true; }

}  // namespace bunshin::x87
