// Events on their way into a guest, through its own interrupt table and onto its own stack (SDM vol. 3, 6.12).

#include "vmm-model/arch/deprivileged/deprivileged_execution.h"

namespace bunshin::vmm::deprivileged {

namespace {

constexpr u32 external = 1, in_idt = 2;
constexpr u8 invalid_tss = 10, not_present = 11;
constexpr u64 cleared_flags = rflags::TF | 1 << 14 | rflags::RF | rflags::VM;

struct Gate {
  u64 bits = 0;
  unsigned type() const { return static_cast<unsigned>(bits >> 40 & 0x1f); }
  unsigned dpl() const { return static_cast<unsigned>(bits >> 45 & 3); }
  bool present() const { return (bits >> 47 & 1) != 0; }
  bool wide() const { return (type() & 8) != 0; }
  bool usable() const { return (type() & 0x16) == 6; }  // 6, 7, 14, 15
  bool closes_interrupts() const { return (type() & 1) == 0; }
  u16 selector() const { return static_cast<u16>(bits >> 16); }
  u32 offset() const {
    return static_cast<u32>(bits & 0xffff) | (wide() ? static_cast<u32>(bits >> 32) & 0xffff'0000 : 0);
  }
};

u32 external_bit(const Event& event) { return event.kind == Event::Kind::Software ? 0 : external; }

}  // namespace

/// The event meets a fault; a fault on the way to the double fault's handler is the end (6.15).
bool DeprivilegedExecution::refuse(const Event& event, u8 vector, u32 code, Exit& exit) {
  exit = {};
  exit.interrupted = event;
  exit.number = vector;
  exit.error_code = code;
  exit.reason = exception_reason(vector);
  if (vector == vector::PF) {
    exit = linear_.fault();
    exit.interrupted = event;
  }
  if (event.kind == Event::Kind::Exception && event.vector == vector::DF) exit.reason = ExitReason::Shutdown;
  return false;
}

bool DeprivilegedExecution::find_gate(const Event& event, u64& bits, Exit& exit) {
  const SegmentState& table = seg(SegmentName::idtr);
  const u32 at = event.vector * 8u, code = at | in_idt | external_bit(event);
  if (at + 7 > table.limit) return refuse(event, vector::GP, code, exit);
  if (!linear_.read(static_cast<u32>(table.base) + at, 8, bits, false)) return refuse(event, vector::PF, 0, exit);
  const Gate gate{bits};
  if (!gate.usable()) return refuse(event, vector::GP, code, exit);
  if (event.kind == Event::Kind::Software && gate.dpl() < cpl()) return refuse(event, vector::GP, code, exit);
  if (!gate.present()) return refuse(event, not_present, code, exit);
  return true;
}

/// The stack for `level` that the guest's task state has.
bool DeprivilegedExecution::inner_stack(const Event& event, unsigned level, SegmentState& ss, u32& esp, Exit& exit) {
  const SegmentState& task = seg(SegmentName::tr);
  const bool wide = (task.attributes & 8) != 0;
  const u32 at = wide ? 4 + 8 * level : 2 + 4 * level, size = wide ? 4 : 2;
  u64 both = 0;
  if (at + 2 * size - 1 > task.limit) {
    return refuse(event, invalid_tss, (task.selector & 0xfffcu) | external_bit(event), exit);
  }
  if (!linear_.read(static_cast<u32>(task.base) + at, 2 * size, both, false)) {
    return refuse(event, vector::PF, 0, exit);
  }
  esp = static_cast<u32>(wide ? both : both & 0xffff);
  const u16 selector = static_cast<u16>(both >> 8 * size);
  fault_ = {};
  if (check_segment(SegmentName::ss, selector, level, ss)) return true;
  if (fault_.vector == vector::PF) return refuse(event, vector::PF, 0, exit);
  return refuse(event, fault_.vector == vector::GP ? invalid_tss : fault_.vector,
                fault_.error_code | external_bit(event), exit);
}

bool DeprivilegedExecution::write_frame(u32 linear, std::span<const u32> words, unsigned size, bool user_stack) {
  std::array<u8, 24> bytes{};
  for (unsigned i = 0; i < words.size(); ++i) {
    const u32 word = words[i];
    u8* const at = &bytes[i * size];
    at[0] = static_cast<u8>(word);
    at[1] = static_cast<u8>(word >> 8);
    if (size == 2) continue;
    at[2] = static_cast<u8>(word >> 16);
    at[3] = static_cast<u8>(word >> 24);
  }
  return linear_.write(linear, std::span(bytes).first(words.size() * size), user_stack);
}

bool DeprivilegedExecution::deliver(const Event& event, Exit& exit) {
  Gate gate;
  if (!find_gate(event, gate.bits, exit)) return false;
  SegmentState cs;
  bool there = false;
  const u16 selector = gate.selector();
  const u32 selector_code = (selector & 0xfffcu) | external_bit(event);
  if (!read_segment(selector, cs, there)) return refuse(event, vector::PF, 0, exit);
  constexpr u16 code_segment = segment::S | 8;
  const unsigned dpl = cs.attributes >> segment::dpl_shift & 3;
  if (!there || (cs.attributes & code_segment) != code_segment || dpl > cpl())
    return refuse(event, vector::GP, selector_code, exit);
  if ((cs.attributes & segment::P) == 0) return refuse(event, not_present, selector_code, exit);
  const bool conforming = (cs.attributes & 4) != 0;
  const unsigned level = conforming ? cpl() : dpl;
  const bool inward = level < cpl();
  SegmentState ss = seg(SegmentName::ss);
  u32 esp = static_cast<u32>(registers[rsp]);
  if (inward && !inner_stack(event, level, ss, esp, exit)) return false;

  // What is pushed, last first: it lies in memory in this order.
  const bool wide = gate.wide();
  std::array<u32, 6> words{};
  unsigned count = 0;
  if (event.has_error_code) words[count++] = event.error_code;
  words[count++] = rip();
  words[count++] = seg(SegmentName::cs).selector;
  words[count++] = static_cast<u32>(field(StateField::rflags));
  if (inward) {
    words[count++] = static_cast<u32>(registers[rsp]);
    words[count++] = seg(SegmentName::ss).selector;
  }
  const unsigned size = wide ? 4 : 2, bytes = count * size;
  const u32 mask = (ss.attributes & segment::DB) != 0 ? 0xffff'ffff : 0xffff;
  const u32 top = (esp - bytes) & mask;
  if (!write_frame(static_cast<u32>(ss.base) + top, std::span(words).first(count), size, level == 3)) {
    return refuse(event, vector::PF, 0, exit);
  }
  registers[rsp] = (esp & ~mask) | top;
  change(SegmentName::ss) = ss;
  cs.selector = static_cast<u16>((selector & ~3u) | level);
  change(SegmentName::cs) = cs;
  field(StateField::cpl) = level;
  field(StateField::rip) = gate.offset();
  field(StateField::rflags) &= ~(cleared_flags | (gate.closes_interrupts() ? rflags::IF : 0));
  field(StateField::interrupt_shadow) = 0;
  return true;
}

}  // namespace bunshin::vmm::deprivileged
