#pragma once

// VCMP's 32 predicates (SDM vol. 2, table 3-1), from the eight that the baseline has. Bit 4 exchanges quiet for signaling,
// bit 3 relations for those with the operands exchanged and their like.

#include "core/sse/float.h"

namespace bunshin::sse {

struct SingleComparison {
  template <int predicate>
  static Vec compare(Vec d, Vec s) {
    return cmpps<predicate>(d, s);
  }
};
struct DoubleComparison {
  template <int predicate>
  static Vec compare(Vec d, Vec s) {
    return cmppd<predicate>(d, s);
  }
};
/// Only the low element counts.
struct LowSingleComparison {
  template <int predicate>
  static Vec compare(Vec d, Vec s) {
    return cmpss<predicate>(d, s);
  }
};
struct LowDoubleComparison {
  template <int predicate>
  static Vec compare(Vec d, Vec s) {
    return cmpsd<predicate>(d, s);
  }
};

/// Predicates 0 to 15, with the flags they have.
template <class T>
Vec compare_first_half(Vec d, Vec s, u8 predicate) {
  enum { Eq, Lt, Le, Unord, Neq, Nlt, Nle, Ord };
  switch (predicate) {
    case 0: return T::template compare<Eq>(d, s);
    case 1: return T::template compare<Lt>(d, s);
    case 2: return T::template compare<Le>(d, s);
    case 3: return T::template compare<Unord>(d, s);
    case 4: return T::template compare<Neq>(d, s);
    case 5: return T::template compare<Nlt>(d, s);
    case 6: return T::template compare<Nle>(d, s);
    case 7: return T::template compare<Ord>(d, s);
    case 8: return por(T::template compare<Eq>(d, s), T::template compare<Unord>(d, s));
    case 9: return T::template compare<Nle>(s, d);
    case 10: return T::template compare<Nlt>(s, d);
    case 11: return pandn(T::template compare<Eq>(d, s), _mm_setzero_si128());
    case 12: return pand(T::template compare<Neq>(d, s), T::template compare<Ord>(d, s));
    case 13: return T::template compare<Le>(s, d);
    case 14: return T::template compare<Lt>(s, d);
    default: return por(T::template compare<Eq>(d, s), _mm_set1_epi64x(-1));
  }
}
/// Whether the first sixteen signal for quiet NaNs.
constexpr bool is_signaling(u8 predicate) { return ((0x6666 >> (predicate & 15)) & 1) != 0; }
/// Whether they hold for NaNs.
constexpr bool holds_unordered(u8 predicate) { return ((0x8778 >> (predicate & 15)) & 1) != 0; }

template <class T>
Vec compare_elements(Vec d, Vec s, u8 imm) {
  enum { Lt = 1, Ord = 7 };
  const u8 relation = imm & 15;
  if ((imm & 16) == 0) return compare_first_half<T>(d, s, relation);
  if (!is_signaling(relation)) {
    // Less-than is done for its flag.
    T::template compare<Lt>(d, s);
    return compare_first_half<T>(d, s, relation);
  }
  // Zeros in the place of what is unordered do not signal.
  const Vec ordered = T::template compare<Ord>(d, s);
  const Vec result = compare_first_half<T>(pand(d, ordered), pand(s, ordered), relation);
  return holds_unordered(relation) ? por(result, pandn(ordered, _mm_set1_epi64x(-1))) : pand(result, ordered);
}

inline Vec vcmpps(Vec d, Vec s, u8 imm) { return compare_elements<SingleComparison>(d, s, imm); }
inline Vec vcmppd(Vec d, Vec s, u8 imm) { return compare_elements<DoubleComparison>(d, s, imm); }
inline Vec vcmpss(Vec d, Vec s, u8 imm) { return merge_low32(d, compare_elements<LowSingleComparison>(d, s, imm)); }
inline Vec vcmpsd(Vec d, Vec s, u8 imm) { return merge_low64(d, compare_elements<LowDoubleComparison>(d, s, imm)); }

}  // namespace bunshin::sse
