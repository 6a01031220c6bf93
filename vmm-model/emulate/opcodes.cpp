// The opcode maps (SDM vol. 2, appendix A), as far as a hypervisor must know them.

#include "vmm-model/emulate/decoder.h"

namespace bunshin::vmm {

// CALL and JMP ptr16:16, ptr16:32: not in 64-bit mode.
void Decoder::far_pointer() {
  if (bits_ == 64) return;
  take(full_size() + 2);
  plain();
}

void Decoder::group_1(u8 opcode) {
  binary(Operation::Add, opcode != 0x80, false);
  insn_.operation = static_cast<Operation>(static_cast<unsigned>(Operation::Add) + (insn_.reg & 7));
  immediate(immediate_size(opcode == 0x81));
}

void Decoder::group_3(u8 opcode) {
  const bool wide = (opcode & 1) != 0;
  binary(Operation::Unknown, wide, false);
  switch (insn_.reg & 7) {
    case 0:
    case 1:
      insn_.operation = Operation::Test;
      immediate(immediate_size(wide));
      break;
    case 2: insn_.operation = Operation::Not; break;
    case 3: insn_.operation = Operation::Negate; break;
    default: break;
  }
}

void Decoder::string(u8 opcode) {
  insn_.operand_size = static_cast<u8>((opcode & 1) != 0 ? full_size() : 1);
  insn_.memory = true;
  switch (opcode & 0xfe) {
    case 0x6c: insn_.operation = Operation::InString; break;
    case 0x6e: insn_.operation = Operation::OutString; break;
    case 0xa4: insn_.operation = Operation::MoveString; break;
    case 0xaa: insn_.operation = Operation::StoreString; break;
    case 0xac: insn_.operation = Operation::LoadString; break;
    default: break;
  }
}

void Decoder::one_byte(u8 opcode) {
  const bool wide = (opcode & 1) != 0;
  if (opcode < 0x40 && (opcode & 7) < 4) {
    return binary(static_cast<Operation>(static_cast<unsigned>(Operation::Add) + (opcode >> 3)), wide,
                  (opcode & 2) != 0);
  }
  switch (opcode) {
    case 0x63:
      if (bits_ != 64) return;
      binary(Operation::MovSign, true, true);
      insn_.source_size = 4;
      return;
    case 0x6c:
    case 0x6d:
    case 0x6e:
    case 0x6f:
    case 0xa4:
    case 0xa5:
    case 0xaa:
    case 0xab:
    case 0xac:
    case 0xad: return string(opcode);
    case 0x80:
    case 0x81:
    case 0x83: return group_1(opcode);
    case 0x84:
    case 0x85: return binary(Operation::Test, wide, false);
    case 0x86:
    case 0x87: return binary(Operation::Exchange, wide, false);
    case 0x88:
    case 0x89: return binary(Operation::Mov, wide, false);
    case 0x8a:
    case 0x8b: return binary(Operation::Mov, wide, true);
    case 0xa0:
    case 0xa1:
    case 0xa2:
    case 0xa3:
      insn_.operation = Operation::Mov;
      insn_.operand_size = static_cast<u8>(wide ? full_size() : 1);
      insn_.to_register = opcode < 0xa2;
      insn_.memory = true;
      insn_.displacement = static_cast<i64>(take(insn_.address_size));
      return;
    case 0xc6:
    case 0xc7:
      binary(Operation::Mov, wide, false);
      if ((insn_.reg & 7) != 0) insn_.operation = Operation::Unknown;
      return immediate(immediate_size(wide));
    case 0xe4:
    case 0xe5:
    case 0xe6:
    case 0xe7: next(); return plain();
    case 0xec:
    case 0xed:
    case 0xee:
    case 0xef:
    case 0xf4: return plain();
    case 0x9a:
    case 0xea: return far_pointer();
    case 0xcd: next(); return plain();
    case 0xcc:
    case 0xce:
    case 0xcf:
    case 0xf1: return plain();
    case 0xf6:
    case 0xf7: return group_3(opcode);
    case 0xfe:
    case 0xff:
      binary(Operation::Unknown, wide, false);
      if ((insn_.reg & 7) == 0) insn_.operation = Operation::Increment;
      if ((insn_.reg & 7) == 1) insn_.operation = Operation::Decrement;
      // Far CALL and JMP, which may switch tasks.
      if (wide && insn_.memory && ((insn_.reg & 7) == 3 || (insn_.reg & 7) == 5)) plain();
      return;
    default: return;
  }
}

void Decoder::group_7() {
  const u8 byte = peek();
  if (byte >= 0xc0) {
    const u8 reg = byte >> 3 & 7;
    // VMCALL … XGETBV, XSETBV, MONITOR, MWAIT, the SVM instructions, SWAPGS, RDTSCP: all of them register forms.
    if (reg != 4 && reg != 6) {
      next();
      return plain();
    }
  }
  binary(Operation::Unknown, true, false);
  switch (insn_.reg & 7) {
    case 4:
      insn_.operation = Operation::StoreMachineStatus;
      if (insn_.memory) insn_.operand_size = 2;
      break;
    case 6: insn_.operation = Operation::LoadMachineStatus; break;
    case 7: insn_.operation = Operation::InvalidatePage; break;
    default: break;
  }
}

// ModRM.mod is ignored (SDM vol. 2, MOV to and from control registers); LOCK is AMD's way to CR8 from outside of 64-bit mode.
void Decoder::control_register(Operation operation) {
  const u8 byte = next();
  insn_.operation = operation;
  insn_.operand_size = bits_ == 64 ? 8 : 4;
  insn_.reg = static_cast<u8>((byte >> 3 & 7) | (rex_r_ || insn_.locked ? 8 : 0));
  insn_.rm = static_cast<u8>((byte & 7) | (rex_b_ ? 8 : 0));
}

void Decoder::group_8() {
  binary(Operation::Unknown, true, false);
  const u8 reg = insn_.reg & 7;
  if (reg < 4) return;
  insn_.operation = static_cast<Operation>(static_cast<unsigned>(Operation::BitTest) + reg - 4);
  immediate(1);
}

void Decoder::two_bytes(u8 opcode) {
  switch (opcode) {
    case 0x01: return group_7();
    case 0x06: insn_.operation = Operation::ClearTaskSwitched; return;
    case 0x08:  // INVD
    case 0x09:  // WBINVD
    case 0x30:  // WRMSR
    case 0x31:  // RDTSC
    case 0x32:  // RDMSR
    case 0x33:  // RDPMC
    case 0xa2:  // CPUID
      return plain();
    case 0x20:
    case 0x22: return control_register(opcode == 0x20 ? Operation::MovFromControl : Operation::MovToControl);
    case 0xa3: return binary(Operation::BitTest, true, false);
    case 0xab: return binary(Operation::BitSet, true, false);
    case 0xb0:
    case 0xb1: return binary(Operation::CompareExchange, opcode == 0xb1, false);
    case 0xb3: return binary(Operation::BitReset, true, false);
    case 0xb6:
    case 0xb7:
    case 0xbe:
    case 0xbf:
      binary(opcode < 0xb8 ? Operation::MovZero : Operation::MovSign, true, true);
      insn_.source_size = (opcode & 1) != 0 ? 2 : 1;
      return;
    case 0xba: return group_8();
    case 0xbb: return binary(Operation::BitComplement, true, false);
    case 0xc0:
    case 0xc1: return binary(Operation::ExchangeAdd, opcode == 0xc1, false);
    case 0xc3: return binary(Operation::Mov, true, false);  // MOVNTI
    case 0xc7:
      binary(Operation::Unknown, true, false);
      if ((insn_.reg & 7) == 1 && insn_.memory) {
        insn_.operation = Operation::CompareExchangePair;
        insn_.operand_size = rex_w_ ? 16 : 8;
      }
      return;
    default: return;
  }
}

}  // namespace bunshin::vmm
