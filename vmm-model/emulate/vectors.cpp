// Vectors between memory and registers: MMX, SSE and AVX. The registers are the guest's own, which the hypervisor's code never
// touches; they are reached in the format that XSAVE stores (SDM vol. 1, 10.5.1 and 13.4).

#include "vmm-model/emulate/emulation.h"

namespace bunshin::vmm {

namespace {

constexpr unsigned mxcsr_at = 24, x87_at = 32, xmm_at = 160, upper_at = 576, stride = 16;

u64 lane(const std::array<u64, 4>& vector, unsigned size, unsigned number) {
  const unsigned byte = size * number;
  return vector[byte / 8] >> (8 * (byte % 8)) & size_mask(size);
}

void set_lane(std::array<u64, 4>& vector, unsigned size, unsigned number, u64 value) {
  const unsigned byte = size * number, shift = 8 * (byte % 8);
  u64& word = vector[byte / 8];
  word = (word & ~(size_mask(size) << shift)) | (value & size_mask(size)) << shift;
}

}  // namespace

// MMX registers are those of the x87 by their own numbers, where FXSAVE stores them from the top of the stack on. Any MMX instruction
// makes register 0 the top and marks all as in use (SDM vol. 1, 9.5.1).
void Emulation::begin_mmx() {
  constexpr u64 top_mask = u64{7} << 27, tags = u64{0xff} << 32;
  const u64 word = access_.extended_state(0);
  const unsigned top = static_cast<unsigned>((word & top_mask) >> 27);
  if (top == 0 && (word & tags) == tags) return;
  std::array<u64, 16> old{};
  for (unsigned i = 0; i < old.size(); ++i) old[i] = access_.extended_state(x87_at + 8 * i);
  for (unsigned i = 0; i < 8; ++i) {
    for (unsigned half = 0; half < 2; ++half) {
      access_.set_extended_state(x87_at + ((i + top) & 7) * stride + 8 * half, old[2 * i + half]);
    }
  }
  access_.set_extended_state(0, (word & ~top_mask) | tags);
}

Emulation::Vector Emulation::vector(unsigned number) {
  if (insn_.vector_size == 8) {
    begin_mmx();
    return {access_.extended_state(x87_at + (number & 7) * stride), 0, 0, 0};
  }
  const unsigned at = xmm_at + number * stride;
  Vector value{access_.extended_state(at), access_.extended_state(at + 8), 0, 0};
  if (insn_.vector_size < 32) return value;
  value[2] = access_.extended_state(upper_at + number * stride);
  value[3] = access_.extended_state(upper_at + number * stride + 8);
  return value;
}

/// The bits above a VEX instruction's vector become 0, those above another's stay.
void Emulation::set_vector(unsigned number, const Vector& value) {
  if (insn_.vector_size == 8) {
    constexpr u64 exponent = 0xffff;
    begin_mmx();
    const unsigned at = x87_at + (number & 7) * stride;
    access_.set_extended_state(at, value[0]);
    return access_.set_extended_state(at + 8, access_.extended_state(at + 8) | exponent);
  }
  const unsigned at = xmm_at + number * stride;
  access_.set_extended_state(at, value[0]);
  access_.set_extended_state(at + 8, value[1]);
  if (!insn_.vex) return;
  const bool wide = insn_.vector_size == 32;
  access_.set_extended_state(upper_at + number * stride, wide ? value[2] : 0);
  access_.set_extended_state(upper_at + number * stride + 8, wide ? value[3] : 0);
}

bool Emulation::load(u64 address, unsigned size, Vector& value) {
  value = {};
  if (size <= 8) return access_.read(address, size, value[0], Intent::Read);
  if (!access_.permits(address, size, Intent::Read)) return false;
  for (unsigned i = 0; 8 * i < size; ++i) {
    if (!access_.read(address + 8 * i, 8, value[i], Intent::Read)) return false;
  }
  return true;
}

bool Emulation::store(u64 address, unsigned size, const Vector& value) {
  if (size <= 8) return access_.write(address, size, value[0] & size_mask(size));
  if (!access_.permits(address, size, Intent::Modify)) return false;
  for (unsigned i = 0; 8 * i < size; ++i) {
    if (!access_.write(address + 8 * i, 8, value[i])) return false;
  }
  return true;
}

bool Emulation::vector_load() {
  Vector value{};
  if (!load(operand_address(insn_, cpu_), insn_.source_size, value)) return false;
  set_vector(insn_.reg, value);
  return true;
}

bool Emulation::vector_load_half() {
  Vector value{};
  if (!load(operand_address(insn_, cpu_), 8, value)) return false;
  Vector all = first_source();
  all[insn_.operation == Operation::VectorLoadHigh ? 1 : 0] = value[0];
  set_vector(insn_.reg, all);
  return true;
}

bool Emulation::vector_store() {
  Vector value = vector(insn_.reg);
  if (insn_.operation == Operation::VectorStoreHigh) value[0] = value[1];
  return store(operand_address(insn_, cpu_), insn_.source_size, value);
}

bool Emulation::vector_broadcast() {
  const unsigned size = insn_.source_size;
  Vector value{}, all{};
  if (!load(operand_address(insn_, cpu_), size, value)) return false;
  for (unsigned i = 0; i < insn_.vector_size; ++i) set_lane(all, 1, i, lane(value, 1, i % size));
  set_vector(insn_.reg, all);
  return true;
}

/// MOVDDUP, MOVSLDUP and MOVSHDUP.
bool Emulation::vector_duplicate() {
  constexpr u8 high = 0x16;
  const bool doubles = insn_.repeat_different;
  const unsigned size = doubles && insn_.vector_size == 16 ? 8 : insn_.vector_size;
  Vector value{};
  if (!load(operand_address(insn_, cpu_), size, value)) return false;
  for (unsigned i = 0; i < 4; ++i) {
    const u64 half = insn_.opcode == high ? value[i] >> 32 : value[i] & 0xffff'ffff;
    value[i] = doubles ? value[i & ~1u] : half | half << 32;
  }
  set_vector(insn_.reg, value);
  return true;
}

bool Emulation::vector_extend() {
  static constexpr std::array<u8, 6> from{1, 1, 1, 2, 2, 4}, to{2, 4, 8, 4, 8, 8};
  const unsigned kind = insn_.opcode & 0xf;
  Vector value{}, all{};
  if (!load(operand_address(insn_, cpu_), insn_.source_size, value)) return false;
  for (unsigned i = 0; i < insn_.vector_size / to[kind]; ++i) {
    const u64 element = lane(value, from[kind], i);
    const bool with_sign = insn_.operation == Operation::VectorExtendSign;
    set_lane(all, to[kind], i, with_sign ? sign_extended(element, from[kind]) : element);
  }
  set_vector(insn_.reg, all);
  return true;
}

bool Emulation::vector_insert() {
  const unsigned size = insn_.source_size, lanes = insn_.vector_size / size;
  Vector value{};
  if (!load(operand_address(insn_, cpu_), size, value)) return false;
  Vector all = first_source();
  set_lane(all, size, insn_.immediate & (lanes - 1), value[0]);
  set_vector(insn_.reg, all);
  return true;
}

bool Emulation::vector_insert_single() {
  Vector value{};
  if (!load(operand_address(insn_, cpu_), 4, value)) return false;
  Vector all = first_source();
  set_lane(all, 4, insn_.immediate >> 4 & 3, value[0]);
  for (unsigned i = 0; i < 4; ++i) {
    if ((insn_.immediate >> i & 1) != 0) set_lane(all, 4, i, 0);
  }
  set_vector(insn_.reg, all);
  return true;
}

bool Emulation::vector_extract() {
  const unsigned size = insn_.source_size;
  const u64 value = lane(vector(insn_.reg), size, insn_.immediate & (16 / size - 1));
  return store(operand_address(insn_, cpu_), size, {value, 0, 0, 0});
}

bool Emulation::vector_insert_half() {
  Vector value{};
  if (!load(operand_address(insn_, cpu_), 16, value)) return false;
  Vector all = first_source();
  const unsigned half = (insn_.immediate & 1) * 2;
  all[half] = value[0];
  all[half + 1] = value[1];
  set_vector(insn_.reg, all);
  return true;
}

bool Emulation::vector_extract_half() {
  const Vector all = vector(insn_.reg);
  const unsigned half = (insn_.immediate & 1) * 2;
  return store(operand_address(insn_, cpu_), 16, {all[half], all[half + 1], 0, 0});
}

/// VMASKMOVPS and PD, VPMASKMOVD and Q: elements whose mask has its sign set.
bool Emulation::vector_masked() {
  const unsigned size = insn_.opcode >= 0x80 ? insn_.operand_size : (insn_.opcode & 1) != 0 ? 8 : 4;
  const bool loads = insn_.operation == Operation::VectorMaskedLoad;
  const Vector mask = vector(insn_.second);
  const u64 address = operand_address(insn_, cpu_);
  const auto chosen = [&](unsigned i) { return lane(mask, size, i) >> (8 * size - 1) != 0; };
  const unsigned lanes = insn_.vector_size / size;
  for (unsigned i = 0; i < lanes; ++i) {
    if (chosen(i) && !access_.permits(address + i * size, size, loads ? Intent::Read : Intent::Modify)) return false;
  }
  Vector all = loads ? Vector{} : vector(insn_.reg);
  for (unsigned i = 0; i < lanes; ++i) {
    u64 value = lane(all, size, i);
    if (!chosen(i)) continue;
    const bool done = loads ? access_.read(address + i * size, size, value, Intent::Read)
                            : access_.write(address + i * size, size, value);
    if (!done) return false;
    set_lane(all, size, i, value);
  }
  if (loads) set_vector(insn_.reg, all);
  return true;
}

bool Emulation::vector_masked_bytes() {
  const Vector mask = vector(insn_.rm), all = vector(insn_.reg);
  const u64 base = cpu_.segment_base[static_cast<unsigned>(insn_.segment)];
  const auto chosen = [&](unsigned i) { return (lane(mask, 1, i) & 0x80) != 0; };
  const auto place = [&](unsigned i) {
    const u64 linear = base + masked(cpu_.registers[rdi] + i);
    return cpu_.code_bits == 64 ? linear : linear & 0xffff'ffff;
  };
  for (unsigned i = 0; i < insn_.vector_size; ++i) {
    if (chosen(i) && !access_.permits(place(i), 1, Intent::Modify)) return false;
  }
  for (unsigned i = 0; i < insn_.vector_size; ++i) {
    if (chosen(i) && !access_.write(place(i), 1, lane(all, 1, i))) return false;
  }
  return true;
}

bool Emulation::vector_logic() {
  Vector value{};
  if (!load(operand_address(insn_, cpu_), insn_.source_size, value)) return false;
  Vector all = first_source();
  for (unsigned i = 0; i < 4; ++i) {
    switch (insn_.operation) {
      case Operation::VectorAnd: all[i] &= value[i]; break;
      case Operation::VectorAndNot: all[i] = ~all[i] & value[i]; break;
      case Operation::VectorOr: all[i] |= value[i]; break;
      default: all[i] ^= value[i]; break;
    }
  }
  set_vector(insn_.reg, all);
  return true;
}

unsigned Emulation::state_offset() const { return insn_.opcode == 0xd9 ? 0 : insn_.opcode == 0xdd ? 2 : mxcsr_at; }

bool Emulation::load_state() {
  const bool mxcsr = state_offset() == mxcsr_at;
  const unsigned size = mxcsr ? 4 : 2;
  u64 value = 0;
  if (!read_rm(value, size)) return false;
  const u64 word = access_.extended_state(state_offset());
  // SDM vol. 1, 11.6.6.
  constexpr u64 default_mask = 0xffbf;
  const u64 mask = word >> 32 == 0 ? default_mask : word >> 32;
  if (mxcsr && (value & ~mask) != 0) return raise(vector::GP);
  u64 changed = (word & ~size_mask(size)) | value;
  if (!mxcsr) {
    // SDM vol. 1, 8.1.5: bit 6 is always 1; and 8.1.3: an exception that is unmasked now waits.
    constexpr u64 control_bits = 0x1f3f, control_fixed = 0x40, exceptions = 0x3f, waiting = u64{0x8080} << 16;
    changed = (word & ~size_mask(size) & ~waiting) | (value & control_bits) | control_fixed;
    if ((word >> 16 & ~value & exceptions) != 0) changed |= waiting;
  }
  access_.set_extended_state(state_offset(), changed);
  return true;
}

bool Emulation::store_state() {
  const unsigned at = state_offset();
  return write_rm(access_.extended_state(at & ~7u) >> (8 * (at & 7)), at == mxcsr_at ? 4 : 2);
}

}  // namespace bunshin::vmm
