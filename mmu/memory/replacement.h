#pragma once

// Which way of a set has to go. The state is compact and flat: a byte a way (rank or re-reference prediction), handled
// eight ways at a time within a word, or the bits of a tree. Nothing is virtual: the policy is a predictable branch.

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>
#include <vector>

#include "base/state_hash.h"
#include "base/types.h"
#include "mmu/memory/packed_bytes.h"

namespace bunshin {

inline constexpr unsigned max_ways = 64;
inline constexpr unsigned max_mshrs = 64;
inline constexpr unsigned max_prefetch_degree = 8;

enum class ReplacementPolicy : u8 { Lru, TreePlru, Random, Srrip };
inline constexpr std::array<std::string_view, 4> replacement_names{"lru", "tree-plru", "random", "srrip"};

/// Throws nothing: an unknown name, which parameters cannot have, is LRU.
constexpr ReplacementPolicy replacement_policy(std::string_view name) {
  for (unsigned i = 0; i < replacement_names.size(); ++i) {
    if (replacement_names[i] == name) return static_cast<ReplacementPolicy>(i);
  }
  return ReplacementPolicy::Lru;
}

class Replacement {
 public:
  /// 1 to 64 ways; a power of two of them for TreePlru.
  Replacement(ReplacementPolicy policy, u64 sets, unsigned ways, u64 seed)
      : policy_(policy), ways_(ways), words_(policy == ReplacementPolicy::TreePlru ? 1 : (ways + 7) / 8), seed_(seed) {
    recent_.resize(sets);
    state_.resize(sets * words_);
    reset();
  }

  /// The way that was touched last: touching it again changes nothing, so a hit there needs no call.
  unsigned recent(u64 set) const { return recent_[set]; }
  const u8* recent_ways() const { return recent_.data(); }

  /// A hit.
  void touch(u64 set, unsigned way) {
    recent_[set] = static_cast<u8>(way);
    u64* const words = &state_[set * words_];
    switch (policy_) {
      case ReplacementPolicy::Lru: make_youngest(words, way); break;
      case ReplacementPolicy::TreePlru: words[0] = (words[0] & ~tree_mask_[way]) | tree_value_[way]; break;
      case ReplacementPolicy::Srrip: packed::set_byte(words, way, 0); break;
      case ReplacementPolicy::Random: break;
    }
  }

  /// A line was filled into `way`. Under SRRIP its re-reference is predicted to be long (Jaleel et al., ISCA 2010, 3.1).
  void insert(u64 set, unsigned way) {
    if (policy_ != ReplacementPolicy::Srrip) {
      touch(set, way);
    } else {
      recent_[set] = static_cast<u8>(way);
      packed::set_byte(&state_[set * words_], way, srrip_long);
    }
  }

  /// The way that goes; all of them are valid.
  unsigned victim(u64 set) {
    u64* const words = &state_[set * words_];
    switch (policy_) {
      case ReplacementPolicy::Lru: return find_byte(words, ways_ - 1);
      case ReplacementPolicy::TreePlru: return tree_victim(words[0]);
      case ReplacementPolicy::Srrip: return srrip_victim(words);
      case ReplacementPolicy::Random: break;
    }
    random_ ^= random_ >> 12;
    random_ ^= random_ << 25;
    random_ ^= random_ >> 27;
    return static_cast<unsigned>(((random_ * 0x2545f4914f6cdd1dULL) >> 32) % ways_);
  }

  void reset() {
    random_ = (seed_ * 0x9e3779b97f4a7c15ULL) | 1;
    std::fill(recent_.begin(), recent_.end(), u8{0});
    std::fill(state_.begin(), state_.end(), u64{0});
    if (policy_ == ReplacementPolicy::TreePlru) {
      make_tree_masks();
    } else {
      for (u64 set = 0; set < recent_.size(); ++set) {
        for (unsigned way = 0; way < words_ * 8; ++way) {
          const unsigned rank = way < ways_ ? way : unused;
          packed::set_byte(&state_[set * words_], way,
                           policy_ == ReplacementPolicy::Lru ? rank
                           : way < ways_                     ? 3
                                                             : unused);
        }
      }
    }
  }

  void hash(StateHash& hash) const {
    hash.add(random_);
    for (const u64 word : state_) hash.add(word);
  }

 private:
  static constexpr unsigned unused = 0x7f;  ///< of ways that do not exist: never younger than a rank, never a victim
  static constexpr unsigned srrip_long = 2;
  static constexpr unsigned srrip_distant = 3;

  /// The first way with this byte; way 0 if there is none.
  unsigned find_byte(const u64* words, unsigned value) const {
    for (unsigned i = 0; i < words_; ++i) {
      const u64 found = packed::matches(words[i], value);
      if (found != 0) return i * 8 + static_cast<unsigned>(std::countr_zero(found)) / 8;
    }
    return 0;
  }

  /// Ranks are a permutation, 0 the youngest: everything younger than `way` ages by one.
  void make_youngest(u64* words, unsigned way) {
    const unsigned rank = packed::byte(words, way);
    if (rank == 0) return;
    for (unsigned i = 0; i < words_; ++i) {
      const u64 younger = ~((words[i] | packed::high_bits) - rank * packed::low_bits) & packed::high_bits;
      words[i] += younger >> 7;
    }
    packed::set_byte(words, way, 0);
  }

  unsigned srrip_victim(u64* words) const {
    unsigned oldest = 0;
    for (unsigned way = 0; way < ways_; ++way) oldest = std::max(oldest, packed::byte(words, way));
    const u64 aging = srrip_distant - oldest;
    if (aging != 0) {
      for (unsigned way = 0; way < ways_; ++way) {
        packed::set_byte(words, way, packed::byte(words, way) + static_cast<unsigned>(aging));
      }
    }
    return find_byte(words, srrip_distant);
  }

  /// Node n of the tree has the children 2n and 2n + 1, the root is 1; its bit names the half that goes next.
  unsigned tree_victim(u64 bits) const {
    unsigned node = 1;
    while (node < ways_) node = 2 * node + static_cast<unsigned>((bits >> node) & 1);
    return node - ways_;
  }
  void make_tree_masks() {
    for (unsigned way = 0; way < ways_; ++way) {
      tree_mask_[way] = tree_value_[way] = 0;
      for (unsigned node = way + ways_; node > 1; node /= 2) {
        tree_mask_[way] |= u64{1} << (node / 2);
        tree_value_[way] |= u64{~node & 1} << (node / 2);
      }
    }
  }

  ReplacementPolicy policy_;
  unsigned ways_;
  unsigned words_;  ///< of state, a set
  u64 seed_;
  u64 random_ = 1;
  std::vector<u8> recent_;
  std::vector<u64> state_;
  std::array<u64, max_ways> tree_mask_{};
  std::array<u64, max_ways> tree_value_{};
};

}  // namespace bunshin
