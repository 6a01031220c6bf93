#include "vmm-model/emulate/code_bytes.h"

#include <array>

namespace bunshin::vmm {

void CodeBytes::memory_operand(Instruction& insn, u8 modrm, const MemoryForm& form) {
  const u8 mod = modrm >> 6, rm = modrm & 7;
  insn.memory = true;
  if (insn.address_size == 2) {
    memory16(insn, mod, rm);
  } else {
    memory32(insn, mod, rm, form);
  }
  const bool stack = insn.base == rsp || insn.base == rbp;
  if (stack && !form.segment_prefix) insn.segment = SegmentName::ss;
}

void CodeBytes::memory16(Instruction& insn, u8 mod, u8 rm) {
  static constexpr std::array<i8, 8> bases{rbx, rbx, rbp, rbp, rsi, rdi, rbp, rbx};
  static constexpr std::array<i8, 8> indices{rsi, rdi, rsi, rdi, -1, -1, -1, -1};
  const bool absolute = mod == 0 && rm == 6;
  insn.base = absolute ? i8{-1} : bases[rm];
  insn.index = indices[rm];
  const unsigned size = mod == 1 ? 1 : mod == 2 || absolute ? 2 : 0;
  if (size != 0) insn.displacement = take_signed(size);
}

void CodeBytes::memory32(Instruction& insn, u8 mod, u8 rm, const MemoryForm& form) {
  unsigned size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
  u8 base = rm;
  if (rm == 4) {
    const u8 sib = next();
    insn.scale = sib >> 6;
    const unsigned index = (sib >> 3 & 7) | (form.rex_x ? 8u : 0u);
    if (index != 4) insn.index = static_cast<i8>(index);
    base = sib & 7;
  }
  if (base == 5 && mod == 0) {
    insn.rip_relative = form.long_mode && rm == 5;
    size = 4;
  } else {
    insn.base = static_cast<i8>(base | (form.rex_b ? 8 : 0));
  }
  if (size != 0) insn.displacement = take_signed(size);
}

}  // namespace bunshin::vmm
