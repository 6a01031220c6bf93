// Devices, and the instructions that manage caches.

#include <algorithm>

#include "mmu/memory/uncore.h"

namespace bunshin {

Reply Uncore::dma_read(u64 line, CoreCounters& counters, u64 cycle) {
  const u64 ready = lookup(cycle, 0);
  for (u64 left = holders(line); left != 0; left &= left - 1) {
    Cluster& cluster = *clusters_[static_cast<unsigned>(std::countr_zero(left))];
    if (!cluster.dirty(line)) continue;
    ++counters.transfers_dirty;
    if (l3_) ++counters.l3.misses[static_cast<unsigned>(AccessClass::Dma)];
    return {.complete = ready + costs_.transfer_dirty, .level = Level::Remote, .dirty = true};
  }
  Reply reply{ready, Level::L3};
  const u64 index = l3_ ? l3_->find(line) : Cache::npos;
  if (index != Cache::npos) {
    const u64 arrival = l3_->arrival(line, index, ready);
    reply.merged = arrival > ready;
    reply.complete = arrival;
    counters.l3.count(AccessClass::Dma, reply.merged);
    return reply;
  }
  if (l3_) ++counters.l3.misses[static_cast<unsigned>(AccessClass::Dma)];
  ++counters.dram_reads;
  return {dram_.read(line, ready), Level::Dram};
}

Reply Uncore::dma_write(u64 line, CoreCounters& counters, u64 cycle) {
  u64 ready = lookup(cycle, 0);
  bool held = false;
  for (u64 left = holders(line); left != 0; left &= left - 1) {
    if (!clusters_[static_cast<unsigned>(std::countr_zero(left))]->invalidate(line, cycle).held) continue;
    held = true;
    ++counters.invalidations;
  }
  if (directory_) directory_->set(line, {});
  if (held) ready += costs_.invalidation;
  if (l3_) {
    const u64 index = l3_->find(line);
    if (index == Cache::npos) {
      ++counters.l3.misses[static_cast<unsigned>(AccessClass::Dma)];
    } else {
      counters.l3.count(AccessClass::Dma, false);
    }
    if (costs_.ddio) {
      if (index == Cache::npos) {
        put_into_l3(line, LineState::Modified, 0, ready);
      } else {
        l3_->set_state(index, LineState::Modified);
      }
      return {ready, Level::L3};
    }
    if (index != Cache::npos) l3_->invalidate_at(index);
  }
  return {dram_.write(line, ready), Level::Dram};
}

u64 Uncore::flush(u64 line, u64 cycle, bool keep) {
  const u64 asked = cycle + (l3_ ? l3_->latency() : l2_latency_);
  u64 complete = asked;
  bool dirty = false;
  for_each(holders(line), [&](Cluster& cluster) {
    const Snooped found = keep ? cluster.clean(line, asked) : cluster.invalidate(line, asked);
    dirty = dirty || found.dirty;
    complete = std::max(complete, found.arrival);
  });
  if (!keep && directory_) directory_->set(line, {});
  const u64 index = l3_ ? l3_->find(line) : Cache::npos;
  if (index != Cache::npos) {
    dirty = dirty || l3_->state(index) == LineState::Modified;
    complete = l3_->arrival(line, index, complete);
    if (keep) {
      l3_->set_state(index, LineState::Exclusive);
    } else {
      l3_->invalidate_at(index);
    }
  }
  return dirty ? dram_.write(line, complete) : complete;
}

u64 Uncore::empty(unsigned cluster, u64 cycle, bool discard) {
  u64 complete = cycle;
  const auto write = [&](u64 line, bool dirty) {
    if (dirty && !discard) complete = std::max(complete, dram_.write(line, cycle));
  };
  Cluster& own = *clusters_[cluster];
  own.for_each_cache([&](Cache& cache) {
    for (u64 i = 0; i < cache.lines(); ++i) {
      const Cache::Victim found = cache.line_at(i);
      if (found.state == LineState::Invalid) continue;
      const bool dirty = own.invalidate(found.line, cycle).dirty;
      gone(cluster, found.line);
      write(found.line, dirty);
    }
  });
  for (u64 i = 0; l3_ && i < l3_->lines(); ++i) {
    const Cache::Victim found = l3_->line_at(i);
    if (found.state == LineState::Invalid) continue;
    bool dirty = found.state == LineState::Modified;
    l3_->invalidate_at(i);
    if (l3_->inclusion() == Inclusion::Inclusive) {
      for_each(holders(found.line), [&](Cluster& other) { dirty |= other.invalidate(found.line, cycle).dirty; });
      if (directory_) directory_->set(found.line, {});
    }
    write(found.line, dirty);
  }
  return complete;
}

}  // namespace bunshin
