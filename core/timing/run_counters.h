#pragma once

// What is counted for a core, for each of its privilege levels and for each address space alike.

#include "core/timing/cycle_account.h"

namespace bunshin {

/// Of the code that ran; a virtual machine's are its own.
enum class Privilege : u8 { User, Supervisor, GuestUser, GuestSupervisor, Count };
inline constexpr unsigned privileges = static_cast<unsigned>(Privilege::Count);
inline constexpr std::array<std::string_view, privileges> privilege_names{"user", "supervisor", "guest_user",
                                                                          "guest_supervisor"};

enum class RunCount : u8 {
  Instructions,
  Branches,
  Mispredicted,
  SecondLevelTlb,  ///< translations that the first-level TLBs lacked and the second had
  Walks,
  WalkReferences,
  WalkCycles,
  L1iMisses,
  L1dMisses,
  L2Misses,
  L3Misses,
  Count
};
inline constexpr unsigned run_counts = static_cast<unsigned>(RunCount::Count);

struct RunCountName {
  std::string_view name, unit, description;
};
inline constexpr std::array<RunCountName, run_counts> run_count_names{{
    {"instructions", "instructions", "completed while timed"},
    {"branches", "branches", "resolved"},
    {"branches.wrong", "branches", "mispredicted"},
    {"tlb.second_level_hits", "translations", "that the first-level TLBs lacked and the second had"},
    {"walks", "walks", "page walks of timed accesses"},
    {"walk_references", "references", "paging-structure entries that walks read"},
    {"walk_cycles", "cycles", "that walks took, however much of it was hidden"},
    {"l1i.misses", "accesses", "misses of the first-level instruction cache"},
    {"l1d.misses", "accesses", "misses of the first-level data cache by loads, stores and walks"},
    {"l2.misses", "accesses", "misses of the second-level cache, prefetches not counted"},
    {"l3.misses", "accesses", "misses of the third-level cache, prefetches not counted"},
}};

struct RunCounters {
  CycleAccount account;
  std::array<u64, run_counts> counts{};

  u64& operator[](RunCount count) { return counts[static_cast<unsigned>(count)]; }
  u64 operator[](RunCount count) const { return counts[static_cast<unsigned>(count)]; }

  RunCounters& operator+=(const RunCounters& other) {
    for (unsigned i = 0; i < cycle_causes; ++i) account.cycles[i] += other.account.cycles[i];
    for (unsigned i = 0; i < run_counts; ++i) counts[i] += other.counts[i];
    return *this;
  }
  RunCounters operator-(const RunCounters& other) const {
    RunCounters d = *this;
    for (unsigned i = 0; i < cycle_causes; ++i) d.account.cycles[i] -= other.account.cycles[i];
    for (unsigned i = 0; i < run_counts; ++i) d.counts[i] -= other.counts[i];
    return d;
  }
};

}  // namespace bunshin
