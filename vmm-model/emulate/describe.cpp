#include "vmm-model/emulate/describe.h"

#include <array>

namespace bunshin::vmm {

namespace {

/// D8H … DFH with an operand in memory, by ModRM.reg (SDM vol. 2, tables ); empty: no instruction, or one emulated.
constexpr std::string_view x87_names[8][8] = {
    {"FADD", "FMUL", "FCOM", "FCOMP", "FSUB", "FSUBR", "FDIV", "FDIVR"},
    {"FLD", "", "FST", "FSTP", "FLDENV", "FLDCW", "FNSTENV", "FNSTCW"},
    {"FIADD", "FIMUL", "FICOM", "FICOMP", "FISUB", "FISUBR", "FIDIV", "FIDIVR"},
    {"FILD", "FISTTP", "FIST", "FISTP", "", "FLD", "", "FSTP"},
    {"FADD", "FMUL", "FCOM", "FCOMP", "FSUB", "FSUBR", "FDIV", "FDIVR"},
    {"FLD", "FISTTP", "FST", "FSTP", "FRSTOR", "", "FNSAVE", "FNSTSW"},
    {"FIADD", "FIMUL", "FICOM", "FICOMP", "FISUB", "FISUBR", "FIDIV", "FIDIVR"},
    {"FILD", "FISTTP", "FIST", "FISTP", "FBLD", "FILD", "FBSTP", "FISTP"}};

constexpr std::string_view group_15_names[8] = {"FXSAVE", "FXRSTOR", "LDMXCSR",  "STMXCSR",
                                                "XSAVE",  "XRSTOR",  "XSAVEOPT", "CLFLUSH"};

bool is_prefix(u8 byte, unsigned bits) {
  constexpr std::array<u8, 11> all{0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
  for (const u8 prefix : all) {
    if (byte == prefix) return true;
  }
  return bits == 64 && (byte & 0xf0) == 0x40;
}

std::string_view describe_two_bytes(u8 opcode, unsigned reg) {
  switch (opcode) {
    case 0x00: return "a descriptor-table instruction";
    case 0x01: return "a system-table instruction";
    case 0x02: return "LAR";
    case 0x03: return "LSL";
    case 0xa1: return "POP FS";
    case 0xa9: return "POP GS";
    case 0xae: return group_15_names[reg];
    case 0xb2: return "LSS";
    case 0xb4: return "LFS";
    case 0xb5: return "LGS";
    case 0xc7: return "an instruction of group 9";
    default: return "an SSE or MMX computation";
  }
}

std::string_view describe_one_byte(u8 opcode, unsigned reg) {
  switch (opcode) {
    case 0x07: return "POP ES";
    case 0x17: return "POP SS";
    case 0x1f: return "POP DS";
    case 0x62: return "an AVX-512 instruction";
    case 0x63: return "ARPL";
    case 0x8e: return "MOV to a segment register";
    case 0x9a: return "a far CALL";
    case 0xca:
    case 0xcb: return "a far RET";
    case 0xcc:
    case 0xcd:
    case 0xce: return "a software interrupt";
    case 0xcf: return "IRET";
    case 0xff: return reg == 3 ? "a far CALL" : reg == 5 ? "a far JMP" : "an undefined instruction";
    default: return "an instruction of no memory operand";
  }
}

}  // namespace

std::string_view describe_instruction(std::span<const u8> bytes, unsigned code_bits) {
  while (!bytes.empty() && is_prefix(bytes[0], code_bits)) bytes = bytes.subspan(1);
  if (bytes.size() < 2) return "an instruction that is cut off";
  const u8 opcode = bytes[0];
  if (opcode == 0x0f) return describe_two_bytes(bytes[1], bytes.size() > 2 ? bytes[2] >> 3 & 7 : 0);
  const unsigned reg = bytes[1] >> 3 & 7;
  if (opcode >= 0xd8 && opcode <= 0xdf) {
    const std::string_view name = x87_names[opcode - 0xd8][reg];
    return name.empty() ? "an undefined instruction" : name;
  }
  if (opcode != 0xc4 && opcode != 0xc5) return describe_one_byte(opcode, reg);
  if (code_bits == 64 || bytes[1] >= 0xc0) return "an AVX computation";
  return opcode == 0xc4 ? "LES" : "LDS";
}

}  // namespace bunshin::vmm
