#include "tests/core/oracle_rules.h"

#include <cpuid.h>

#include <algorithm>
#include <array>

#include "core/state.h"

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
    {"rdfsbase", "the host's thread pointer"},
    {"rdgsbase", "segment bases are not loaded on the host"},
    {"wrfsbase", "the host's thread pointer"},
    {"wrgsbase", "segment bases are not loaded on the host"},
    {"rdpkru", "CR4.PKE differs"},
    {"xgetbv", "XCR0 and CR4.OSXSAVE differ"},
    {"monitor", "privileged by default"},
    {"sldt", "the host's UMIP emulation"},
    {"str", "the host's UMIP emulation"},
    {"smsw", "the host's UMIP emulation"},
    {"sgdt", "the host's UMIP emulation"},
    {"sidt", "the host's UMIP emulation"},
    {"lar", "the host's descriptor tables"},
    {"lsl", "the host's descriptor tables"},
    {"verr", "the host's descriptor tables"},
    {"verw", "the host's descriptor tables"},
    {"xsave", "XCR0 and CR4.OSXSAVE differ"},
    {"xsaveopt", "XCR0 and CR4.OSXSAVE differ"},
    {"xsavec", "XCR0 and CR4.OSXSAVE differ"},
    {"fxsave", "reserved fields and instruction pointers differ between vendors"},
    {"fxrstor", "reserved fields and instruction pointers differ between vendors"},
    {"fnsave", "instruction pointers are not carried over"},
    {"fnstenv", "instruction pointers are not carried over"},
    {"frstor", "instruction pointers are not carried over"},
    {"fldenv", "instruction pointers are not carried over"},
    {"rcpps", "an approximation: vendors differ"},
    {"rcpss", "an approximation: vendors differ"},
    {"rsqrtps", "an approximation: vendors differ"},
    {"rsqrtss", "an approximation: vendors differ"},
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
    {"tzcnt", all & ~(rflags::ZF | rflags::CF)},
    {"lzcnt", all & ~(rflags::ZF | rflags::CF)},
    {"bt", all & ~(rflags::ZF | rflags::CF)},
    {"bts", all & ~(rflags::ZF | rflags::CF)},
    {"btr", all & ~(rflags::ZF | rflags::CF)},
    {"btc", all & ~(rflags::ZF | rflags::CF)},
};

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

std::string_view exclusion(const Row& row) {
  if ((row.attributes & attr::invalid64) != 0) return "not in 64-bit mode";
  if ((row.attributes & (attr::privileged | attr::alone)) != 0) return "system";
  if ((row.attributes & attr::ends_block) != 0) return "control transfer or system: oracle_flow_test.cpp";
  if (!host_has(row.feature)) return "the host lacks it";
  for (const Exclusion& e : exclusions) {
    if (e.mnemonic == row.mnemonic) return e.reason;
  }
  return {};
}

std::string_view exclusion(const Decoded& decoded) {
  if (decoded.row == nullptr) return "undefined";
  if (decoded.row->encoding == "0F 0D /r" && !decoded.memory)
    return "register forms: #UD on AMD's, NOP on Intel's processors";
  return exclusion(*decoded.row);
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
  if (is_one_of(decoded.row->mnemonic, {"dpps", "dppd"})) return ~flags;
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

u16 compared_fsw(const Decoded& decoded) {
  constexpr u16 c1 = 0x200;
  // Cleared by Intel's processors (SDM vol. 2, FCOMI), left by AMD's.
  const bool sets_flags = is_one_of(decoded.row->mnemonic, {"fcomi", "fcomip", "fucomi", "fucomip"});
  return sets_flags ? static_cast<u16>(~c1) : u16{0xffff};
}

bool vendors_differ(const Decoded& decoded, const Outcome& host, const Outcome& guest) {
  const std::string_view name = decoded.row->mnemonic;
  const bool model_protects = guest.trap && guest.trap->vector == 13;
  // AMD's processors want no alignment from SHA operands.
  if (name.starts_with("sha") && model_protects && (!host.trap || host.trap->vector == 14)) return true;
  // Misaligned-exception mask, an AMD feature that the model has not.
  if (name == "ldmxcsr" && model_protects && !host.trap && (host.registers.fx.get<u32>(FxImage::mxcsr) & 0x20000) != 0)
    return true;
  // AMD's processors take an unmasked trap for elements that are not selected too (masked, the flags agree).
  if (is_one_of(name, {"dpps", "dppd"}) && host.trap && host.trap->vector == 19 && !guest.trap) return true;
  // Whether the target is looked at before or after the push.
  const bool stack_fault = host.trap && (host.trap->vector == 12 || host.trap->vector == 14);
  if (name == "call" && stack_fault && model_protects) return true;
  // Which bytes are looked at besides those that are stored is the implementation's (SDM vol. 2, MASKMOVDQU).
  return name.starts_with("maskmov") && host.trap && host.trap->vector == 14 &&
         (!guest.trap || guest.trap->vector == 14);
}

namespace {

bool ask_host(Feature feature) {
  const CpuidWord one = cpuid(1), seven = cpuid(7), extended = cpuid(0x80000001);
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
    case Feature::Base:
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
