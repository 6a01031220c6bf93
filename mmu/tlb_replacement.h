#pragma once

// Which entry of a TLB's set goes. Each entry has one number, its age, that means what the policy wants: when it was last
// used (lru) or came (fifo), or whether it was used of late (nru, which processors have as pseudo-LRU bits where ways
// are no power of two).

#include <array>
#include <string>
#include <string_view>

#include "base/types.h"

namespace bunshin {

class TlbReplacement {
 public:
  enum class Policy : u8 { Lru, Nru, Fifo, Random };
  static constexpr std::array<std::string_view, 4> names{"lru", "nru", "fifo", "random"};

  /// An unknown name is lru.
  explicit TlbReplacement(const std::string& name, u64 seed = 1) : random_(seed) {
    for (unsigned i = 0; i < names.size(); ++i) {
      if (names[i] == name) policy_ = static_cast<Policy>(i);
    }
  }

  void hit(u64& age) {
    if (policy_ == Policy::Lru) [[likely]]
      age = ++clock_;
    else if (policy_ == Policy::Nru)
      age = 1;
  }
  void inserted(u64& age) { age = policy_ == Policy::Nru ? 1 : ++clock_; }

  /// Of `ways` valid entries; `age(i)` is a reference to that of way i.
  template <class Age>
  u64 victim(u64 ways, Age age) {
    if (policy_ == Policy::Random) return next_random() % ways;
    if (policy_ == Policy::Nru) {
      for (u64 i = 0; i < ways; ++i) {
        if (age(i) == 0) return i;
      }
      for (u64 i = 0; i < ways; ++i) age(i) = 0;
      return 0;
    }
    u64 oldest = 0;
    for (u64 i = 1; i < ways; ++i) {
      if (age(i) < age(oldest)) oldest = i;
    }
    return oldest;
  }
  u64 state() const { return clock_ ^ random_; }

 private:
  /// SplitMix64 (Steele, Lea, Flood 2014).
  u64 next_random() {
    u64 z = random_ += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  Policy policy_ = Policy::Lru;
  u64 clock_ = 0;
  u64 random_;
};

}  // namespace bunshin
