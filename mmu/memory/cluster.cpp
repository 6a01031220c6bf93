#include "mmu/memory/cluster.h"

#include <algorithm>

#include "mmu/memory/uncore.h"

namespace bunshin {

namespace {

/// What a first-level cache gets of a line that the cluster has in state `state`.
LineState first_level_state(RequestKind kind, LineState state, bool others_keep_it) {
  if (modifies(kind)) return LineState::Modified;
  if (wants_ownership(kind)) return LineState::Exclusive;
  const bool shared = fetches(kind) || others_keep_it || state == LineState::Shared;
  return shared ? LineState::Shared : LineState::Exclusive;
}

}  // namespace

bool settle(Cache& cache, u64 line, u64 index, Reply& reply) {
  const u64 flags = cache.flags(index);
  if (flags == 0) return false;
  if ((flags & Cache::pending) != 0) {
    const u64 arrival = cache.mshrs().arrival(line, reply.complete, reply.level);
    reply.merged = reply.merged || arrival > reply.complete;
    reply.complete = arrival;
  }
  cache.clear_flags(index, reply.merged ? Cache::prefetched | Cache::untouched : Cache::flag_bits);
  if ((flags & Cache::prefetched) == 0) return false;
  ++(reply.merged ? cache.counters().prefetches_late : cache.counters().prefetches_useful);
  return true;
}

Cluster::Cluster(unsigned id, const MemoryHierarchyParameters& p, u64 seed, Uncore& uncore)
    : id_(id), uncore_(uncore), l2_(p.l2, seed) {}

Reply Cluster::access(Cache& l1, LevelCounters& counters, const Request& request) {
  const u64 index = l1.find(request.line());
  return index == Cache::npos ? miss(l1, counters, request) : hit(l1, counters, request, index);
}

Reply Cluster::hit(Cache& l1, LevelCounters& counters, const Request& request, u64 index) {
  const u64 line = request.line();
  Reply reply{request.cycle + l1.latency(), Level::L1};
  l1.touch(line, index);
  const bool first_use = settle(l1, line, index, reply);
  if (wants_ownership(request.kind)) {
    if (l1.state(index) == LineState::Shared) {
      reply.complete = std::max(reply.complete, upgrade(l1, request));
      reply.upgraded = true;
      l1.set_state(index, LineState::Exclusive);
    }
    if (modifies(request.kind)) l1.set_state(index, LineState::Modified);
  }
  counters.count(request.counted(), reply.merged);
  if (first_use) prefetch_into_l1(l1, request);
  return reply;
}

Reply Cluster::miss(Cache& l1, LevelCounters& counters, const Request& request) {
  ++counters.misses[static_cast<unsigned>(request.counted())];
  unsigned slot = 0;
  Request below = request;
  below.cycle = l1.acquire_mshr(request.cycle, slot);
  const Grant grant = ask_l2(&l1, below, l1.latency());
  const Cache::Victim victim = l1.fill(request.line(), grant.state, Cache::pending);
  l1.mshrs().set(slot, {request.line(), below.cycle, grant.reply.complete, grant.reply.level});
  evict_l1(victim, below.cycle);
  prefetch_into_l1(l1, below);
  prefetch_below(grant, below);
  return grant.reply;
}

Reply Cluster::access_l2(const Request& request, u64 passed) {
  const Grant grant = ask_l2(nullptr, request, passed);
  prefetch_below(grant, request);
  return grant.reply;
}

void Cluster::prefetch_below(const Grant& grant, const Request& request) {
  if (grant.train_l2) prefetch_into_l2(request);
  if (grant.train_l3) uncore_.prefetch(request);
}

void Cluster::prefetch_into_l1(Cache& l1, const Request& request) {
  if (!l1.prefetcher().active()) return;
  Prefetcher::Wishes wishes;
  l1.prefetcher().train(request.ip, request.address, wishes);
  for (unsigned i = 0; i < wishes.count; ++i) {
    const u64 line = wishes.lines[i];
    if (l1.holds(line)) continue;
    unsigned slot = 0;
    if (!l1.mshrs().try_acquire(request.cycle, slot)) {
      ++l1.counters().prefetches_dropped;
      continue;
    }
    ++l1.counters().prefetches;
    const RequestKind kind =
        fetches(request.kind) ? RequestKind::HardwarePrefetchL1I : RequestKind::HardwarePrefetchL1D;
    const Request wish{line, request.cycle, request.ip, kind, request.counters};
    const Grant grant = ask_l2(&l1, wish, l1.latency());
    const Cache::Victim victim = l1.fill(line, grant.state, Cache::pending | Cache::prefetched);
    l1.mshrs().set(slot, {line, request.cycle, grant.reply.complete, grant.reply.level});
    evict_l1(victim, request.cycle);
    prefetch_below(grant, wish);
  }
}

Grant Cluster::ask_l2(const Cache* l1, const Request& request, u64 passed) {
  const u64 begin = l2_.reserve_port(request.cycle + passed);
  u64 ready = begin + l2_.latency() - passed;
  const u64 line = request.line();
  const FirstLevels first = snoop_first_levels(l1, line, wants_ownership(request.kind), ready);
  if (first.dirty) ready = first.arrival + cores_[0].l1d.latency();
  const u64 index = l2_.find(line);
  return index == Cache::npos ? miss_l2(l1, request, first, ready) : hit_l2(l1, request, index, first, ready);
}

Grant Cluster::hit_l2(const Cache* l1, const Request& request, u64 index, const FirstLevels& first, u64 ready) {
  const u64 line = request.line();
  Grant grant{{ready, Level::L2}, LineState::Shared};
  grant.reply.dirty = first.dirty;
  l2_.touch(line, index);
  grant.train_l2 = settle(l2_, line, index, grant.reply) && l2_.prefetcher().active();
  request.counters->l2.count(request.counted(), grant.reply.merged);
  LineState state = first.dirty ? LineState::Modified : l2_.state(index);
  if (wants_ownership(request.kind) && state == LineState::Shared) {
    if (!uncore_.owns(id_, line)) {
      grant.reply.complete =
          std::max(grant.reply.complete, uncore_.upgrade(id_, line, *request.counters, request.cycle));
      grant.reply.upgraded = true;
    }
    state = LineState::Exclusive;
  }
  grant.state = first_level_state(request.kind, state, first.held);
  l2_.set_state(index, state);
  if (l1 != nullptr && l2_.inclusion() == Inclusion::Exclusive && grant.state != LineState::Shared) {
    // The line moves up, and that it is dirty with it.
    if (state == LineState::Modified) grant.state = LineState::Modified;
    l2_.invalidate(line);
  }
  if (l1 == nullptr && modifies(request.kind)) l2_.set_state(index, LineState::Modified);
  return grant;
}

Grant Cluster::miss_l2(const Cache* l1, const Request& request, const FirstLevels& first, u64 ready) {
  const u64 line = request.line();
  ++request.counters->l2.misses[static_cast<unsigned>(request.counted())];
  unsigned slot = 0;
  const u64 start = l2_.acquire_mshr(ready, slot);
  Grant grant = first.held ? from_first_level(request, first, start) : uncore_.request(id_, request, start);
  const LineState state = grant.state;
  grant.state = first_level_state(request.kind, state, first.held);
  const bool passes_by = l1 != nullptr &&
                         (l2_.inclusion() == Inclusion::Exclusive ||
                          (l2_.inclusion() == Inclusion::NonInclusive && request.kind == RequestKind::PrefetchNta)) &&
                         !(state == LineState::Modified && grant.state == LineState::Shared);
  l2_.mshrs().set(slot, {line, start, grant.reply.complete, grant.reply.level});
  if (!passes_by) {
    const bool written_here = l1 == nullptr && modifies(request.kind);
    fill_l2(line, written_here ? LineState::Modified : state, Cache::pending, start);
  } else if (state == LineState::Modified) {
    grant.state = LineState::Modified;
  }
  grant.train_l2 = l2_.prefetcher().active();
  return grant;
}

Grant Cluster::from_first_level(const Request& request, const FirstLevels& first, u64 ready) {
  Grant grant{{ready, Level::L2}, LineState::Shared};
  grant.reply.dirty = first.dirty;
  bool owner = first.owned || uncore_.owns(id_, request.line());
  if (wants_ownership(request.kind) && !owner) {
    grant.reply.complete = std::max(ready, uncore_.upgrade(id_, request.line(), *request.counters, request.cycle));
    grant.reply.upgraded = owner = true;
  }
  grant.state = first.dirty ? LineState::Modified : owner ? LineState::Exclusive : LineState::Shared;
  return grant;
}

u64 Cluster::upgrade(const Cache& l1, const Request& request) {
  const u64 line = request.line();
  snoop_first_levels(&l1, line, true, request.cycle);
  const u64 index = l2_.find(line);
  const bool l2_owns = index != Cache::npos && l2_.state(index) != LineState::Shared;
  if (l2_owns || uncore_.owns(id_, line)) {
    ++request.counters->upgrades;
    return request.cycle + l2_.latency();
  }
  if (index != Cache::npos) l2_.set_state(index, LineState::Exclusive);
  return uncore_.upgrade(id_, line, *request.counters, request.cycle);
}

void Cluster::prefetch_into_l2(const Request& request) {
  const u64 cycle = request.cycle + l2_.latency();
  Prefetcher::Wishes wishes;
  l2_.prefetcher().train(request.ip, request.address, wishes);
  for (unsigned i = 0; i < wishes.count; ++i) {
    const u64 line = wishes.lines[i];
    if (holds(line)) continue;
    unsigned slot = 0;
    if (!l2_.mshrs().try_acquire(cycle, slot)) {
      ++l2_.counters().prefetches_dropped;
      continue;
    }
    ++l2_.counters().prefetches;
    const Request wish{line, request.cycle, request.ip, RequestKind::HardwarePrefetchL2, request.counters};
    const Grant grant = uncore_.request(id_, wish, cycle);
    l2_.mshrs().set(slot, {line, cycle, grant.reply.complete, grant.reply.level});
    fill_l2(line, grant.state, Cache::pending | Cache::prefetched, cycle);
    if (grant.train_l3) uncore_.prefetch(wish);
  }
}

void Cluster::fill_l2(u64 line, LineState state, u64 flags, u64 cycle) {
  const Cache::Victim victim = l2_.fill(line, state, flags);
  if (victim.state == LineState::Invalid) return;
  bool dirty = victim.state == LineState::Modified;
  bool kept = false;
  for (CoreCaches& core : cores_) {
    for (Cache* l1 : {&core.l1d, &core.l1i}) {
      if (l2_.inclusion() != Inclusion::Inclusive) {
        kept = kept || l1->holds(victim.line);
        continue;
      }
      const LineState lost = l1->invalidate(victim.line);
      if (lost != LineState::Invalid) ++l1->counters().back_invalidations;
      dirty = dirty || lost == LineState::Modified;
    }
  }
  uncore_.evict(id_, victim.line, dirty, kept, cycle);
}

void Cluster::evict_l1(const Cache::Victim& victim, u64 cycle) {
  if (victim.state == LineState::Invalid) return;
  const bool dirty = victim.state == LineState::Modified;
  if (!dirty && (l2_.inclusion() == Inclusion::Inclusive ||
                 (l2_.inclusion() == Inclusion::NonInclusive && !uncore_.keeps_directory()))) {
    return;
  }
  const u64 index = l2_.find(victim.line);
  if (dirty) {
    l2_.reserve_port(cycle);
    if (index == Cache::npos) {
      fill_l2(victim.line, LineState::Modified, 0, cycle);
    } else {
      l2_.set_state(index, LineState::Modified);
    }
  } else if (index == Cache::npos && !first_level_holds(victim.line)) {
    if (l2_.inclusion() == Inclusion::Exclusive) {
      l2_.reserve_port(cycle);
      fill_l2(victim.line, victim.state, 0, cycle);
    } else {
      uncore_.gone(id_, victim.line);
    }
  }
}

bool Cluster::first_level_holds(u64 line) const {
  return std::ranges::any_of(cores_, [line](const CoreCaches& c) { return c.l1d.holds(line) || c.l1i.holds(line); });
}

Cluster::FirstLevels Cluster::snoop_first_levels(const Cache* but, u64 line, bool invalidate, u64 cycle) {
  FirstLevels found{.arrival = cycle};
  for (CoreCaches& core : cores_) {
    for (Cache* l1 : {&core.l1d, &core.l1i}) {
      if (l1 == but) continue;
      const u64 index = l1->find(line);
      if (index == Cache::npos) continue;
      const LineState state = l1->state(index);
      found.held = true;
      found.owned = found.owned || state != LineState::Shared;
      if (state == LineState::Modified) {
        found.dirty = true;
        found.arrival = std::max(found.arrival, l1->arrival(line, index, cycle));
      }
      if (invalidate) {
        l1->invalidate_at(index);
      } else {
        l1->set_state(index, LineState::Shared);
      }
    }
  }
  if (invalidate && found.dirty) {
    // Nobody but the requester has the data now; where the L2 has the line it takes it.
    const u64 index = l2_.find(line);
    if (index != Cache::npos) l2_.set_state(index, LineState::Modified);
  }
  return found;
}

}  // namespace bunshin
