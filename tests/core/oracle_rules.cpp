#include "tests/core/oracle_rules.h"

#include <cpuid.h>
#include <sys/auxv.h>

#include <algorithm>
#include <array>

#include "core/decode/decoder.h"
#include "core/state.h"
#include "tests/core/oracle_memory.h"

namespace bunshin::oracle {

namespace {

struct Exclusion {
  std::string_view mnemonic;
  std::string_view reason;
};

constexpr Exclusion exclusions[] = {
    {"cpuid", "the model tells of itself"},
    {"rdpmc", "no counters"},
    {"rdtsc", "time"},
    {"rdtscp", "time"},
    {"rdrand", "random"},
    {"rdseed", "random"},
    {"rdpid", "the host's processor number"},
    {"rdpkru", "CR4.PKE differs"},
    {"wrpkru", "CR4.PKE differs"},
    {"xgetbv", "XCR0 is the host's kernel's"},
    {"monitor", "an MSR may allow it to users (AMD)"},
    {"mwait", "an MSR may allow it to users (AMD)"},
    {"syscall", "enters the host's kernel"},
    {"sysenter", "enters the host's kernel"},
    {"sldt", "the host's UMIP emulation"},
    {"str", "the host's UMIP emulation"},
    {"smsw", "the host's UMIP emulation"},
    {"sgdt", "the host's UMIP emulation"},
    {"sidt", "the host's UMIP emulation"},
    {"rcpps", "an approximation: vendors differ"},
    {"vrcpps", "an approximation: vendors differ"},
    {"rcpss", "an approximation: vendors differ"},
    {"vrcpss", "an approximation: vendors differ"},
    {"rsqrtps", "an approximation: vendors differ"},
    {"vrsqrtps", "an approximation: vendors differ"},
    {"rsqrtss", "an approximation: vendors differ"},
    {"vrsqrtss", "an approximation: vendors differ"},
};

struct CpuidWord {
  u32 a = 0, b = 0, c = 0, d = 0;
};
CpuidWord cpuid(u32 leaf, u32 subleaf = 0) {
  CpuidWord w;
  __get_cpuid_count(leaf, subleaf, &w.a, &w.b, &w.c, &w.d);
  return w;
}
bool bit(u32 word, unsigned n) { return ((word >> n) & 1) != 0; }

constexpr u64 all = rflags::status;
constexpr u64 after_logic = rflags::AF;

struct Undefined {
  std::string_view mnemonic;
  u64 flags;
};
/// Whatever the operands are (SDM vol. 1, appendix A).
constexpr Undefined undefined_always[] = {
    {"and", after_logic},
    {"or", after_logic},
    {"xor", after_logic},
    {"test", after_logic},
    {"mul", rflags::SF | rflags::ZF | rflags::AF | rflags::PF},
    {"imul", rflags::SF | rflags::ZF | rflags::AF | rflags::PF},
    {"div", all},
    {"idiv", all},
    {"bsf", all & ~rflags::ZF},
    {"bsr", all & ~rflags::ZF},
    {"andn", rflags::AF | rflags::PF},
    {"blsr", rflags::AF | rflags::PF},
    {"blsi", rflags::AF | rflags::PF},
    {"blsmsk", rflags::AF | rflags::PF},
    {"bzhi", rflags::AF | rflags::PF},
    {"bextr", rflags::AF | rflags::SF | rflags::PF},
    {"aaa", rflags::OF | rflags::SF | rflags::ZF | rflags::PF},
    {"aas", rflags::OF | rflags::SF | rflags::ZF | rflags::PF},
    {"daa", rflags::OF},
    {"das", rflags::OF},
    {"aam", rflags::OF | rflags::AF | rflags::CF},
    {"aad", rflags::OF | rflags::AF | rflags::CF},
    {"tzcnt", all & ~(rflags::ZF | rflags::CF)},
    {"lzcnt", all & ~(rflags::ZF | rflags::CF)},
    {"bt", all & ~(rflags::ZF | rflags::CF)},
    {"bts", all & ~(rflags::ZF | rflags::CF)},
    {"btr", all & ~(rflags::ZF | rflags::CF)},
    {"btc", all & ~(rflags::ZF | rflags::CF)},
};

/// The AVX form of an SSE instruction is treated alike.
std::string_view without_v(std::string_view mnemonic) {
  return mnemonic.starts_with("v") ? mnemonic.substr(1) : mnemonic;
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

u64 undefined_after_shift(std::string_view name, unsigned bits, unsigned count) {
  if (count == 0) return 0;
  const u64 overflow = count != 1 ? rflags::OF : 0;
  if (is_one_of(name, {"rol", "ror", "rcl", "rcr"})) return overflow;
  if (is_one_of(name, {"shl", "shr", "sar"})) {
    return overflow | rflags::AF | (name != "sar" && count >= bits ? rflags::CF : 0);
  }
  if (is_one_of(name, {"shld", "shrd"})) return count > bits ? all : overflow | rflags::AF;
  return 0;
}

}  // namespace

std::string_view exclusion(const Row& row, CodeKind kind, const CpuProfile& profile) {
  const bool wide = kind == CodeKind::Long;
  if (wide && (row.attributes & attr::invalid64) != 0) return "not in 64-bit mode";
  if (!wide && (row.attributes & attr::only64) != 0) return "in 64-bit mode only";
  // These want REX.W.
  if (!wide && OpcodeTable::parse(row).rex_w == 1 && !OpcodeTable::parse(row).vex()) return "in 64-bit mode only";
  if (row.feature != Feature::Base && !profile.has(row.feature)) return "the profile lacks it";
  if (!host_has(row.feature)) return "the host lacks it";
  for (const Exclusion& e : exclusions) {
    if (e.mnemonic == row.mnemonic) return e.reason;
  }
  return {};
}

namespace {

/// The host's operating system may have enabled more components than the oracle sets and sees.
bool saves_other_components(const Case& c) {
  const std::string_view name = c.decoded.row->mnemonic;
  if (!name.starts_with("xsave") && name != "xrstor") return false;
  constexpr u64 in_no_processor = u64{1} << 30 | u64{1} << 40;
  const u64 requested = (c.registers.gpr[RAX] & 0xffffffff) | c.registers.gpr[RDX] << 32;
  return (requested & ~(FxImage::components | in_no_processor)) != 0;
}

}  // namespace

std::string_view exclusion(const Case& c) {
  const Decoded& decoded = c.decoded;
  if (decoded.row == nullptr) return "undefined";
  if (decoded.memory && is_host_only(operand_address(c))) return "the oracle's own memory";
  if (saves_other_components(c)) return "XCR0 is the host's kernel's";
  const Row& row = *decoded.row;
  if (row.encoding == "0F 0D /r" && !decoded.memory) return "register forms: #UD on AMD's, NOP on Intel's processors";
  if (row.mnemonic == "int" && (decoded.record.imm & 0xff) == 0x80) return "enters the host's kernel";
  if (row.mnemonic == "bsf" && (decoded.record.prefixes & prefix::rep) != 0) return "TZCNT where the host has BMI1";
  if (row.mnemonic == "bsr" && (decoded.record.prefixes & prefix::rep) != 0) return "LZCNT where the host has it";
  for (const Exclusion& e : exclusions) {
    if (e.mnemonic == row.mnemonic) return e.reason;
  }
  return {};
}

bool is_transfer(const Row& row) {
  if ((row.attributes & attr::conditional_jump) != 0) return true;
  return is_one_of(row.mnemonic,
                   {"jmp", "call", "ret", "loop", "loope", "loopne", "jrcxz", "ljmp", "lcall", "retf", "iret"});
}

bool always_traps(const Row& row) {
  if ((row.attributes & attr::privileged) != 0) return true;
  for (const Op op : row.operands) {
    if (op == Op::Cd || op == Op::Dd) return true;
  }
  return is_one_of(row.mnemonic,
                   {"in",   "out",  "insb", "ins", "outsb", "outs",   "cli",     "sti",  "clac", "stac",  "int",
                    "int1", "int3", "ud0",  "ud1", "ud2",   "sysret", "sysexit", "invd", "hlt",  "xsetbv"});
}

bool loads_segment(const Row& row) {
  return is_one_of(row.mnemonic, {"lfs", "lgs"}) || row.operands[0] == Op::Sw || row.operands[0] == Op::Fs ||
         row.operands[0] == Op::Gs;
}

u64 undefined_flags(const Decoded& decoded, u64 count) {
  const std::string_view name = decoded.row->mnemonic;
  for (const Undefined& u : undefined_always) {
    if (u.mnemonic == name) return u.flags;
  }
  const auto masked = static_cast<unsigned>(count) & (decoded.operand_bytes == 8 ? 63 : 31);
  return undefined_after_shift(name, decoded.operand_bytes * 8, masked);
}

bool undefined_result(const Decoded& decoded, u64 count) {
  const std::string_view name = decoded.row->mnemonic;
  if (name == "bswap") return decoded.operand_bytes == 2;
  if (!is_one_of(name, {"shld", "shrd"})) return false;
  return (count & (decoded.operand_bytes == 8 ? 63 : 31)) > decoded.operand_bytes * 8;
}

u32 compared_mxcsr(const Decoded& decoded, const std::optional<Trap>& trap) {
  constexpr u32 flags = 0x3f, precision = 0x20;
  if (!trap || trap->vector != 19) return ~u32{0};
  // Several rounding steps in one instruction: which of them trap first is not architectural.
  if (is_one_of(without_v(decoded.row->mnemonic), {"dpps", "dppd"})) return ~flags;
  // AMD's processors do not report inexactness beside an unmasked overflow or underflow.
  return ~precision;
}

bool compares_x87(const Decoded& decoded, const std::optional<Trap>& trap) {
  const bool mmx = (decoded.row->attributes & attr::mmx) != 0;
  // AMD's processors enter MMX state before they fault.
  if (trap && mmx) return false;
  // Intel's enter it for a memory operand too (SDM vol. 2, CVTPI2PS), AMD's do not.
  return !(decoded.memory && is_one_of(decoded.row->mnemonic, {"cvtpi2ps", "cvtpi2pd"}));
}

namespace {

/// An x87 comparison of which an unmasked exception prevents the result: on AMD's processors it is set nevertheless
/// (SDM vol. 2, FCOM: set only if the exception is masked).
bool comparison_failed(const Decoded& decoded, u16 status) {
  const std::string_view name = decoded.row->mnemonic;
  const bool compares =
      name.starts_with("fcom") || name.starts_with("fucom") || name.starts_with("ficom") || name == "ftst";
  return compares && (status & 0x80) != 0;
}

}  // namespace

u16 compared_fsw(const Decoded& decoded, u16 status) {
  constexpr u16 c1 = 0x200, conditions = 0x4500;
  if (comparison_failed(decoded, status)) return static_cast<u16>(~(conditions | c1));
  // Cleared by Intel's processors (SDM vol. 2, FCOMI), left by AMD's.
  const bool sets_flags = is_one_of(decoded.row->mnemonic, {"fcomi", "fcomip", "fucomi", "fucomip"});
  return sets_flags ? static_cast<u16>(~c1) : u16{0xffff};
}

u64 undefined_flags_after_exception(const Decoded& decoded, u16 status) {
  const bool sets_flags = is_one_of(decoded.row->mnemonic, {"fcomi", "fcomip", "fucomi", "fucomip"});
  return sets_flags && comparison_failed(decoded, status) ? rflags::status : 0;
}

u64 undefined_destination_bits(const Decoded& decoded) {
  // Part of the limit, on processors known (SDM vol. 2, LAR).
  return decoded.row->mnemonic == "lar" ? 0xf0000 : 0;
}

namespace {

/// The operating system saves them.
bool has_ymm() {
  if (!bit(cpuid(1).c, 27) || !bit(cpuid(1).c, 28)) return false;
  u32 low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & FxImage::components) == FxImage::components;
}

bool ask_host(Feature feature) {
  const CpuidWord one = cpuid(1), seven = cpuid(7), extended = cpuid(0x80000001);
  const CpuidWord xsave = cpuid(13, 1);
  switch (feature) {
    case Feature::Sse3: return bit(one.c, 0);
    case Feature::Pclmulqdq: return bit(one.c, 1);
    case Feature::Ssse3: return bit(one.c, 9);
    case Feature::Cx16: return bit(one.c, 13);
    case Feature::Sse41: return bit(one.c, 19);
    case Feature::Sse42: return bit(one.c, 20);
    case Feature::Movbe: return bit(one.c, 22);
    case Feature::Popcnt: return bit(one.c, 23);
    case Feature::Aes: return bit(one.c, 25);
    case Feature::LahfLm: return bit(extended.c, 0);
    case Feature::Lzcnt: return bit(extended.c, 5);
    case Feature::Prefetchw: return bit(extended.c, 8);
    case Feature::Adx: return bit(seven.b, 19);
    case Feature::Clflushopt: return bit(seven.b, 23);
    case Feature::Clwb: return bit(seven.b, 24);
    case Feature::Sha: return bit(seven.b, 29);
    case Feature::Monitor: return bit(one.c, 3);
    case Feature::Fma: return bit(one.c, 12) && has_ymm();
    case Feature::Xsave: return bit(one.c, 27);
    case Feature::Avx: return has_ymm();
    case Feature::F16c: return bit(one.c, 29) && has_ymm();
    case Feature::Rdrand: return bit(one.c, 30);
    case Feature::Bmi1: return bit(seven.b, 3);
    case Feature::Avx2: return bit(seven.b, 5) && has_ymm();
    case Feature::Bmi2: return bit(seven.b, 8);
    case Feature::Invpcid: return bit(seven.b, 10);
    case Feature::Rdseed: return bit(seven.b, 18);
    case Feature::Smap: return bit(seven.b, 20);
    case Feature::Pku: return bit(seven.c, 4);
    case Feature::Rdpid: return bit(seven.c, 22);
    case Feature::Rdtscp: return bit(extended.d, 27);
    case Feature::Xsaveopt: return bit(xsave.a, 0);
    case Feature::Xsavec: return bit(xsave.a, 1);
    case Feature::Xgetbv1: return bit(xsave.a, 2);
    // Linux must have set CR4.FSGSBASE.
    case Feature::Fsgsbase: return (getauxval(AT_HWCAP2) & 2) != 0;
    case Feature::Base:
    case Feature::Msr:
    case Feature::Tsc:
    case Feature::Sep:
    case Feature::Syscall:
    case Feature::Fpu:
    case Feature::Cmov:
    case Feature::Cx8:
    case Feature::Mmx:
    case Feature::Fxsr:
    case Feature::Sse:
    case Feature::Sse2:
    case Feature::Clflush:
    case Feature::Lm: return true;  // every x86-64 processor
    default: return false;
  }
}

}  // namespace

bool host_has(Feature feature) {
  // CPUID is slow, above all in a virtual machine.
  static const auto known = [] {
    std::array<bool, static_cast<unsigned>(Feature::Count)> table{};
    for (unsigned i = 0; i < table.size(); ++i) table[i] = ask_host(static_cast<Feature>(i));
    return table;
  }();
  return known[static_cast<unsigned>(feature)];
}

}  // namespace bunshin::oracle
