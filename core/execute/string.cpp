// String instructions: MOVS, CMPS, STOS, LODS, SCAS with REP, REPE, REPNE (SDM vol. 2). INS and OUTS are in
// core/system/port_io.
//
// A repeated instruction runs a bounded number of iterations, then leaves with RIP on itself (Leave::Repeat), so that
// interrupts are taken between iterations as the manual says. Registers are up to date after every iteration: a fault in the
// middle restarts at the iteration that faulted.

#include <algorithm>
#include <utility>

#include "core/events/debug.h"
#include "core/execute/operands.h"
#include "core/execute/string.h"

namespace bunshin {

namespace {

/// Elements that [linear, page end) holds, going up.
template <class T>
u64 elements_to_page_end(u64 linear) {
  return (page_size - (linear & (page_size - 1))) / sizeof(T);
}

/// REP MOVS and REP STOS going up through flat segments touch whole runs of host memory at once. Returns elements done.
template <class T>
u64 bulk_stos(Cpu& cpu, u64 count) {
  const u64 to = cpu.state.gpr[RDI];
  u8* host = cpu.mmu.held().write(to, sizeof(T));
  if (host == nullptr) return 0;
  const u64 n = std::min(count, elements_to_page_end<T>(to));
  const T value = cpu.reg<T>(RAX);
  for (u64 i = 0; i < n; ++i) std::memcpy(host + i * sizeof(T), &value, sizeof(T));
  if (cpu.observation.active()) cpu.log_run(to, host, n * sizeof(T), MemoryReference::Kind::Store);
  cpu.state.gpr[RDI] += n * sizeof(T);
  cpu.state.gpr[RCX] -= n;
  return n;
}

template <class T>
u64 bulk_movs(Cpu& cpu, u64 count) {
  const u64 from = cpu.state.gpr[RSI];
  const u64 to = cpu.state.gpr[RDI];
  const u8* source = cpu.mmu.held().read(from, sizeof(T));
  u8* target = cpu.mmu.held().write(to, sizeof(T));
  if (source == nullptr || target == nullptr) return 0;
  const u64 n = std::min({count, elements_to_page_end<T>(from), elements_to_page_end<T>(to)});
  const auto distance = static_cast<u64>(target - source);
  if (distance < n * sizeof(T)) {
    // The target runs ahead of the source: each element must be read after the ones before it were written.
    for (u64 i = 0; i < n; ++i) {
      T value;
      std::memcpy(&value, source + i * sizeof(T), sizeof(T));
      std::memcpy(target + i * sizeof(T), &value, sizeof(T));
    }
  } else {
    std::memmove(target, source, n * sizeof(T));
  }
  if (cpu.observation.active()) {
    cpu.log_run(from, source, n * sizeof(T), MemoryReference::Kind::Load);
    cpu.log_run(to, target, n * sizeof(T), MemoryReference::Kind::Store);
  }
  cpu.state.gpr[RSI] += n * sizeof(T);
  cpu.state.gpr[RDI] += n * sizeof(T);
  cpu.state.gpr[RCX] -= n;
  return n;
}

template <class T>
struct Movs {
  static constexpr bool compares = false;
  static bool iterate(Cpu& cpu, const Record& r) {
    T value;
    if (!cpu.load(cpu.segment_of(r), string_offset(cpu, r, RSI), value)) return false;
    if (!cpu.store(Seg::ES, string_offset(cpu, r, RDI), value)) return false;
    advance<T>(cpu, r, RSI);
    advance<T>(cpu, r, RDI);
    return true;
  }
  static u64 bulk(Cpu& cpu, u64 count) { return bulk_movs<T>(cpu, count); }
};

template <class T>
struct Stos {
  static constexpr bool compares = false;
  static bool iterate(Cpu& cpu, const Record& r) {
    if (!cpu.store(Seg::ES, string_offset(cpu, r, RDI), cpu.reg<T>(RAX))) return false;
    advance<T>(cpu, r, RDI);
    return true;
  }
  static u64 bulk(Cpu& cpu, u64 count) { return bulk_stos<T>(cpu, count); }
};

template <class T>
struct Lods {
  static constexpr bool compares = false;
  static bool iterate(Cpu& cpu, const Record& r) {
    T value;
    if (!cpu.load(cpu.segment_of(r), string_offset(cpu, r, RSI), value)) return false;
    cpu.set_reg<T>(RAX, value);
    advance<T>(cpu, r, RSI);
    return true;
  }
  static u64 bulk(Cpu&, u64) { return 0; }
};

template <class T>
struct Cmps {
  static constexpr bool compares = true;
  static bool iterate(Cpu& cpu, const Record& r) {
    T first;
    T second;
    if (!cpu.load(cpu.segment_of(r), string_offset(cpu, r, RSI), first)) return false;
    if (!cpu.load(Seg::ES, string_offset(cpu, r, RDI), second)) return false;
    cpu.state.flags.set_sub<T>(static_cast<T>(first - second), second);
    advance<T>(cpu, r, RSI);
    advance<T>(cpu, r, RDI);
    return true;
  }
  static u64 bulk(Cpu&, u64) { return 0; }
};

template <class T>
struct Scas {
  static constexpr bool compares = true;
  static bool iterate(Cpu& cpu, const Record& r) {
    T value;
    if (!cpu.load(Seg::ES, string_offset(cpu, r, RDI), value)) return false;
    const T a = cpu.reg<T>(RAX);
    cpu.state.flags.set_sub<T>(static_cast<T>(a - value), value);
    advance<T>(cpu, r, RDI);
    return true;
  }
  static u64 bulk(Cpu&, u64) { return 0; }
};

/// Flat segments on both sides and addresses as wide as the registers, going up.
bool may_go_in_bulk(const Cpu& cpu, const Record& r) {
  return cpu.mode.bits == 64 && r.address_bytes() == 8 && cpu.segment_of(r) < Seg::FS &&
         (cpu.state.flags.system & rflags::DF) == 0;
}

template <class Instruction>
bool string_instruction(Cpu& cpu, const Record& r) {
  if ((r.prefixes & (prefix::rep | prefix::repne)) == 0) return Instruction::iterate(cpu, r);
  const bool bulk = may_go_in_bulk(cpu, r);
  // Debug traps come between iterations (SDM vol. 3, 17.3.1.2 and 17.3.1.4).
  const u64 most = debug_active(cpu) ? 1 : string_iterations;
  for (u64 done = std::exchange(cpu.iterations_done, 0); string_count(cpu, r) != 0;) {
    if (done >= most) {
      cpu.leave = Leave::Repeat;
      return false;
    }
    if (bulk && most > 1) {
      if (const u64 n = Instruction::bulk(cpu, std::min(string_count(cpu, r), most - done)); n != 0) {
        done += n;
        continue;
      }
    }
    if (!Instruction::iterate(cpu, r)) {
      if (cpu.leave == Leave::DeviceAccess) cpu.iterations_done = done;
      return false;
    }
    decrement_string_count(cpu, r);
    ++done;
    if constexpr (Instruction::compares) {
      if (cpu.state.flags.zf() != ((r.prefixes & prefix::rep) != 0)) break;
    }
    // Each access to a device has its own time.
    if (cpu.accessed_device) done = string_iterations;
  }
  return true;
}

template <template <class> class Instruction>
Handler bind_string(const Decoded& d) {
  return by_size(d, []<class T>() -> Handler { return run_plain<string_instruction<Instruction<T>>>; });
}

constexpr u32 byte = attr::byte_operands;

// clang-format off
const Row rows[] = {
    {"A4", "movsb", {}, bind_string<Movs>, Feature::Base, byte}, {"A5", "movs", {}, bind_string<Movs>},
    {"A6", "cmpsb", {}, bind_string<Cmps>, Feature::Base, byte}, {"A7", "cmps", {}, bind_string<Cmps>},
    {"AA", "stosb", {}, bind_string<Stos>, Feature::Base, byte}, {"AB", "stos", {}, bind_string<Stos>},
    {"AC", "lodsb", {}, bind_string<Lods>, Feature::Base, byte}, {"AD", "lods", {}, bind_string<Lods>},
    {"AE", "scasb", {}, bind_string<Scas>, Feature::Base, byte}, {"AF", "scas", {}, bind_string<Scas>},
};
// clang-format on

}  // namespace

std::span<const Row> string_rows() { return rows; }

}  // namespace bunshin
