// Near control transfers: JMP, Jcc, CALL, RET, LOOP, JCXZ (SDM vol. 2). Far ones are in core/events/far_transfer.

#include "core/execute/condition.h"
#include "core/execute/operands.h"
#include "core/execute/stack.h"

namespace bunshin {

namespace {

/// RIP truncated to the operand size, as near transfers do outside 64-bit mode.
u64 truncated_rip(u64 rip, unsigned operand_bytes) {
  return operand_bytes == 8 ? rip : operand_bytes == 4 ? static_cast<u32>(rip) : static_cast<u16>(rip);
}

/// Whether control may go there: canonical, or within the code segment. #GP(0).
bool check_target(Cpu& cpu, u64 rip) {
  if (cpu.mode.bits == 64) {
    if (is_canonical(rip, (cpu.state.cr4 & cr4::LA57) != 0 ? 57 : 48)) return true;
  } else if (rip <= cpu.state.segment(Seg::CS).limit) {
    return true;
  }
  return cpu.raise(Vector::GP, 0);
}

// --- Direct transfers: in flat modes and inside a page the links behind the record lead on; else the target is checked
// --- and looked up.

template <class Rip>
u64 direct_target(const Cpu& cpu, const Record& r) {
  return static_cast<Rip>(cpu.state.gpr[CpuState::rip_slot] + r.offset + r.length + r.imm);
}

template <class Rip>
const Record* jmp_linked(Cpu& cpu, const Record* r) {
  return follow_link(cpu, r + 1, direct_target<Rip>(cpu, *r));
}

/// Where the jump cache does not know the target: it is checked, and the engine finds the block.
[[gnu::noinline]] const Record* jump_unknown(Cpu& cpu, const Record* r, u64 target) {
  if (!check_target(cpu, target)) return leave_block(cpu, r);
  cpu.state.rip = target;
  return nullptr;
}

/// A target that the jump cache knows was checked before its block was decoded.
const Record* known_block(const Cpu& cpu, u64 target) { return cpu.jumps.find(target, cpu.jump_key()); }

const Record* enter_known(Cpu& cpu, const Record* block, u64 target) {
  if (!enter(cpu, block, target)) [[unlikely]] {
    cpu.state.rip = target;
    return nullptr;
  }
  return first_of(cpu, block);
}

const Record* jump_checked(Cpu& cpu, const Record* r, u64 target) {
  const Record* block = known_block(cpu, target);
  if (block == nullptr) [[unlikely]]
    return jump_unknown(cpu, r, target);
  return enter_known(cpu, block, target);
}

const Record* jmp_direct(Cpu& cpu, const Record* r) {
  return jump_checked(cpu, r, truncated_rip(next_rip(cpu, *r) + r->imm, r->operand_bytes()));
}

template <unsigned code, class Rip>
const Record* jcc_linked(Cpu& cpu, const Record* r) {
  if (condition<code>(cpu.state.flags)) return follow_link(cpu, r + 1, direct_target<Rip>(cpu, *r));
  return follow_link(cpu, r + 2, static_cast<Rip>(next_rip(cpu, *r)));
}

/// Falls through without a check: the next instruction's fetch does it.
const Record* fall_through(Cpu& cpu, const Record* r) {
  const u64 rip = next_rip(cpu, *r);
  return jump(cpu, cpu.mode.bits == 64 ? rip : static_cast<u32>(rip));
}

template <unsigned code>
const Record* jcc_direct(Cpu& cpu, const Record* r) {
  return condition<code>(cpu.state.flags) ? jmp_direct(cpu, r) : fall_through(cpu, r);
}

Handler bind_jmp(const Decoded& d) {
  if (!d.linkable) return jmp_direct;
  return d.code_bits == 64 ? jmp_linked<u64> : jmp_linked<u32>;
}

template <unsigned code>
Handler bind_jcc(const Decoded& d) {
  if (!d.linkable) return jcc_direct<code>;
  return d.code_bits == 64 ? jcc_linked<code, u64> : jcc_linked<code, u32>;
}

// --- CALL and RET ---

template <class T>
[[gnu::noinline]] const Record* call_to(Cpu& cpu, const Record* r, u64 target) {
  if (!check_target(cpu, target) || !push(cpu, static_cast<T>(next_rip(cpu, *r)))) [[unlikely]]
    return leave_block(cpu, r);
  return jump(cpu, target);
}

/// 64-bit mode: the target's block is known and the stack is in the fast cache, or call_to() does it step by step.
template <class Host>
const Record* call_to64(Cpu& cpu, const Record* r, u64 target) {
  const u64 return_rip = next_rip(cpu, *r);
  const u64 rsp = cpu.state.gpr[RSP] - 8;
  const Record* block = known_block(cpu, target);
  u8* host = block == nullptr ? nullptr : Host::write(cpu, rsp, 8);
  if (host == nullptr) [[unlikely]]
    return call_to<u64>(cpu, r, target);
  std::memcpy(host, &return_rip, 8);
  cpu.state.gpr[RSP] = rsp;
  return enter_known(cpu, block, target);
}

template <class Host>
const Record* call_direct64(Cpu& cpu, const Record* r) {
  return call_to64<Host>(cpu, r, direct_target<u64>(cpu, *r));
}

template <class T>
const Record* call_direct(Cpu& cpu, const Record* r) {
  return call_to<T>(cpu, r, static_cast<T>(next_rip(cpu, *r) + r->imm));
}

/// Indirect targets in memory are loaded the general way: the table of pointers is rarely the bottleneck.
template <class Rm>
using Stepwise = std::conditional_t<std::is_same_v<Rm, RegisterRm>, RegisterRm, SegmentedMemory>;

/// Leaves the target in CpuState::rip: a local whose address was taken must be dead before a tail call, or the compiler
/// makes it a call.
template <class T, class Rm>
bool load_target(Cpu& cpu, const Record& r) {
  T target;
  if (!Rm::template load<T>(cpu, r, target)) [[unlikely]]
    return false;
  cpu.state.rip = target;
  return true;
}

template <class T, class Rm, class Host>
const Record* call_rm(Cpu& cpu, const Record* r) {
  if (!load_target<T, Rm>(cpu, *r)) [[unlikely]]
    return leave_block(cpu, r);
  if constexpr (sizeof(T) == 8)
    return call_to64<Host>(cpu, r, cpu.state.rip);
  else
    return call_to<T>(cpu, r, cpu.state.rip);
}

template <class T, class Rm>
const Record* jmp_rm(Cpu& cpu, const Record* r) {
  if (!load_target<T, Rm>(cpu, *r)) [[unlikely]]
    return leave_block(cpu, r);
  return jump_checked(cpu, r, cpu.state.rip);
}

/// Pops the return address, and `r.imm` bytes above it.
template <class T>
bool pop_target(Cpu& cpu, const Record& r) {
  const u64 rsp = stack_offset(cpu, cpu.state.gpr[RSP]);
  T target;
  if (!cpu.load(Seg::SS, rsp, target) || !check_target(cpu, target)) [[unlikely]]
    return false;
  set_stack_pointer(cpu, rsp + sizeof(T) + r.imm);
  cpu.state.rip = target;
  return true;
}

template <class T>
[[gnu::noinline]] const Record* ret(Cpu& cpu, const Record* r) {
  if (!pop_target<T>(cpu, *r)) [[unlikely]]
    return leave_block(cpu, r);
  return jump(cpu, cpu.state.rip);
}

/// The target has been read, but not yet checked.
[[gnu::noinline]] const Record* ret_to(Cpu& cpu, const Record* r, u64 target) {
  if (!check_target(cpu, target)) return leave_block(cpu, r);
  cpu.state.gpr[RSP] += 8 + r->imm;
  return jump(cpu, target);
}

template <class Host>
const Record* ret64(Cpu& cpu, const Record* r) {
  const u64 rsp = cpu.state.gpr[RSP];
  const u8* host = Host::read(cpu, rsp, 8);
  if (host == nullptr) [[unlikely]]
    return ret<u64>(cpu, r);
  u64 target;
  std::memcpy(&target, host, 8);
  const Record* block = known_block(cpu, target);
  if (block == nullptr) [[unlikely]]
    return ret_to(cpu, r, target);
  cpu.state.gpr[RSP] = rsp + 8 + r->imm;
  return enter_known(cpu, block, target);
}

Handler bind_call(const Decoded& d) {
  if (d.operand_bytes == 8) return d.observed ? call_direct64<ByLine> : call_direct64<ByPage>;
  return d.operand_bytes == 4 ? call_direct<u32> : call_direct<u16>;
}
Handler bind_call_rm(const Decoded& d) {
  return by_size_and_rm(d, [&]<class T, class Rm>() -> Handler {
    return d.observed ? call_rm<T, Stepwise<Rm>, ByLine> : call_rm<T, Stepwise<Rm>, ByPage>;
  });
}
Handler bind_jmp_rm(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler { return jmp_rm<T, Stepwise<Rm>>; });
}
Handler bind_ret(const Decoded& d) {
  if (d.operand_bytes == 8) return d.observed ? ret64<ByLine> : ret64<ByPage>;
  return d.operand_bytes == 4 ? ret<u32> : ret<u16>;
}

// --- LOOP, JCXZ: the counter has the address size ---

u64 counter(const Cpu& cpu, const Record& r) {
  switch (r.address_bytes()) {
    case 2: return cpu.reg<u16>(RCX * 8);
    case 4: return cpu.reg<u32>(RCX * 8);
    default: return cpu.reg<u64>(RCX * 8);
  }
}

enum class LoopKind : u8 { Always, WhileEqual, WhileNotEqual };

template <LoopKind kind>
const Record* loop(Cpu& cpu, const Record* r) {
  const u64 left = counter(cpu, *r) - 1;
  const u64 target = truncated_rip(next_rip(cpu, *r) + r->imm, r->operand_bytes());
  const u64 size_mask = ~u64{0} >> (64 - r->address_bytes() * 8);
  const bool taken =
      (left & size_mask) != 0 && (kind == LoopKind::Always || cpu.state.flags.zf() == (kind == LoopKind::WhileEqual));
  if (taken && !check_target(cpu, target)) return leave_block(cpu, r);
  switch (r->address_bytes()) {
    case 2: cpu.set_reg<u16>(RCX * 8, static_cast<u16>(left)); break;
    case 4: cpu.set_reg<u32>(RCX * 8, static_cast<u32>(left)); break;
    default: cpu.set_reg<u64>(RCX * 8, left); break;
  }
  return taken ? jump(cpu, target) : fall_through(cpu, r);
}

const Record* jcxz(Cpu& cpu, const Record* r) {
  return counter(cpu, *r) == 0 ? jmp_direct(cpu, r) : fall_through(cpu, r);
}

template <const Record* (*handler)(Cpu&, const Record*)>
Handler fixed(const Decoded&) {
  return handler;
}

// In 64-bit mode near branches have 64-bit operands whatever 66 says on Intel processors.
constexpr u32 branch = attr::ends_block | attr::force64;
constexpr u32 conditional = branch | attr::conditional_jump;

// clang-format off
const Row rows[] = {
    {"EB", "jmp", {Op::Jb}, bind_jmp, Feature::Base, branch},
    {"E9", "jmp", {Op::Jz}, bind_jmp, Feature::Base, branch},
    {"FF /4", "jmp", {Op::Ev}, bind_jmp_rm, Feature::Base, branch},
    {"E8", "call", {Op::Jz}, bind_call, Feature::Base, branch},
    {"FF /2", "call", {Op::Ev}, bind_call_rm, Feature::Base, branch},
    {"C3", "ret", {}, bind_ret, Feature::Base, branch},
    {"C2", "ret", {Op::Iw}, bind_ret, Feature::Base, branch},
    {"E0", "loopne", {Op::Jb}, fixed<loop<LoopKind::WhileNotEqual>>, Feature::Base, branch},
    {"E1", "loope", {Op::Jb}, fixed<loop<LoopKind::WhileEqual>>, Feature::Base, branch},
    {"E2", "loop", {Op::Jb}, fixed<loop<LoopKind::Always>>, Feature::Base, branch},
    {"E3", "jrcxz", {Op::Jb}, fixed<jcxz>, Feature::Base, branch},
    {"70", "jo", {Op::Jb}, bind_jcc<0>, Feature::Base, conditional},
    {"71", "jno", {Op::Jb}, bind_jcc<1>, Feature::Base, conditional},
    {"72", "jb", {Op::Jb}, bind_jcc<2>, Feature::Base, conditional},
    {"73", "jae", {Op::Jb}, bind_jcc<3>, Feature::Base, conditional},
    {"74", "je", {Op::Jb}, bind_jcc<4>, Feature::Base, conditional},
    {"75", "jne", {Op::Jb}, bind_jcc<5>, Feature::Base, conditional},
    {"76", "jbe", {Op::Jb}, bind_jcc<6>, Feature::Base, conditional},
    {"77", "ja", {Op::Jb}, bind_jcc<7>, Feature::Base, conditional},
    {"78", "js", {Op::Jb}, bind_jcc<8>, Feature::Base, conditional},
    {"79", "jns", {Op::Jb}, bind_jcc<9>, Feature::Base, conditional},
    {"7A", "jp", {Op::Jb}, bind_jcc<10>, Feature::Base, conditional},
    {"7B", "jnp", {Op::Jb}, bind_jcc<11>, Feature::Base, conditional},
    {"7C", "jl", {Op::Jb}, bind_jcc<12>, Feature::Base, conditional},
    {"7D", "jge", {Op::Jb}, bind_jcc<13>, Feature::Base, conditional},
    {"7E", "jle", {Op::Jb}, bind_jcc<14>, Feature::Base, conditional},
    {"7F", "jg", {Op::Jb}, bind_jcc<15>, Feature::Base, conditional},
    {"0F 80", "jo", {Op::Jz}, bind_jcc<0>, Feature::Base, conditional},
    {"0F 81", "jno", {Op::Jz}, bind_jcc<1>, Feature::Base, conditional},
    {"0F 82", "jb", {Op::Jz}, bind_jcc<2>, Feature::Base, conditional},
    {"0F 83", "jae", {Op::Jz}, bind_jcc<3>, Feature::Base, conditional},
    {"0F 84", "je", {Op::Jz}, bind_jcc<4>, Feature::Base, conditional},
    {"0F 85", "jne", {Op::Jz}, bind_jcc<5>, Feature::Base, conditional},
    {"0F 86", "jbe", {Op::Jz}, bind_jcc<6>, Feature::Base, conditional},
    {"0F 87", "ja", {Op::Jz}, bind_jcc<7>, Feature::Base, conditional},
    {"0F 88", "js", {Op::Jz}, bind_jcc<8>, Feature::Base, conditional},
    {"0F 89", "jns", {Op::Jz}, bind_jcc<9>, Feature::Base, conditional},
    {"0F 8A", "jp", {Op::Jz}, bind_jcc<10>, Feature::Base, conditional},
    {"0F 8B", "jnp", {Op::Jz}, bind_jcc<11>, Feature::Base, conditional},
    {"0F 8C", "jl", {Op::Jz}, bind_jcc<12>, Feature::Base, conditional},
    {"0F 8D", "jge", {Op::Jz}, bind_jcc<13>, Feature::Base, conditional},
    {"0F 8E", "jle", {Op::Jz}, bind_jcc<14>, Feature::Base, conditional},
    {"0F 8F", "jg", {Op::Jz}, bind_jcc<15>, Feature::Base, conditional},
};
// clang-format on

}  // namespace

std::span<const Row> control_flow_rows() { return rows; }

}  // namespace bunshin
