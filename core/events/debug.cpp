#include "core/events/debug.h"

#include "core/events/delivery.h"

namespace bunshin {

namespace {

/// DR7.R/W: what a breakpoint watches (SDM vol. 3, 17.2.4).
enum class Watch : u8 { Execution, Write, Io, ReadWrite };

struct Breakpoint {
  bool enabled;
  Watch watch;
  u64 first;
  u64 length;

  bool overlaps(u64 address, u64 size) const { return address - first < length || first - address < size; }
};

Breakpoint breakpoint(const CpuState& s, unsigned i) {
  static constexpr u64 lengths[4] = {1, 2, 8, 4};
  const u64 control = s.dr[7] >> (16 + 4 * i);
  const u64 length = lengths[(control >> 2) & 3];
  Watch watch = static_cast<Watch>(control & 3);
  return {((s.dr[7] >> (2 * i)) & 3) != 0, watch, s.dr[i] & ~(length - 1), length};
}

template <class Matches>
u64 hit_breakpoints(const CpuState& s, Matches matches) {
  if ((s.dr[7] & dr7::enables) == 0) return 0;
  u64 bits = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const Breakpoint b = breakpoint(s, i);
    if (b.enabled && matches(b)) bits |= u64{1} << i;
  }
  return bits;
}

bool is_data(const Breakpoint& b) { return b.watch == Watch::Write || b.watch == Watch::ReadWrite; }

u64 instruction_linear(const CpuState& s) {
  return s.code64() ? s.rip : static_cast<u32>(s.segment(Seg::CS).base + s.rip);
}

bool discards_breakpoints(const Cpu& cpu) {
  return cpu.event_gate != nullptr && cpu.event_gate->discards_breakpoints();
}

}  // namespace

bool check_instruction_breakpoint(Cpu& cpu) {
  CpuState& s = cpu.state;
  // RF suppresses one instruction's breakpoint, MOV SS that of its successor (SDM vol. 3, 17.3.1.1 and 6.8.3).
  const bool suppressed = (s.flags.system & rflags::RF) != 0 || s.debug_shadow || discards_breakpoints(cpu);
  if (!suppressed) {
    const u64 linear = instruction_linear(s);
    const u64 hits =
        hit_breakpoints(s, [linear](const Breakpoint& b) { return b.watch == Watch::Execution && b.first == linear; });
    if (hits != 0) {
      s.pending_debug = hits;
      return cpu.raise(Vector::DB);
    }
  }
  s.flags.system &= ~rflags::RF;
  cpu.behind_mov_ss = s.debug_shadow;
  s.debug_shadow = false;
  if ((s.flags.system & rflags::TF) != 0) s.pending_debug |= dr6::BS;
  return true;
}

void instruction_completed(Cpu& cpu, const BranchTrace& trace) {
  CpuState& s = cpu.state;
  const bool taken = trace.taken(s.rip);
  if (taken && (s.msr.debugctl & debugctl::LBR) != 0) record_branch(cpu, trace);
  // With BTF only branches are steps (SDM vol. 3, 17.4.3).
  if (!taken && (s.msr.debugctl & debugctl::BTF) != 0) s.pending_debug &= ~dr6::BS;
  if (discards_breakpoints(cpu)) s.pending_debug &= ~dr6::breakpoints;
  if (s.pending_debug == 0) return;
  // Behind MOV SS everything waits, and the step itself is lost.
  if (s.debug_shadow)
    s.pending_debug &= ~dr6::BS;
  else
    deliver_pending_debug(cpu);
}

void deliver_pending_debug(Cpu& cpu) { deliver_exception(cpu, Fault::plain(Vector::DB)); }

bool data_breakpoints_enabled(const CpuState& s) { return hit_breakpoints(s, is_data) != 0; }

bool data_breakpoint_in_page(const CpuState& s, u64 linear) {
  const u64 page = linear & ~(page_size - 1);
  return hit_breakpoints(s, [page](const Breakpoint& b) { return is_data(b) && b.overlaps(page, page_size); }) != 0;
}

void note_data_access(CpuState& s, u64 linear, unsigned size, bool write) {
  s.pending_debug |= hit_breakpoints(s, [=](const Breakpoint& b) {
    return (write ? is_data(b) : b.watch == Watch::ReadWrite) && b.overlaps(linear, size);
  });
}

void note_io_access(CpuState& s, u16 port, unsigned size) {
  if ((s.cr4 & cr4::DE) == 0) return;
  s.pending_debug |=
      hit_breakpoints(s, [=](const Breakpoint& b) { return b.watch == Watch::Io && b.overlaps(port, size); });
}

bool check_general_detect(Cpu& cpu) {
  CpuState& s = cpu.state;
  if ((s.dr[7] & dr7::GD) == 0) return true;
  s.pending_debug = dr6::BD;
  return cpu.raise(Vector::DB);
}

void report_debug_exception(CpuState& s) {
  s.dr[6] = (s.dr[6] & ~dr6::breakpoints) | s.pending_debug | dr6::fixed;
  s.dr[7] &= ~dr7::GD;
  s.msr.debugctl &= ~(debugctl::LBR | debugctl::BTF);
  s.pending_debug = 0;
}

}  // namespace bunshin
