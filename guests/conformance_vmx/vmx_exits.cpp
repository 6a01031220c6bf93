// VMX instructions of a guest: each leaves it, from any level; operands are in the instruction information (Intel SDM vol. 3,
// 25.1.2, 27.2.5).

#include "guests/conformance_vmx/ept.h"

namespace guest {

namespace {

constexpr unsigned invalid_opcode = 6;
constexpr u64 no_mask = 0, vmread_bits = 0xf7c3'8780;

struct Row {
  const char* name;
  Code code;
  u64 reason;
  u64 qualification = 0, information = any, mask = ~u64{0};
};
constexpr Row rows[] = {
    {"vmclear", "\x66\x0f\xc7\x37"_code, reason::vmclear, 0, at_rdi, 0x0fc3'8780},
    {"vmclear with a displacement", "\x66\x0f\xc7\x77\x18"_code, reason::vmclear, 0x18, at_rdi, 0x0fc3'8780},
    {"vmlaunch", "\x0f\x01\xc2"_code, reason::vmlaunch},
    {"vmptrld", "\x0f\xc7\x37"_code, reason::vmptrld, 0, at_rdi, 0x0fc3'8780},
    {"vmptrst", "\x0f\xc7\x3f"_code, reason::vmptrst, 0, at_rdi, 0x0fc3'8780},
    {"vmread to rbx of rax", "\x0f\x78\xc3"_code, reason::vmread, 0, 1u << 10 | 3u << 3, 0xf000'0478},
    {"vmread to memory of rdx", "\x0f\x78\x17"_code, reason::vmread, 0, at_rdi | 2u << 28, vmread_bits},
    {"vmwrite of rcx to rax", "\x0f\x79\xc1"_code, reason::vmwrite, 0, 1u << 10 | 1u << 3, 0xf000'0478},
    {"vmwrite of memory to rdx", "\x0f\x79\x17"_code, reason::vmwrite, 0, at_rdi | 2u << 28, vmread_bits},
    {"vmresume", "\x0f\x01\xc3"_code, reason::vmresume},
    {"vmxoff", "\x0f\x01\xc4"_code, reason::vmxoff},
    {"vmxon", "\xf3\x0f\xc7\x37"_code, reason::vmxon, 0, at_rdi, 0x0fc3'8780},
    {"invept", "\x66\x0f\x38\x80\x07"_code, reason::invept, 0, at_rdi, 0xffc3'8780},
    {"invvpid", "\x66\x0f\x38\x81\x0f"_code, reason::invvpid, 0, at_rdi | 1u << 28, 0xffc3'8780},
};

bool exists(const Row& row) {
  if (row.reason == reason::invept) return ept_can(ept_capability::invept);
  if (row.reason == reason::invvpid) return ept_can(ept_capability::invvpid);
  return true;
}

struct Operand {
  const char* name;
  Code code;
  u64 information, qualification = 0;
};
/// VMPTRLD with each kind of address.
constexpr Operand operands[] = {
    {"[rbx+rcx*4]", "\x0f\xc7\x34\x8b"_code, 2 | 2u << 7 | 3u << 15 | 1u << 18 | 3u << 23},
    {"[rsp]", "\x0f\xc7\x34\x24"_code, 2u << 7 | 2u << 15 | 1u << 22 | 4u << 23},
    {"[rbp+8]", "\x0f\xc7\x75\x08"_code, 2u << 7 | 2u << 15 | 1u << 22 | 5u << 23, 8},
    {"fs:[rdi]", "\x64\x0f\xc7\x37"_code, 2u << 7 | 4u << 15 | 1u << 22 | 7u << 23},
    {"[r9+r10*8]", "\x43\x0f\xc7\x34\xd1"_code, 3 | 2u << 7 | 3u << 15 | 10u << 18 | 9u << 23},
    {"[edi]", "\x67\x0f\xc7\x37"_code, 1u << 7 | 3u << 15 | 1u << 22 | 7u << 23},
    {"[displacement]", "\x0f\xc7\x34\x25\x00\x00\x32\x00"_code, 2u << 7 | 3u << 15 | 1u << 22 | 1u << 27, data_page},
    {"[rip+displacement]", "\x0f\xc7\x35\x00\x01\x00\x00"_code, 2u << 7 | 3u << 15 | 1u << 22 | 1u << 27,
     code_page + 7 + 0x100},
};

void prepare_operands(Mode mode, Code code) {
  prepare(mode, code);
  registers.rdi = registers.rbp = registers.rbx = registers.r9 = data_page;
}

void memory_operands() {
  begin_group("vmptrld");
  for (const Operand& each : operands) {
    prepare_operands(Mode::Long, each.code);
    const bool has_index = (each.information >> 22 & 1) == 0, has_base = (each.information >> 27 & 1) == 0;
    const u64 mask = 0x0843'8780 | (has_index ? 0x3c'0003u : 0u) | (has_base ? 0x0780'0000u : 0u);
    const bool is_relative = !has_base && each.qualification > code_page && each.qualification < data_page;
    // What the qualification has for RIP-relative operands is the sum (27.2.1).
    check_exit(each.name, {reason::vmptrld, each.code.size, is_relative ? each.qualification : each.qualification,
                           each.information, 0, mask});
  }
}

}  // namespace

void check_vmx_exits() {
  for (const bool user : {false, true}) {
    begin_group(user ? "vmx instruction of level 3" : "vmx instruction");
    for (const Row& row : rows) {
      if (!exists(row)) {
        absent(row.name);
        continue;
      }
      prepare_operands(Mode::Long, row.code);
      if (user) at_level_3();
      check_exit(row.name, {row.reason, row.code.size, row.qualification, row.information, 0,
                            row.information == any ? no_mask : row.mask});
    }
  }
  begin_group("vmx instruction in compatibility mode");
  for (const Row& row : rows) {
    if (!exists(row)) {
      absent(row.name);
      continue;
    }
    prepare_operands(Mode::Compatibility, row.code);
    put(vmcs::exceptions, 1u << invalid_opcode);
    check_exit(row.name, {reason::exception});
  }
  memory_operands();
}

}  // namespace guest
