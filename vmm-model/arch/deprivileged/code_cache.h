#pragma once

// Instructions that have been decoded before: a guest's kernel traps at the same ones again and again. One is good for as long
// as memory has the same bytes there, so that nobody has to tell of writes.

#include "vmm-model/arch/deprivileged/code.h"
#include "vmm-model/emulate/arithmetic.h"

namespace bunshin::vmm::deprivileged {

class CodeCache {
 public:
  /// `load(0)`, `load(1)`: eight bytes each that memory has at the instruction. `generation`: of what the scanner has replaced
  /// by traps. Null: not known.
  template <class Load>
  const Code* find(u32 linear, unsigned bits, u32 generation, Load load) const {
    const Entry& e = entries_[index(linear)];
    if (e.linear != linear || e.bits != bits || e.generation != generation) return nullptr;
    const bool same =
        ((load(0) ^ e.bytes[0]) & e.mask[0]) == 0 && (e.mask[1] == 0 || ((load(1) ^ e.bytes[1]) & e.mask[1]) == 0);
    return same ? &e.code : nullptr;
  }
  template <class Load>
  void keep(u32 linear, unsigned bits, u32 generation, const Code& code, Load load) {
    const unsigned length = code.length;
    entries_[index(linear)] = {linear,
                               generation,
                               static_cast<u8>(bits),
                               {load(0), load(1)},
                               {size_mask(length), size_mask(length > 8 ? length - 8 : 0)},
                               code};
  }
  static constexpr unsigned bytes_compared = 16;

 private:
  struct Entry {
    u32 linear = 0, generation = 0;
    u8 bits = 0;  ///< 0: none
    std::array<u64, 2> bytes{}, mask{};
    Code code;
  };
  static constexpr unsigned size = 64;
  static unsigned index(u32 linear) { return (linear ^ linear >> 6) % size; }

  std::array<Entry, size> entries_{};
};

}  // namespace bunshin::vmm::deprivileged
