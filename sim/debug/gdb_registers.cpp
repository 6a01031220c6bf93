#include "sim/debug/gdb_registers.h"

#include <array>
#include <cstring>

#include <fmt/format.h>

namespace bunshin::gdb_registers {

namespace {

enum class File : u8 { General, Rip, Flags, Segment, X87, X87Control, Xmm, Mxcsr, YmmHigh, SegmentBase, Control };

struct Row {
  const char* name;
  File file;
  u8 index;
  u8 bytes;
  const char* type;
};

constexpr std::array rows{
    Row{"rax", File::General, RAX, 8, "int64"},       Row{"rbx", File::General, RBX, 8, "int64"},
    Row{"rcx", File::General, RCX, 8, "int64"},       Row{"rdx", File::General, RDX, 8, "int64"},
    Row{"rsi", File::General, RSI, 8, "int64"},       Row{"rdi", File::General, RDI, 8, "int64"},
    Row{"rbp", File::General, RBP, 8, "data_ptr"},    Row{"rsp", File::General, RSP, 8, "data_ptr"},
    Row{"r8", File::General, R8, 8, "int64"},         Row{"r9", File::General, R9, 8, "int64"},
    Row{"r10", File::General, R10, 8, "int64"},       Row{"r11", File::General, R11, 8, "int64"},
    Row{"r12", File::General, R12, 8, "int64"},       Row{"r13", File::General, R13, 8, "int64"},
    Row{"r14", File::General, R14, 8, "int64"},       Row{"r15", File::General, R15, 8, "int64"},
    Row{"rip", File::Rip, 0, 8, "code_ptr"},          Row{"eflags", File::Flags, 0, 4, "int32"},
    Row{"cs", File::Segment, 1, 4, "int32"},          Row{"ss", File::Segment, 2, 4, "int32"},
    Row{"ds", File::Segment, 3, 4, "int32"},          Row{"es", File::Segment, 0, 4, "int32"},
    Row{"fs", File::Segment, 4, 4, "int32"},          Row{"gs", File::Segment, 5, 4, "int32"},
    Row{"st0", File::X87, 0, 10, "i387_ext"},         Row{"st1", File::X87, 1, 10, "i387_ext"},
    Row{"st2", File::X87, 2, 10, "i387_ext"},         Row{"st3", File::X87, 3, 10, "i387_ext"},
    Row{"st4", File::X87, 4, 10, "i387_ext"},         Row{"st5", File::X87, 5, 10, "i387_ext"},
    Row{"st6", File::X87, 6, 10, "i387_ext"},         Row{"st7", File::X87, 7, 10, "i387_ext"},
    Row{"fctrl", File::X87Control, 0, 4, "int"},      Row{"fstat", File::X87Control, 1, 4, "int"},
    Row{"ftag", File::X87Control, 2, 4, "int"},       Row{"fiseg", File::X87Control, 3, 4, "int"},
    Row{"fioff", File::X87Control, 4, 4, "int"},      Row{"foseg", File::X87Control, 5, 4, "int"},
    Row{"fooff", File::X87Control, 6, 4, "int"},      Row{"fop", File::X87Control, 7, 4, "int"},
    Row{"xmm0", File::Xmm, 0, 16, "vec128"},          Row{"xmm1", File::Xmm, 1, 16, "vec128"},
    Row{"xmm2", File::Xmm, 2, 16, "vec128"},          Row{"xmm3", File::Xmm, 3, 16, "vec128"},
    Row{"xmm4", File::Xmm, 4, 16, "vec128"},          Row{"xmm5", File::Xmm, 5, 16, "vec128"},
    Row{"xmm6", File::Xmm, 6, 16, "vec128"},          Row{"xmm7", File::Xmm, 7, 16, "vec128"},
    Row{"xmm8", File::Xmm, 8, 16, "vec128"},          Row{"xmm9", File::Xmm, 9, 16, "vec128"},
    Row{"xmm10", File::Xmm, 10, 16, "vec128"},        Row{"xmm11", File::Xmm, 11, 16, "vec128"},
    Row{"xmm12", File::Xmm, 12, 16, "vec128"},        Row{"xmm13", File::Xmm, 13, 16, "vec128"},
    Row{"xmm14", File::Xmm, 14, 16, "vec128"},        Row{"xmm15", File::Xmm, 15, 16, "vec128"},
    Row{"mxcsr", File::Mxcsr, 0, 4, "int"},           Row{"ymm0h", File::YmmHigh, 0, 16, "uint128"},
    Row{"ymm1h", File::YmmHigh, 1, 16, "uint128"},    Row{"ymm2h", File::YmmHigh, 2, 16, "uint128"},
    Row{"ymm3h", File::YmmHigh, 3, 16, "uint128"},    Row{"ymm4h", File::YmmHigh, 4, 16, "uint128"},
    Row{"ymm5h", File::YmmHigh, 5, 16, "uint128"},    Row{"ymm6h", File::YmmHigh, 6, 16, "uint128"},
    Row{"ymm7h", File::YmmHigh, 7, 16, "uint128"},    Row{"ymm8h", File::YmmHigh, 8, 16, "uint128"},
    Row{"ymm9h", File::YmmHigh, 9, 16, "uint128"},    Row{"ymm10h", File::YmmHigh, 10, 16, "uint128"},
    Row{"ymm11h", File::YmmHigh, 11, 16, "uint128"},  Row{"ymm12h", File::YmmHigh, 12, 16, "uint128"},
    Row{"ymm13h", File::YmmHigh, 13, 16, "uint128"},  Row{"ymm14h", File::YmmHigh, 14, 16, "uint128"},
    Row{"ymm15h", File::YmmHigh, 15, 16, "uint128"},  Row{"fs_base", File::SegmentBase, 4, 8, "int64"},
    Row{"gs_base", File::SegmentBase, 5, 8, "int64"}, Row{"cr0", File::Control, 0, 8, "int64"},
    Row{"cr2", File::Control, 2, 8, "int64"},         Row{"cr3", File::Control, 3, 8, "int64"},
    Row{"cr4", File::Control, 4, 8, "int64"},         Row{"efer", File::Control, 5, 8, "int64"},
};

u64 x87_control(const X87State& x, unsigned index) {
  switch (index) {
    case 0: return x.control;
    case 1: return u64{x.status} | u64{x.top} << 11;
    case 2: {
      u64 tags = 0;
      for (unsigned i = 0; i < 8; ++i) tags |= u64{(x.empty >> i & 1) != 0 ? 3u : 0u} << (2 * i);
      return tags;
    }
    case 3: return x.ip_selector;
    case 4: return static_cast<u32>(x.ip);
    case 5: return x.operand_selector;
    case 6: return static_cast<u32>(x.operand);
    default: return x.opcode;
  }
}

u64 control(const CpuState& s, unsigned index) {
  switch (index) {
    case 0: return s.cr0;
    case 2: return s.cr2;
    case 3: return s.cr3;
    case 4: return s.cr4;
    default: return s.msr.efer;
  }
}

std::vector<u8> little_endian(u64 value, unsigned bytes) {
  std::vector<u8> out(bytes);
  std::memcpy(out.data(), &value, std::min<std::size_t>(bytes, sizeof value));
  return out;
}

}  // namespace

unsigned count() { return rows.size(); }
unsigned size(unsigned number) { return rows.at(number).bytes; }

std::vector<u8> get(const Cpu& cpu, unsigned number) {
  const CpuState& s = cpu.state;
  const Row& row = rows.at(number);
  switch (row.file) {
    case File::General: return little_endian(s.gpr[row.index], 8);
    case File::Rip: return little_endian(s.rip, 8);
    case File::Flags: return little_endian(s.flags.value(), 4);
    case File::Segment: return little_endian(s.seg[row.index].selector, 4);
    case File::X87: {
      const X87Register& r = s.x87.registers[(s.x87.top + row.index) & 7];
      std::vector<u8> out = little_endian(r.mantissa, 10);
      std::memcpy(out.data() + 8, &r.sign_exponent, 2);
      return out;
    }
    case File::X87Control: return little_endian(x87_control(s.x87, row.index), 4);
    case File::Xmm: return {s.xmm[row.index].bytes.begin(), s.xmm[row.index].bytes.end()};
    case File::Mxcsr: return little_endian(s.mxcsr, 4);
    case File::YmmHigh: return {s.ymm_high[row.index].bytes.begin(), s.ymm_high[row.index].bytes.end()};
    case File::SegmentBase: return little_endian(s.seg[row.index].base, 8);
    case File::Control: return little_endian(control(s, row.index), 8);
  }
  return {};
}

bool set(Cpu& cpu, unsigned number, std::span<const u8> bytes) {
  CpuState& s = cpu.state;
  const Row& row = rows.at(number);
  if (bytes.size() != row.bytes) return false;
  u64 value = 0;
  std::memcpy(&value, bytes.data(), std::min<std::size_t>(bytes.size(), sizeof value));
  switch (row.file) {
    case File::General: s.gpr[row.index] = value; return true;
    case File::Rip: s.rip = value; return true;
    case File::Flags: s.flags.set_value(value & ~rflags::VM); return true;
    case File::Xmm: std::memcpy(s.xmm[row.index].bytes.data(), bytes.data(), 16); return true;
    case File::YmmHigh: std::memcpy(s.ymm_high[row.index].bytes.data(), bytes.data(), 16); return true;
    case File::SegmentBase: s.seg[row.index].base = value; return true;
    case File::Segment:
    case File::X87:
    case File::X87Control:
    case File::Mxcsr:
    case File::Control: return false;
  }
  return false;
}

std::string target_description() {
  std::string xml =
      "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
      "<architecture>i386:x86-64</architecture><feature name=\"org.gnu.gdb.i386.core\">";
  for (const Row& row : rows) {
    if (row.file == File::Xmm && row.index == 0) {
      xml +=
          "</feature><feature name=\"org.gnu.gdb.i386.sse\"><vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
          "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/><vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
          "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/><vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
          "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/><union id=\"vec128\"><field name=\"v4_float\" "
          "type=\"v4f\"/>"
          "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
          "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
          "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/></union>";
    }
    if (row.file == File::YmmHigh && row.index == 0) xml += "</feature><feature name=\"org.gnu.gdb.i386.avx\">";
    if (row.file == File::SegmentBase && row.index == 4) {
      xml += "</feature><feature name=\"org.gnu.gdb.i386.segments\">";
    }
    if (row.file == File::Control && row.index == 0) xml += "</feature><feature name=\"bunshin.control\">";
    xml += fmt::format("<reg name=\"{}\" bitsize=\"{}\" type=\"{}\"/>", row.name, row.bytes * 8, row.type);
  }
  return xml + "</feature></target>";
}

}  // namespace bunshin::gdb_registers
