#pragma once

// RFLAGS, with the six status flags kept as the last operation's result and operand until somebody asks.
// An arithmetic instruction stores three words instead of computing six flags, of which most are never read.

#include <bit>

#include "base/types.h"

namespace bunshin {

/// What produced the status flags. Ordered so that kind & 3 is log2 of the operand size in bytes.
enum class FlagKind : u8 {
  Add8,
  Add16,
  Add32,
  Add64,  ///< result, source: CF = result < source
  Sub8,
  Sub16,
  Sub32,
  Sub64,  ///< result, source: minuend = result + source
  Logic8,
  Logic16,
  Logic32,
  Logic64,  ///< CF = OF = AF = 0
  Inc8,
  Inc16,
  Inc32,
  Inc64,  ///< CF kept in `source`
  Dec8,
  Dec16,
  Dec32,
  Dec64,            ///< CF kept in `source`
  Explicit = 0x80,  ///< `result` holds the flags themselves
};

class LazyFlags {
 public:
  u64 result = 0;
  u64 source = 0;
  FlagKind kind = FlagKind::Explicit;
  /// Everything in RFLAGS but the six status flags.
  u64 system = 2;

  template <class T>
  static constexpr FlagKind sized(FlagKind k8) {
    return static_cast<FlagKind>(static_cast<u8>(k8) + (sizeof(T) == 1   ? 0
                                                        : sizeof(T) == 2 ? 1
                                                        : sizeof(T) == 4 ? 2
                                                                         : 3));
  }
  template <class T>
  void set_add(T r, T src) {
    result = r;
    source = src;
    kind = sized<T>(FlagKind::Add8);
  }
  template <class T>
  void set_sub(T r, T src) {
    result = r;
    source = src;
    kind = sized<T>(FlagKind::Sub8);
  }
  template <class T>
  void set_logic(T r) {
    result = r;
    kind = sized<T>(FlagKind::Logic8);
  }
  template <class T>
  void set_inc(T r) {
    const bool c = cf();
    result = r;
    source = c;
    kind = sized<T>(FlagKind::Inc8);
  }
  template <class T>
  void set_dec(T r) {
    const bool c = cf();
    result = r;
    source = c;
    kind = sized<T>(FlagKind::Dec8);
  }
  /// `bits` in RFLAGS layout; only the six status flags are taken.
  void set_status(u64 bits) {
    result = bits & 0x8d5;
    kind = FlagKind::Explicit;
  }
  /// Replaces the flags selected by `mask` (status flags only).
  void change_status(u64 mask, u64 bits) { set_status((status() & ~mask) | (bits & mask)); }

  bool cf() const {
    switch (static_cast<u8>(kind) >> 2) {
      case 0: return result < source;
      case 1: return minuend() < source;
      case 2: return false;
      case 3:
      case 4: return source != 0;
      default: return (result & 1) != 0;
    }
  }
  bool zf() const { return lazy() ? result == 0 : (result & 0x40) != 0; }
  bool sf() const { return lazy() ? ((result >> (bits() - 1)) & 1) != 0 : (result & 0x80) != 0; }
  bool pf() const { return lazy() ? (std::popcount(static_cast<u8>(result)) & 1) == 0 : (result & 4) != 0; }
  bool of() const {
    switch (static_cast<u8>(kind) >> 2) {
      case 0: return sign((result ^ source) & (result ^ (result - source)));
      case 1: return sign((minuend() ^ source) & (minuend() ^ result));
      case 2: return false;
      case 3: return result == u64{1} << (bits() - 1);
      case 4: return result == (u64{1} << (bits() - 1)) - 1;
      default: return (result & 0x800) != 0;
    }
  }
  bool af() const {
    switch (static_cast<u8>(kind) >> 2) {
      case 0: return (((result - source) ^ source ^ result) & 0x10) != 0;
      case 1: return (((result + source) ^ source ^ result) & 0x10) != 0;
      case 2: return false;
      case 3: return (result & 0xf) == 0;
      case 4: return (result & 0xf) == 0xf;
      default: return (result & 0x10) != 0;
    }
  }
  /// The six status flags in RFLAGS layout.
  u64 status() const {
    if (!lazy()) return result;
    return u64{cf()} | u64{pf()} << 2 | u64{af()} << 4 | u64{zf()} << 6 | u64{sf()} << 7 | u64{of()} << 11;
  }
  u64 value() const { return status() | system; }
  /// Replaces all of RFLAGS (the caller has decided which bits may change).
  void set_value(u64 v) {
    set_status(v);
    system = (v & ~u64{0x8d5}) | 2;
  }

 private:
  bool lazy() const { return (static_cast<u8>(kind) & 0x80) == 0; }
  unsigned bits() const { return 8u << (static_cast<u8>(kind) & 3); }
  u64 mask() const { return ~u64{0} >> (64 - bits()); }
  u64 minuend() const { return (result + source) & mask(); }
  bool sign(u64 v) const { return ((v >> (bits() - 1)) & 1) != 0; }
};

}  // namespace bunshin
