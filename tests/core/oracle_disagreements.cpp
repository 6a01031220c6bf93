#include "tests/core/oracle_disagreements.h"

#include "core/decode/decoder.h"

namespace bunshin::oracle {

namespace {

/// The parts of an instruction that the table below speaks of.
struct Parts {
  bool lock = false, operand_size = false, address_size = false, rex_w = false;
  u8 repeat = 0;
  unsigned map = 0;
  u8 opcode = 0, modrm = 0;
  bool vex = false, vvvv_is_free = true;
  bool prefixed() const { return lock || operand_size || repeat != 0 || rex; }
  bool rex = false;
  int reg() const { return (modrm >> 3) & 7; }
  bool mandatory() const { return repeat != 0 || operand_size; }
};

Parts take_apart(const Disagreement& d) {
  Parts p;
  unsigned at = 0;
  for (; at < 12; ++at) {
    const u8 b = d.bytes[at];
    if (d.bits == 64 && (b & 0xf0) == 0x40) {
      p.rex_w = (b & 8) != 0;
      p.rex = true;
      continue;
    }
    if ((b & 0xfe) != 0xc4) p.rex = false;
    if (b == 0xf0)
      p.lock = true;
    else if (b == 0x66)
      p.operand_size = true;
    else if (b == 0x67)
      p.address_size = true;
    else if (b == 0xf2 || b == 0xf3)
      p.repeat = b;
    else if ((b & 0xe7) != 0x26 && (b & 0xfc) != 0x64)
      break;
  }
  p.opcode = d.bytes[at++];
  if ((p.opcode & 0xfe) == 0xc4 && (d.bits == 64 || d.bytes[at] >= 0xc0)) {
    p.vex = true;
    p.map = Pattern::vex_maps + 1;
    if (p.opcode == 0xc4) p.map = Pattern::vex_maps + (d.bytes[at++] & 0x1f);
    const u8 last = d.bytes[at++];
    p.vvvv_is_free = (last & 0x78) == 0x78;
    p.opcode = d.bytes[at++];
  } else if (p.opcode == 0x0f) {
    p.map = 1;
    p.opcode = d.bytes[at++];
    if (p.opcode == 0x38 || p.opcode == 0x3a) {
      p.map = p.opcode == 0x38 ? 2 : 3;
      p.opcode = d.bytes[at++];
    }
  }
  p.modrm = d.bytes[at];
  return p;
}

enum class Who : u8 { WeAlone, TheyAlone, Any };

struct Explanation {
  unsigned map;
  u8 first, last;  ///< opcodes
  int reg;         ///< ModRM.reg, -1: any
  Who accepts;
  std::string_view reason;
};

constexpr Explanation table[] = {
    {0, 0x62, 0x62, -1, Who::Any, "EVEX: not simulated"},
    {0, 0x8f, 0x8f, -1, Who::TheyAlone, "XOP: not simulated"},
    {0, 0x8c, 0x8c, -1, Who::WeAlone, "segment registers 6 and 7 raise #UD when executed"},
    {0, 0x8e, 0x8e, -1, Who::WeAlone, "CS and segment registers 6 and 7 raise #UD when executed"},
    {0, 0xc6, 0xc7, 7, Who::TheyAlone, "RTM: not simulated"},
    {1, 0x01, 0x01, 5, Who::WeAlone, "RDPKRU, WRPKRU: not in Capstone"},
    {1, 0x01, 0x01, -1, Who::TheyAlone, "VMX, SVM, SGX: not simulated; SWAPGS exists in 64-bit mode only"},
    {1, 0x0d, 0x0d, -1, Who::WeAlone, "hint space (SDM vol. 2, table A-3)"},
    {1, 0x18, 0x1f, -1, Who::WeAlone, "hint space (SDM vol. 2, table A-3)"},
    {1, 0x0e, 0x0f, -1, Who::TheyAlone, "3DNow!: not simulated"},
    {1, 0x20, 0x23, -1, Who::TheyAlone, "control and debug registers that do not exist raise #UD when executed"},
    {1, 0x37, 0x37, -1, Who::TheyAlone, "GETSEC: not simulated"},
    {1, 0x78, 0x79, -1, Who::TheyAlone, "VMX, SSE4a: not simulated"},
    {1, 0xa6, 0xa7, -1, Who::TheyAlone, "VIA PadLock: not simulated"},
    {1, 0xaa, 0xaa, -1, Who::TheyAlone, "RSM: #UD outside system management mode"},
    {1, 0xae, 0xae, -1, Who::WeAlone, "fences ignore ModRM.rm"},
    {1, 0xb9, 0xb9, -1, Who::Any, "UD1 has a ModRM byte"},
    {1, 0xff, 0xff, -1, Who::Any, "UD0 has a ModRM byte"},
    {1, 0xc7, 0xc7, -1, Who::TheyAlone, "VMX, XSAVES: not simulated"},
    {5, 0x41, 0x4b, -1, Who::TheyAlone, "AVX-512 mask registers: not simulated"},
    {5, 0x90, 0x93, -1, Who::TheyAlone, "AVX-512 mask registers: not simulated"},
    {5, 0x98, 0x99, -1, Who::TheyAlone, "AVX-512 mask registers: not simulated"},
    {6, 0x5a, 0x5a, -1, Who::WeAlone, "VBROADCASTI128: not in Capstone"},
    {6, 0x90, 0x93, -1, Who::TheyAlone, "gathers must have a SIB byte and three different vector registers"},
    {7, 0x30, 0x33, -1, Who::TheyAlone, "AVX-512 mask registers: not simulated"},
    {7, 0x48, 0x49, -1, Who::TheyAlone, "XOP: not simulated"},
    {7, 0x5c, 0x5f, -1, Who::TheyAlone, "FMA4: not simulated"},
    {7, 0x68, 0x6f, -1, Who::TheyAlone, "FMA4: not simulated"},
    {7, 0x78, 0x7f, -1, Who::TheyAlone, "FMA4: not simulated"},
};

std::string_view about_vex(const Disagreement& d, const Parts& p) {
  if (!d.ours.empty()) return {};
  if (p.prefixed()) return "Capstone takes prefixes before VEX that make it undefined";
  if (!p.vvvv_is_free) return "Capstone takes a VEX.vvvv that names no operand";
  if (d.other_w) return "Capstone ignores VEX.W";
  return {};
}

bool is_near_branch(const Parts& p) {
  if (p.map == 1) return (p.opcode & 0xf0) == 0x80;
  return p.map == 0 && (p.opcode == 0xe8 || p.opcode == 0xe9 || p.opcode == 0xc2);
}

/// What prefixes alone explain.
std::string_view about_prefixes(const Disagreement& d, const Parts& p) {
  if (p.lock && d.ours.empty()) return "Capstone takes LOCK before anything";
  if (p.map != 0 && p.mandatory() && d.ours.empty()) return "Capstone ignores prefixes that make an encoding undefined";
  if (p.map != 0 && p.mandatory() && d.theirs.empty()) {
    return "Capstone misses mandatory prefixes in 16-bit mode, and where they are repeated or not the last";
  }
  if (p.address_size && p.rex_w) return "Capstone takes 67 before REX.W for 66";
  if (p.operand_size && p.repeat != 0) return "Capstone forgets 66 beside F2 or F3";
  if (d.bits == 64 && is_near_branch(p) && (p.operand_size || p.rex_w)) return "near branches ignore the operand size";
  return {};
}

}  // namespace

std::string_view explanation(const Disagreement& d) {
  const Parts p = take_apart(d);
  if (p.vex) {
    if (const std::string_view reason = about_vex(d, p); !reason.empty()) return reason;
  } else if (const std::string_view reason = about_prefixes(d, p); !reason.empty()) {
    return reason;
  }
  const Who who = d.theirs.empty() ? Who::WeAlone : d.ours.empty() ? Who::TheyAlone : Who::Any;
  for (const Explanation& e : table) {
    const bool applies = e.map == p.map && p.opcode >= e.first && p.opcode <= e.last && (e.reg < 0 || e.reg == p.reg());
    if (applies && (e.accepts == Who::Any || e.accepts == who)) return e.reason;
  }
  return {};
}

}  // namespace bunshin::oracle
