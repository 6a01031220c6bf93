#include "mmu/memory/uncore.h"

#include <algorithm>
#include <bit>

namespace bunshin {

Uncore::Uncore(const MemoryHierarchyParameters& p, unsigned clusters, u64 lines_of_cluster, u64 frequency, u64 seed)
    : costs_(p.coherence), l2_latency_(p.l2.latency), dram_(p.dram, frequency) {
  if (p.l3.size != 0) l3_.emplace(p.l3, seed);
  if (clusters > 1) directory_.emplace(clusters * lines_of_cluster);
}

u64 Uncore::lookup(u64 cycle, u64 passed) { return l3_ ? l3_->reserve_port(cycle) + l3_->latency() - passed : cycle; }

Grant Uncore::request(unsigned cluster, const Request& r, u64 cycle) {
  const u64 line = r.line();
  const bool wants = wants_ownership(r.kind);
  u64 ready = lookup(cycle, l2_latency_);
  const Directory::Entry entry = directory_ ? directory_->find(line) : Directory::Entry();
  const u64 others = entry.clusters & ~bit(cluster);
  if (others != 0 && entry.owned) return from_owner(cluster, r, others, ready);
  const u64 sharers = wants ? 0 : others;
  Grant grant = from_below(r, others, ready);
  if (others != 0 && wants) {
    invalidate_elsewhere(cluster, line, *r.counters, ready);
    grant.reply.complete = std::max(grant.reply.complete, ready + costs_.invalidation);
    grant.reply.upgraded = true;
  }
  if (directory_) directory_->set(line, {entry.clusters * (sharers != 0) | bit(cluster), sharers == 0});
  if (sharers != 0) grant.state = LineState::Shared;
  return grant;
}

Grant Uncore::from_owner(unsigned cluster, const Request& r, u64 owner, u64 ready) {
  const u64 line = r.line();
  const bool wants = wants_ownership(r.kind);
  Cluster& other = *clusters_[static_cast<unsigned>(std::countr_zero(owner))];
  const Snooped found = wants ? other.invalidate(line, ready) : other.share(line, ready);
  if (l3_) ++r.counters->l3.misses[static_cast<unsigned>(r.counted())];
  ++(found.dirty ? r.counters->transfers_dirty : r.counters->transfers_clean);
  if (wants) ++r.counters->invalidations;
  Grant grant{{found.arrival + (found.dirty ? costs_.transfer_dirty : costs_.transfer_clean), Level::Remote},
              LineState::Shared};
  grant.reply.dirty = found.dirty;
  directory_->set(line, {wants ? bit(cluster) : owner | bit(cluster), wants});
  if (wants) {
    grant.state = found.dirty ? LineState::Modified : LineState::Exclusive;
  } else if (found.dirty) {
    // MESI has no state for a dirty line that is shared: it is written back on the way.
    write_back(line, ready);
  }
  return grant;
}

Grant Uncore::from_below(const Request& r, u64 sharers, u64 ready) {
  const u64 line = r.line();
  if (l3_) {
    const u64 index = l3_->find(line);
    if (index != Cache::npos) return hit_l3(r, index, sharers, ready);
    ++r.counters->l3.misses[static_cast<unsigned>(r.counted())];
  }
  if (sharers != 0 && costs_.forward_shared) {
    ++r.counters->transfers_clean;
    return {{ready + costs_.transfer_clean, Level::Remote}, LineState::Exclusive};
  }
  ++r.counters->dram_reads;
  if (!l3_) return {{dram_.read(line, ready), Level::Dram}, LineState::Exclusive};
  unsigned slot = 0;
  const u64 start = l3_->acquire_mshr(ready, slot);
  Grant grant{{dram_.read(line, start), Level::Dram}, LineState::Exclusive};
  l3_->mshrs().set(slot, {line, start, grant.reply.complete, Level::Dram});
  if (l3_->inclusion() != Inclusion::Exclusive) put_into_l3(line, LineState::Exclusive, Cache::pending, start);
  grant.train_l3 = l3_->prefetcher().active();
  return grant;
}

Grant Uncore::hit_l3(const Request& r, u64 index, u64 sharers, u64 ready) {
  const u64 line = r.line();
  Grant grant{{ready, Level::L3}, LineState::Exclusive};
  l3_->touch(line, index);
  grant.train_l3 = settle(*l3_, line, index, grant.reply) && l3_->prefetcher().active();
  r.counters->l3.count(r.counted(), grant.reply.merged);
  if (l3_->inclusion() == Inclusion::Exclusive && (sharers == 0 || wants_ownership(r.kind))) {
    grant.state = l3_->state(index);
    l3_->invalidate_at(index);
  }
  return grant;
}

void Uncore::prefetch(const Request& r) {
  const u64 cycle = r.cycle + l3_->latency();
  Prefetcher::Wishes wishes;
  l3_->prefetcher().train(r.ip, r.address, wishes);
  for (unsigned i = 0; i < wishes.count; ++i) {
    const u64 line = wishes.lines[i];
    if (l3_->holds(line)) continue;
    // What a cluster holds need not come twice; without a directory there is one cluster to ask.
    if (directory_ ? holders(line) != 0 : clusters_[0]->holds(line)) continue;
    unsigned slot = 0;
    if (!l3_->mshrs().try_acquire(cycle, slot)) {
      ++l3_->counters().prefetches_dropped;
      continue;
    }
    ++l3_->counters().prefetches;
    ++r.counters->dram_reads;
    l3_->mshrs().set(slot, {line, cycle, dram_.read(line, cycle), Level::Dram});
    put_into_l3(line, LineState::Exclusive, Cache::pending | Cache::prefetched, cycle);
  }
}

void Uncore::put_into_l3(u64 line, LineState state, u64 flags, u64 cycle) {
  const Cache::Victim victim = l3_->fill(line, state, flags);
  if (victim.state == LineState::Invalid) return;
  bool dirty = victim.state == LineState::Modified;
  if (l3_->inclusion() == Inclusion::Inclusive) {
    for_each(holders(victim.line), [&](Cluster& cluster) {
      const Snooped lost = cluster.invalidate(victim.line, cycle);
      dirty = dirty || lost.dirty;
      if (lost.held) ++cluster.l2().counters().back_invalidations;
    });
    if (directory_) directory_->set(victim.line, {});
  }
  if (dirty) dram_.write(victim.line, cycle);
}

void Uncore::write_back(u64 line, u64 cycle) {
  if (!l3_) {
    dram_.write(line, cycle);
    return;
  }
  l3_->reserve_port(cycle);
  const u64 index = l3_->find(line);
  if (index == Cache::npos) {
    put_into_l3(line, LineState::Modified, 0, cycle);
  } else {
    l3_->set_state(index, LineState::Modified);
  }
}

void Uncore::evict(unsigned cluster, u64 line, bool dirty, bool kept, u64 cycle) {
  if (!kept) gone(cluster, line);
  if (dirty) {
    write_back(line, cycle);
  } else if (l3_ && l3_->inclusion() == Inclusion::Exclusive && !kept && !l3_->holds(line)) {
    l3_->reserve_port(cycle);
    put_into_l3(line, LineState::Exclusive, 0, cycle);
  }
}

void Uncore::gone(unsigned cluster, u64 line) {
  if (directory_) directory_->remove(line, cluster);
}

u64 Uncore::upgrade(unsigned cluster, u64 line, CoreCounters& counters, u64 cycle) {
  ++counters.upgrades;
  if (!directory_) return cycle + costs_.upgrade;
  const bool others = (directory_->find(line).clusters & ~bit(cluster)) != 0;
  if (others) invalidate_elsewhere(cluster, line, counters, cycle);
  directory_->set(line, {bit(cluster), true});
  return cycle + costs_.upgrade + (others ? costs_.invalidation : 0);
}

bool Uncore::owns(unsigned cluster, u64 line) const {
  if (!directory_) return true;
  const Directory::Entry entry = directory_->find(line);
  return entry.owned && entry.clusters == bit(cluster);
}

void Uncore::invalidate_elsewhere(unsigned cluster, u64 line, CoreCounters& counters, u64 cycle) {
  if (!directory_) return;
  Directory::Entry entry = directory_->find(line);
  for_each(entry.clusters & ~bit(cluster), [&](Cluster& other) {
    if (other.invalidate(line, cycle).held) ++counters.invalidations;
  });
  entry.clusters &= bit(cluster);
  directory_->set(line, entry);
}

void Uncore::reset() {
  if (l3_) l3_->reset();
  if (directory_) directory_->reset();
  dram_.reset();
}

void Uncore::hash(StateHash& hash) const {
  // The directory follows from the caches.
  if (l3_) l3_->hash(hash);
  dram_.hash(hash);
}

}  // namespace bunshin
