#include "core/execute/stack.h"

// PUSH, POP, PUSHA, POPA, ENTER, LEAVE (SDM vol. 2). Segment registers and flags on the stack are in core/events.

#include <array>

#include "core/execute/operands.h"

namespace bunshin {

namespace {

/// 64-bit mode with the default operand size: the form that compiled code is full of.
template <class Host>
bool push_reg64(Cpu& cpu, const Record& r) {
  const u64 rsp = cpu.state.gpr[RSP] - 8;
  const u64 value = cpu.reg<u64>(r.reg);
  u8* host = Host::write(cpu, rsp, 8);
  if (host == nullptr) [[unlikely]]
    return push(cpu, value);
  std::memcpy(host, &value, 8);
  cpu.state.gpr[RSP] = rsp;
  return true;
}

template <class Host>
bool pop_reg64(Cpu& cpu, const Record& r) {
  const u64 rsp = cpu.state.gpr[RSP];
  u64 value;
  if (const u8* host = Host::read(cpu, rsp, 8)) [[likely]] {
    std::memcpy(&value, host, 8);
    cpu.state.gpr[RSP] = rsp + 8;
  } else if (!pop(cpu, value)) {
    return false;
  }
  cpu.set_reg<u64>(r.reg, value);  // after RSP has moved: POP RSP keeps the popped value
  return true;
}

template <class T>
struct PushReg {
  static bool run(Cpu& cpu, const Record& r) { return push(cpu, cpu.reg<T>(r.reg)); }
};
template <class T>
struct PopReg {
  static bool run(Cpu& cpu, const Record& r) {
    T value;
    if (!pop(cpu, value)) return false;
    cpu.set_reg<T>(r.reg, value);
    return true;
  }
};
template <class T>
struct PushImm {
  static bool run(Cpu& cpu, const Record& r) { return push(cpu, static_cast<T>(r.imm)); }
};
template <class T>
struct PushRm {
  static bool run(Cpu& cpu, const Record& r) {
    T value;
    return (r.has_memory() ? cpu.load(r, value) : RegisterRm::load(cpu, r, value)) && push(cpu, value);
  }
};
/// The address of a memory destination is computed after RSP has moved; RSP goes back if the store fails.
template <class T>
struct PopRm {
  static bool run(Cpu& cpu, const Record& r) {
    const u64 rsp = cpu.state.gpr[RSP];
    T value;
    if (!pop(cpu, value)) return false;
    if (!r.has_memory()) return RegisterRm::store(cpu, r, value);
    if (cpu.store(r, value)) return true;
    cpu.state.gpr[RSP] = rsp;
    return false;
  }
};

Handler bind_push_reg(const Decoded& d) {
  if (d.operand_bytes != 8) return sized<PushReg>(d);
  return d.observed ? run_plain<push_reg64<ByLine>> : run_plain<push_reg64<ByPage>>;
}
Handler bind_pop_reg(const Decoded& d) {
  if (d.operand_bytes != 8) return sized<PopReg>(d);
  return d.observed ? run_plain<pop_reg64<ByLine>> : run_plain<pop_reg64<ByPage>>;
}

/// All eight registers at once: the whole frame is probed first, so a fault leaves nothing half-pushed.
template <class T>
struct PushAll {
  static bool run(Cpu& cpu, const Record&) {
    const u64 rsp = cpu.state.gpr[RSP];
    for (unsigned i = 0; i < 8; ++i) {
      if (!cpu.probe_write(Seg::SS, stack_offset(cpu, rsp - (i + 1) * sizeof(T)), sizeof(T))) return false;
    }
    for (unsigned i = 0; i < 8; ++i) {
      const T value = static_cast<T>(i == RSP ? rsp : cpu.state.gpr[i]);
      if (!push(cpu, value)) return false;
    }
    return true;
  }
};
template <class T>
struct PopAll {
  static bool run(Cpu& cpu, const Record&) {
    std::array<T, 8> values;
    const u64 rsp = cpu.state.gpr[RSP];
    for (unsigned i = 0; i < 8; ++i) {
      if (!cpu.load(Seg::SS, stack_offset(cpu, rsp + i * sizeof(T)), values[i])) return false;
    }
    set_stack_pointer(cpu, stack_offset(cpu, rsp + 8 * sizeof(T)));
    for (unsigned i = 0; i < 8; ++i) {
      if (i != 7 - RSP) cpu.set_reg<T>(static_cast<u8>((7 - i) * 8), values[i]);
    }
    return true;
  }
};

/// Record::imm: bytes of local storage, nesting level above bit 16.
template <class T>
struct Enter {
  static bool run(Cpu& cpu, const Record& r) {
    const u64 size = r.imm & 0xffff;
    const unsigned level = static_cast<unsigned>(r.imm >> 16) & 31;
    const u64 rsp = cpu.state.gpr[RSP];
    const u64 old_rbp = cpu.state.gpr[RBP];
    const bool done = [&] {
      if (!push(cpu, static_cast<T>(old_rbp))) return false;
      const u64 frame = cpu.state.gpr[RSP];
      for (unsigned i = 1; i < level; ++i) {
        T pointer;
        if (!cpu.load(Seg::SS, stack_offset(cpu, old_rbp - i * sizeof(T)), pointer) || !push(cpu, pointer))
          return false;
      }
      if (level > 0 && !push(cpu, static_cast<T>(frame))) return false;
      const u64 bottom = stack_offset(cpu, cpu.state.gpr[RSP] - size);
      if (!cpu.probe_write(Seg::SS, bottom, 1)) return false;
      set_stack_pointer(cpu, bottom);
      cpu.set_reg<T>(RBP * 8, static_cast<T>(frame));
      return true;
    }();
    if (!done) cpu.state.gpr[RSP] = rsp;
    return done;
  }
};

template <class T>
struct LeaveFrame {
  static bool run(Cpu& cpu, const Record&) {
    const u64 frame = stack_offset(cpu, cpu.state.gpr[RBP]);
    T value;
    if (!cpu.load(Seg::SS, frame, value)) return false;
    set_stack_pointer(cpu, stack_offset(cpu, frame + sizeof(T)));
    cpu.set_reg<T>(RBP * 8, value);
    return true;
  }
};

constexpr u32 wide = attr::default64;

// clang-format off
const Row rows[] = {
    {"50+r", "push", {Op::Zv}, bind_push_reg, Feature::Base, wide},
    {"58+r", "pop", {Op::Zv}, bind_pop_reg, Feature::Base, wide},
    {"68", "push", {Op::Iz}, sized<PushImm>, Feature::Base, wide},
    {"6A", "push", {Op::Ibs}, sized<PushImm>, Feature::Base, wide},
    {"FF /6", "push", {Op::Ev}, sized<PushRm>, Feature::Base, wide},
    {"8F /0", "pop", {Op::Ev}, sized<PopRm>, Feature::Base, wide},
    {"60", "pusha", {}, sized<PushAll>, Feature::Base, attr::invalid64},
    {"61", "popa", {}, sized<PopAll>, Feature::Base, attr::invalid64},
    {"C8", "enter", {Op::Iw, Op::Ib}, sized<Enter>, Feature::Base, wide},
    {"C9", "leave", {}, sized<LeaveFrame>, Feature::Base, wide},
};
// clang-format on

}  // namespace

std::span<const Row> stack_rows() { return rows; }

}  // namespace bunshin
