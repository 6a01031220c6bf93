#include "tests/core/oracle_vendors.h"

#include <algorithm>

#include "tests/core/oracle_memory.h"

namespace bunshin::oracle {

namespace {

constexpr int none = -1;

/// A case with its outcomes as the table below speaks of them.
struct Situation {
  const Case& c;
  const Outcome& host;
  const Outcome& guest;

  /// The mnemonic, of AVX forms that of the SSE form.
  std::string_view name() const {
    const std::string_view m = c.decoded.row->mnemonic;
    return m.starts_with("v") && !m.starts_with("ver") ? m.substr(1) : m;
  }
  bool is(std::initializer_list<std::string_view> names) const {
    return std::find(names.begin(), names.end(), name()) != names.end();
  }
  int host_vector() const { return host.trap ? host.trap->vector : none; }
  int guest_vector() const { return guest.trap ? guest.trap->vector : none; }
  bool both_trap() const { return host.trap && guest.trap; }
  bool memory() const { return c.decoded.memory; }
  bool lock() const { return (c.decoded.record.prefixes & prefix::lock) != 0; }
  u64 misalignment(unsigned to) const { return operand_address(c) % to; }
  bool stores_image() const {
    return is({"fnsave", "fnstenv", "fxsave", "frstor", "fldenv", "fxrstor", "xsave", "xsaveopt", "xsavec", "xrstor"});
  }
  /// So many bytes from the operand's address on.
  bool reaches_end(u64 bytes) const {
    const unsigned width = c.decoded.record.address_bytes();
    return width != 8 && effective_address(c) + bytes > u64{1} << 8 * width;
  }
  bool far_pointer() const {
    return std::ranges::find(c.decoded.row->operands, Op::Mp) != std::end(c.decoded.row->operands);
  }
  bool repeated() const { return (c.decoded.record.prefixes & (prefix::rep | prefix::repne)) != 0; }
  bool segment_operand() const { return c.decoded.row->operands[0] >= Op::Es && c.decoded.row->operands[0] <= Op::Gs; }
  bool control_register() const { return c.decoded.row->operands[0] == Op::Cd || c.decoded.row->operands[1] == Op::Cd; }
  bool vector_index() const {
    return std::ranges::find(c.decoded.row->operands, Op::Mvsib) != std::end(c.decoded.row->operands);
  }
  /// The faults of a memory access.
  static bool of_access(int vector) { return vector == 12 || vector == 13 || vector == 14 || vector == 17; }
};

struct Difference {
  std::string_view reason;
  bool (*applies)(const Situation&);
};

constexpr Difference differences[] = {
    {"SHA operands: AMD's processors want no alignment",
     [](const Situation& s) {
       const bool unaligned = s.guest_vector() == 13 && s.memory() && s.misalignment(16) != 0;
       return s.name().starts_with("sha") && unaligned && (!s.host.trap || s.of_access(s.host_vector()));
     }},
    {"MXCSR.MM, misaligned exceptions masked: an AMD feature that the model has not",
     [](const Situation& s) {
       return s.is({"ldmxcsr", "fxrstor", "xrstor"}) && s.guest_vector() == 13 && !s.host.trap &&
              (s.host.registers.fx.get<u32>(FxImage::mxcsr) & 0x20000) != 0;
     }},
    {"AMD's processors take an unmasked trap for elements that are not selected too (masked, the flags agree)",
     [](const Situation& s) {
       return s.is({"dpps", "dppd"}) && s.host_vector() == 19 && s.guest_vector() == none;
     }},
    {"whether a call's target is looked at before or after the push",
     [](const Situation& s) {
       const int host = s.host_vector();
       return s.is({"call"}) && (host == 12 || host == 14 || host == 17) && s.guest_vector() == 13;
     }},
    {"which bytes are looked at besides those stored is the implementation's (SDM vol. 2, MASKMOVDQU)",
     [](const Situation& s) {
       const int host = s.host_vector(), guest = s.guest_vector();
       return s.is({"maskmovq", "maskmovdqu"}) && s.of_access(host) && (guest == none || s.of_access(guest));
     }},
    {"far pointers of 16:64 bits: AMD's processors have none (APM vol. 3, JMP far), REX.W is ignored",
     [](const Situation& s) {
       return __builtin_cpu_is("amd") != 0 && s.far_pointer() && s.c.decoded.operand_bytes == 8;
     }},
    {"VPINSRQ, VPEXTRQ outside 64-bit mode: VEX.W is ignored (SDM vol. 2, note 2 of both), on AMD's processors #UD",
     [](const Situation& s) {
       return s.is({"pinsrd", "pextrd"}) && s.c.kind != CodeKind::Long && s.host_vector() == 6;
     }},
    {"masked moves: AMD's processors want the whole operand within its segment, the manual only what is selected",
     [](const Situation& s) {
       const bool segment = s.host_vector() == 12 || s.host_vector() == 13;
       return s.is({"maskmovps", "maskmovpd", "pmaskmovd", "pmaskmovq"}) && segment &&
              (s.guest_vector() == none || s.of_access(s.guest_vector()));
     }},
    {"how much of the frame is read, and from where on, before its selectors are looked at",
     [](const Situation& s) {
       return s.is({"retf", "iret", "ljmp", "lcall"}) && s.both_trap();
     }},
    {"SYSEXIT: whether AMD's missing instruction or the privilege comes first",
     [](const Situation& s) {
       return s.is({"sysexit", "sysret"}) && s.both_trap();
     }},
    {"VERW with LOCK: some AMD processors accept it",
     [](const Situation& s) { return s.is({"verw"}) && s.lock() && s.guest_vector() == 6; }},
    {"ENTER: whether the probe of the new top of the stack wants alignment",
     [](const Situation& s) { return s.is({"enter"}) && s.host_vector() == 17; }},
    {"ARPL: whether the destination is written when nothing changes",
     [](const Situation& s) {
       return s.is({"arpl"}) && s.of_access(s.guest_vector()) && (!s.host.trap || s.of_access(s.host_vector()));
     }},
    {"INS and OUTS: whether the privilege is looked at before a count of zero",
     [](const Situation& s) {
       return s.is({"insb", "ins", "outsb", "outs"}) && s.repeated() && s.host_vector() == 13 && !s.guest.trap;
     }},
    {"PUSH of segment registers: whether it writes a double word, aligned as one, or the lower half (SDM vol. 2, PUSH)",
     [](const Situation& s) {
       return s.is({"push"}) && s.segment_operand() &&
              (s.host_vector() == 17 || (!s.guest.trap && s.of_access(s.host_vector())));
     }},
    {"LOCK MOV CR0 is MOV CR8 on AMD's processors (APM vol. 3, AltMovCr8)",
     [](const Situation& s) { return s.control_register() && s.lock() && s.guest_vector() == 6; }},
    {"CALL far into code of another width: by which width the stack is addressed",
     [](const Situation& s) {
       return s.is({"lcall"}) && s.c.kind == CodeKind::Long && s.c.registers.gpr[RSP] >> 32 != 0;
     }},
    {"PUSHA, POPA: what is stored or loaded before a later part faults; ESP is as it was, so they restart",
     [](const Situation& s) {
       return s.is({"pusha", "popa"}) && s.both_trap() && s.host_vector() == s.guest_vector();
     }},
    {"alignment checks of 16 and more bytes: by 16 or by 8 (SDM vol. 2, MOVUPS: may or may not be generated)",
     [](const Situation& s) {
       return s.memory() && s.host_vector() == 17 && s.guest_vector() != 17 && s.misalignment(32) != 0 &&
              s.misalignment(8) == 0;
     }},
    {"misaligned 16-byte operands with RFLAGS.AC: #AC or #GP (SDM vol. 2, FXSAVE)",
     [](const Situation& s) {
       return s.memory() && s.host_vector() == 17 && s.guest_vector() == 13 && s.misalignment(16) != 0;
     }},
    {"whether a segment's limit or a SIMD operand's alignment is looked at first",
     [](const Situation& s) {
       constexpr u32 simd = attr::sse | attr::mmx | attr::avx;
       return s.memory() && (s.c.decoded.row->attributes & simd) != 0 && s.host_vector() == 13 &&
              s.guest_vector() == 12 && s.misalignment(s.c.decoded.vector_bytes) != 0;
     }},
    {"CVTPI2PS from memory: AMD's processors leave the x87 FPU alone, and its pending exception",
     [](const Situation& s) {
       return s.is({"cvtpi2ps", "cvtpi2pd"}) && s.memory() && s.guest_vector() == 16;
     }},
    {"images: which part is accessed first, and so which of its addresses faults, and how",
     [](const Situation& s) {
       return s.stores_image() && s.of_access(s.host_vector()) && s.of_access(s.guest_vector());
     }},
    {"images across the end of what the address size reaches: which of their parts wrap around",
     [](const Situation& s) { return s.stores_image() && s.reaches_end(512) && (s.host.trap || s.guest.trap); }},
    {"XSAVE, XRSTOR: whether parts of the image that nothing is stored in or taken from are looked at",
     [](const Situation& s) {
       const bool extended = s.name().starts_with("xsave") || s.name() == "xrstor";
       return extended && s.of_access(s.host_vector()) && !s.guest.trap;
     }},
    {"gathers: what a fault leaves in elements of the mask and halves of registers that were not yet used",
     [](const Situation& s) {
       return s.vector_index() && s.of_access(s.host_vector()) && s.of_access(s.guest_vector());
     }},
    {"INT1: some hypervisors report it as a fault",
     [](const Situation& s) { return s.is({"int1"}) && s.host_vector() == 1 && s.guest_vector() == 1; }},
};

}  // namespace

std::string_view vendor_difference(const Case& c, const Outcome& host, const Outcome& guest) {
  const Situation situation{c, host, guest};
  for (const Difference& d : differences) {
    if (d.applies(situation)) return d.reason;
  }
  return {};
}

}  // namespace bunshin::oracle
