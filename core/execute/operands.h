#pragma once

// Where an operand comes from, as a template parameter: an operation is written once and combined with each form.
//
//   load(cpu, record, value)       reads it
//   modify(cpu, record, f)         replaces it by f(old); f runs only if the write cannot fail any more
//   store(cpu, record, value)      writes it
// All return false when the access did not happen (Cpu::leave says why).

#include "core/cpu.h"
#include "core/decode/bind.h"
#include "core/execute/host_memory.h"

namespace bunshin {

/// ModRM.rm as a general register.
struct RegisterRm {
  template <class T>
  static bool load(Cpu& cpu, const Record& r, T& value) {
    value = cpu.reg<T>(r.rm);
    return true;
  }
  template <class T, class F>
  static bool modify(Cpu& cpu, const Record& r, F f) {
    cpu.set_reg<T>(r.rm, f(cpu.reg<T>(r.rm)));
    return true;
  }
  template <class T>
  static bool store(Cpu& cpu, const Record& r, T value) {
    cpu.set_reg<T>(r.rm, value);
    return true;
  }
};

/// ModRM.rm as memory through any segment, in any mode.
struct SegmentedMemory {
  template <class T>
  static bool load(Cpu& cpu, const Record& r, T& value) {
    return cpu.load(r, value);
  }
  template <class T>
  static bool store(Cpu& cpu, const Record& r, T value) {
    return cpu.store(r, value);
  }
  template <class T, class F>
  static bool modify(Cpu& cpu, const Record& r, F f) {
    const u64 offset = cpu.effective_address(r);
    T value;
    // A read-modify-write is checked as a write (SDM vol. 3, 4.7: its #PF has W set).
    if (!cpu.probe_write(cpu.segment_of(r), offset, sizeof(T)) || !cpu.load(cpu.segment_of(r), offset, value))
      return false;
    return cpu.store(cpu.segment_of(r), offset, static_cast<T>(f(value)));
  }
};

/// ModRM.rm as memory whose linear address is its effective address (CodeMode::flat), with `Offset` wide addresses: one
/// compare on the way to the host's memory (`Host`). Where that misses, false is returned without any effect and the handler
/// starts over with SegmentedMemory (with_fallback).
template <class Offset, class Host = ByPage>
struct FlatMemory {
  static u64 linear(const Cpu& cpu, const Record& r) {
    const u64 base = cpu.reg<u64>(r.base);
    const u64 index = cpu.reg<u64>(r.index);
    return static_cast<Offset>(base + (index << r.scale) + static_cast<u64>(i64{r.disp}));
  }
  template <class T>
  static bool load(Cpu& cpu, const Record& r, T& value) {
    const u8* host = Host::read(cpu, linear(cpu, r), sizeof(T));
    if (host == nullptr) [[unlikely]]
      return false;
    std::memcpy(&value, host, sizeof(T));
    return true;
  }
  template <class T>
  static bool store(Cpu& cpu, const Record& r, T value) {
    u8* host = Host::write(cpu, linear(cpu, r), sizeof(T));
    if (host == nullptr) [[unlikely]]
      return false;
    std::memcpy(host, &value, sizeof(T));
    return true;
  }
  template <class T, class F>
  static bool modify(Cpu& cpu, const Record& r, F f) {
    u8* host = Host::modify(cpu, linear(cpu, r), sizeof(T));
    if (host == nullptr) [[unlikely]]
      return false;
    T value;
    std::memcpy(&value, host, sizeof(T));
    value = f(value);
    std::memcpy(host, &value, sizeof(T));
    return true;
  }
};

template <class Rm>
inline constexpr bool is_flat_memory = false;
template <class Offset, class Host>
inline constexpr bool is_flat_memory<FlatMemory<Offset, Host>> = true;

/// The handler for a body over `Rm`, given the same body over SegmentedMemory. The body's memory access must be the first
/// thing that can be observed.
template <class Rm, Semantics body, Semantics segmented>
Handler with_fallback() {
  if constexpr (is_flat_memory<Rm>)
    return run_fast<body, segmented>;
  else
    return run_plain<body>;
}

/// Calls `choose.operator()<Rm>()` with the form of the decoded ModRM operand.
template <class Choose>
Handler by_rm(const Decoded& d, Choose choose) {
  if (!d.memory) return choose.template operator()<RegisterRm>();
  if (!d.flat) return choose.template operator()<SegmentedMemory>();
  if (d.record.address_bytes() != 8) return choose.template operator()<FlatMemory<u32>>();
  return d.observed ? choose.template operator()<FlatMemory<u64, ByLine>>()
                    : choose.template operator()<FlatMemory<u64>>();
}

/// Calls `choose.operator()<T>()` with the operand type.
template <class Choose>
Handler by_size(const Decoded& d, Choose choose) {
  switch (d.operand_bytes) {
    case 1: return choose.template operator()<u8>();
    case 2: return choose.template operator()<u16>();
    case 4: return choose.template operator()<u32>();
    default: return choose.template operator()<u64>();
  }
}

template <class Choose>
Handler by_size_and_rm(const Decoded& d, Choose choose) {
  return by_size(d,
                 [&]<class T>() { return by_rm(d, [&]<class Rm>() { return choose.template operator()<T, Rm>(); }); });
}

/// For semantics that only need the size: binds `Semantic<T>::run` as a plain handler.
template <template <class> class Semantic>
Handler sized(const Decoded& d) {
  return by_size(d, []<class T>() -> Handler { return run_plain<&Semantic<T>::run>; });
}

}  // namespace bunshin
