// What a cluster answers to snoops and directory requests.

#include <algorithm>

#include "mmu/memory/cluster.h"

namespace bunshin {

Snooped Cluster::invalidate(u64 line, u64 cycle) {
  Snooped found{.arrival = cycle};
  for_each_cache([&](Cache& cache) {
    const u64 index = cache.find(line);
    if (index == Cache::npos) return;
    found.held = true;
    found.dirty = found.dirty || cache.state(index) == LineState::Modified;
    found.arrival = std::max(found.arrival, cache.arrival(line, index, cycle));
    cache.invalidate_at(index);
  });
  return found;
}

Snooped Cluster::share(u64 line, u64 cycle) {
  Snooped found{.arrival = cycle};
  for_each_cache([&](Cache& cache) {
    const u64 index = cache.find(line);
    if (index == Cache::npos) return;
    found.held = true;
    found.dirty = found.dirty || cache.state(index) == LineState::Modified;
    found.arrival = std::max(found.arrival, cache.arrival(line, index, cycle));
    cache.set_state(index, LineState::Shared);
  });
  return found;
}

Snooped Cluster::clean(u64 line, u64 cycle) {
  Snooped found{.arrival = cycle};
  for_each_cache([&](Cache& cache) {
    const u64 index = cache.find(line);
    if (index == Cache::npos) return;
    found.held = true;
    if (cache.state(index) != LineState::Modified) return;
    found.dirty = true;
    found.arrival = std::max(found.arrival, cache.arrival(line, index, cycle));
    cache.set_state(index, LineState::Exclusive);
  });
  return found;
}

LineState Cluster::state_of(u64 line) const {
  LineState strongest = LineState::Invalid;
  const auto look = [&](const Cache& cache) {
    const u64 index = cache.find(line);
    if (index != Cache::npos) strongest = std::max(strongest, cache.state(index));
  };
  look(l2_);
  for (const CoreCaches& core : cores_) {
    look(core.l1d);
    look(core.l1i);
  }
  return strongest;
}

bool Cluster::dirty(u64 line) const { return state_of(line) == LineState::Modified; }

}  // namespace bunshin
