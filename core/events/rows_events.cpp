// Rows of the instructions in core/events.

#include "core/decode/bind.h"
#include "core/decode/row.h"
#include "core/events/instructions.h"

namespace bunshin {

using namespace semantics;

namespace {

/// For instructions that usually change nothing the engine cares about: when RFLAGS's IF, TF, AC and RF stay as they
/// are, the next block is entered without a look around.
template <Semantics semantics>
const Record* run_flag_change(Cpu& cpu, const Record* record) {
  constexpr u64 watched = rflags::IF | rflags::TF | rflags::AC | rflags::RF;
  const u64 before = cpu.state.flags.system;
  const u64 rip = next_rip(cpu, *record);
  cpu.state.rip = rip;
  if (!semantics(cpu, *record)) [[unlikely]]
    return leave_block(cpu, record);
  const u64 after = cpu.state.flags.system;
  // Clearing IF is no news either.
  const u64 changed = (before ^ after) & (watched & ~((after & rflags::IF) == 0 ? rflags::IF : 0));
  if (changed != 0 || (after & rflags::TF) != 0) return end_block(cpu, record);
  return jump(cpu, rip);
}

template <Semantics semantics>
Handler flag_change(const Decoded&) {
  return run_flag_change<semantics>;
}

/// SYSCALL cannot open the door to an interrupt, so it goes straight on in the kernel.
const Record* run_syscall(Cpu& cpu, const Record* record) {
  cpu.state.rip = next_rip(cpu, *record);
  if (!syscall(cpu, *record)) [[unlikely]]
    return leave_block(cpu, record);
  if ((cpu.state.flags.system & rflags::TF) != 0 || cpu.state.pending_debug != 0) return end_block(cpu, record);
  return jump(cpu, cpu.state.rip);
}

Handler bind_syscall(const Decoded&) { return run_syscall; }

constexpr u32 end = attr::ends_block;
constexpr u32 old = attr::invalid64;

// clang-format off
const Row rows[] = {
    // Segment registers
    {"06", "push", {Op::Es}, plain<push_segment<Seg::ES>>, Feature::Base, old},
    {"0E", "push", {Op::Cs}, plain<push_segment<Seg::CS>>, Feature::Base, old},
    {"16", "push", {Op::Ss}, plain<push_segment<Seg::SS>>, Feature::Base, old},
    {"1E", "push", {Op::Ds}, plain<push_segment<Seg::DS>>, Feature::Base, old},
    {"0F A0", "push", {Op::Fs}, plain<push_segment<Seg::FS>>, Feature::Base, attr::default64},
    {"0F A8", "push", {Op::Gs}, plain<push_segment<Seg::GS>>, Feature::Base, attr::default64},
    {"07", "pop", {Op::Es}, ending<pop_segment<Seg::ES>>, Feature::Base, old | end},
    {"17", "pop", {Op::Ss}, ending<pop_segment<Seg::SS>>, Feature::Base, old | end},
    {"1F", "pop", {Op::Ds}, ending<pop_segment<Seg::DS>>, Feature::Base, old | end},
    {"0F A1", "pop", {Op::Fs}, ending<pop_segment<Seg::FS>>, Feature::Base, attr::default64 | end},
    {"0F A9", "pop", {Op::Gs}, ending<pop_segment<Seg::GS>>, Feature::Base, attr::default64 | end},
    {"8C /r", "mov", {Op::Ev, Op::Sw}, plain<mov_from_segment>},
    {"8E /r", "mov", {Op::Sw, Op::Ew}, ending<mov_to_segment>, Feature::Base, end},
    {"C4 /r mem", "les", {Op::Gv, Op::Mp}, ending<load_far_pointer<Seg::ES>>, Feature::Base, old | end},
    {"C5 /r mem", "lds", {Op::Gv, Op::Mp}, ending<load_far_pointer<Seg::DS>>, Feature::Base, old | end},
    {"0F B2 /r mem", "lss", {Op::Gv, Op::Mp}, ending<load_far_pointer<Seg::SS>>, Feature::Base, end},
    {"0F B4 /r mem", "lfs", {Op::Gv, Op::Mp}, ending<load_far_pointer<Seg::FS>>, Feature::Base, end},
    {"0F B5 /r mem", "lgs", {Op::Gv, Op::Mp}, ending<load_far_pointer<Seg::GS>>, Feature::Base, end},
    {"0F 00 /2", "lldt", {Op::Ew}, ending<lldt>, Feature::Base, attr::protected_only | attr::privileged | end},
    {"0F 00 /3", "ltr", {Op::Ew}, ending<ltr>, Feature::Base, attr::protected_only | attr::privileged | end},
    // Far transfers
    {"EA", "ljmp", {Op::Ap}, ending<jmp_far_direct>, Feature::Base, old | end},
    {"FF /5 mem", "ljmp", {Op::Mp}, ending<jmp_far_indirect>, Feature::Base, end},
    {"9A", "lcall", {Op::Ap}, ending<call_far_direct>, Feature::Base, old | end},
    {"FF /3 mem", "lcall", {Op::Mp}, ending<call_far_indirect>, Feature::Base, end},
    {"CA", "retf", {Op::Iw}, ending<ret_far>, Feature::Base, end},
    {"CB", "retf", {}, ending<ret_far>, Feature::Base, end},
    {"CF", "iret", {}, ending<iret>, Feature::Base, end},
    // Handlers called by instructions
    {"CC", "int3", {}, ending<int3>, Feature::Base, end},
    {"CD", "int", {Op::Ib}, ending<int_n>, Feature::Base, end},
    {"CE", "into", {}, ending<into>, Feature::Base, old | end},
    {"F1", "int1", {}, ending<int1>, Feature::Base, end},
    {"62 /r mem", "bound", {Op::Gv, Op::M}, plain<bound>, Feature::Base, old},
    {"0F FF /r", "ud0", {Op::Gv, Op::Ev}, ending<undefined>, Feature::Base, end},
    {"0F B9 /r", "ud1", {Op::Gv, Op::Ev}, ending<undefined>, Feature::Base, end},
    {"0F 0B", "ud2", {}, ending<undefined>, Feature::Base, end},
    // Fast system calls
    {"0F 05", "syscall", {}, bind_syscall, Feature::Syscall, end},
    {"0F 07", "sysret", {}, ending<sysret>, Feature::Syscall, end},
    {"0F 34", "sysenter", {}, ending<sysenter>, Feature::Sep, end},
    {"0F 35", "sysexit", {}, ending<sysexit>, Feature::Sep, end},
    // Flags
    {"9C", "pushf", {}, plain<pushf>, Feature::Base, attr::default64},
    {"9D", "popf", {}, flag_change<popf>, Feature::Base, attr::default64 | end},
    {"FA", "cli", {}, plain<cli>},
    {"FB", "sti", {}, flag_change<sti>, Feature::Base, end},
    {"NP 0F 01 CA", "clac", {}, ending<clac>, Feature::Smap, end},
    {"NP 0F 01 CB", "stac", {}, ending<stac>, Feature::Smap, end},
};
// clang-format on

}  // namespace

std::span<const Row> event_rows() { return rows; }

}  // namespace bunshin
