#include "core/timing/operation.h"

#include <bit>

#include "core/state.h"
#include "core/timing/instruction_table.h"

namespace bunshin {

namespace {

constexpr u8 no_register = 0xff;

/// Where the operand lies: a register of depend::…, memory, or neither.
struct Place {
  u8 reg = no_register;
  bool memory = false;
};

u8 general(u8 byte_offset) { return static_cast<u8>(depend::gpr + byte_offset / 8); }
u8 vector(u8 number) { return static_cast<u8>(depend::vector + number); }
u8 media(u8 number) { return static_cast<u8>(depend::mmx + (number & 7)); }

Place place_of(Op op, const Record& r) {
  const bool memory = r.has_memory();
  switch (op) {
    case Op::Eb:
    case Op::Ew:
    case Op::Ed:
    case Op::Eq:
    case Op::Ev:
    case Op::Ey: return memory ? Place{no_register, true} : Place{general(r.rm), false};
    case Op::Rv:
    case Op::Ry: return {general(r.rm), false};
    case Op::Gb:
    case Op::Gw:
    case Op::Gd:
    case Op::Gv:
    case Op::Gy:
    case Op::Zb:
    case Op::Zv: return {general(r.reg), false};
    case Op::By: return {general(r.vvvv()), false};
    case Op::Al:
    case Op::Ax:
    case Op::Eax:
    case Op::Av: return {depend::gpr + RAX, false};
    case Op::Cl: return {depend::gpr + RCX, false};
    case Op::Dx: return {depend::gpr + RDX, false};
    case Op::Ob:
    case Op::Ov:
    case Op::M:
    case Op::Mb:
    case Op::Mw:
    case Op::Md:
    case Op::Mq:
    case Op::Mdq:
    case Op::Mt:
    case Op::Mp:
    case Op::Ms:
    case Op::Mvsib: return {no_register, true};
    case Op::Vx: return {vector(r.reg), false};
    case Op::Ux: return {vector(r.rm), false};
    case Op::Wx:
    case Op::Wd:
    case Op::Wq:
    case Op::Ww:
    case Op::Wdq: return memory ? Place{no_register, true} : Place{vector(r.rm), false};
    case Op::Hx: return {vector(r.vvvv()), false};
    case Op::Lx: return {vector(r.extra()), false};
    case Op::Pq: return {media(r.reg), false};
    case Op::Nq: return {media(r.rm), false};
    case Op::Qq:
    case Op::Qd: return memory ? Place{no_register, true} : Place{media(r.rm), false};
    default: return {};
  }
}

/// Sources first for the address, then for the work; each register once in either list.
class Builder {
 public:
  explicit Builder(Operation& operation) : o_(operation) {}

  void address(u8 byte_offset) {
    if (byte_offset / 8 >= CpuState::zero_slot) return;
    source(general(byte_offset));
    o_.addresses = o_.source_count;
  }
  void source(u8 reg) {
    for (unsigned i = 0; i < o_.source_count; ++i) {
      if (o_.sources[i] == reg) return;
    }
    if (o_.source_count < Operation::max_sources) o_.sources[o_.source_count++] = reg;
  }
  void result(u8 reg) {
    for (unsigned i = 0; i < o_.result_count; ++i) {
      if (o_.results[i] == reg) return;
    }
    if (o_.result_count < Operation::max_results) o_.results[o_.result_count++] = reg;
  }
  void operand(const Place& place, bool read, bool written) {
    if (place.reg != no_register) {
      if (read) source(place.reg);
      if (written) result(place.reg);
    }
    if (place.memory) {
      o_.loads = static_cast<u8>(o_.loads + (read ? 1 : 0));
      o_.stores = static_cast<u8>(o_.stores + (written ? 1 : 0));
    }
  }

 private:
  Operation& o_;
};

/// A partial write of a register leaves the rest: it depends on what was there (SDM vol. 1, 3.4.1.1).
bool writes_part(Op op, const Record& r) {
  switch (op) {
    case Op::Eb:
    case Op::Gb:
    case Op::Zb:
    case Op::Al:
    case Op::Ew:
    case Op::Gw:
    case Op::Ax: return true;
    case Op::Ev:
    case Op::Gv:
    case Op::Zv:
    case Op::Av: return r.operand_bytes() == 2;
    default: return false;
  }
}

void add_operands(const Row& row, const Record& r, const InstructionTraits& t, Builder& build) {
  for (unsigned i = 0; i < 4; ++i) {
    const Op op = row.operands[i];
    const Place place = place_of(op, r);
    const bool written = i == 0 ? t.first != FirstOperand::Read : i == 1 && t.second_written;
    const bool read = i > 0 ? !(t.second_written && t.first == FirstOperand::Write && i == 1)
                            : t.first != FirstOperand::Write || (place.reg != no_register && writes_part(op, r));
    build.operand(place, read, written);
  }
}

/// XOR and SUB of a register with itself, and their vector relatives, depend on nothing.
bool is_zero_idiom(const Row& row, const Record& r) {
  if (r.has_memory() || r.reg != r.rm || place_of(row.operands[1], r).reg == no_register) return false;
  const std::string_view name = row.mnemonic;
  return name == "xor" || name == "sub" || name == "pxor" || name == "xorps" || name == "xorpd";
}

/// XCHG of the accumulator with itself: 90, in 64-bit mode too, where it leaves the upper half (SDM vol. 2, NOP).
bool is_nop(const Row& row, const Record& r) {
  return row.operands[0] == Op::Zv && place_of(Op::Zv, r).reg == depend::gpr + RAX && row.mnemonic == "xchg";
}

}  // namespace

Operation describe_operation(const Row& row, const Record& r) {
  const InstructionTraits t = traits_of(row);
  Operation o;
  if (is_nop(row, r)) return o;
  o.op = t.op;
  o.branch = t.branch;
  o.open_ended = t.open_ended;
  o.serializing = t.serializing;
  o.loads = t.loads;
  o.stores = t.stores;
  Builder build(o);
  if (r.has_memory() || t.op == OpClass::Lea) {
    build.address(r.base);
    build.address(r.index);
  }
  if (t.op == OpClass::Lea || t.op == OpClass::Nop) {
    for (unsigned i = 0; i < 4 && t.op == OpClass::Lea; ++i) {
      const Place place = place_of(row.operands[i], r);
      if (i == 0 && place.reg != no_register) build.result(place.reg);
    }
    return o;
  }
  add_operands(row, r, t, build);
  if (is_zero_idiom(row, r)) o.source_count = o.addresses = 0;
  for (unsigned i = 0; i < 16; ++i) {
    if ((t.reads >> i & 1) != 0) build.source(static_cast<u8>(depend::gpr + i));
    if ((t.writes >> i & 1) != 0) build.result(static_cast<u8>(depend::gpr + i));
  }
  if (t.reads_flags) build.source(depend::flags);
  if (t.writes_flags) build.result(depend::flags);
  if ((row.attributes & attr::x87) != 0) {
    build.source(depend::x87);
    build.result(depend::x87);
  }
  // Moves between memory and a register are nothing but the access.
  const bool move = o.op == OpClass::Integer || o.op == OpClass::VectorMove;
  if (move && t.first == FirstOperand::Write && !t.writes_flags && !t.reads_flags && o.loads + o.stores == 1) {
    o.op = o.loads != 0 ? OpClass::Load : OpClass::Store;
  }
  return o;
}

}  // namespace bunshin
