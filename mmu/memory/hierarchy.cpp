#include "mmu/memory/hierarchy.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace bunshin {

namespace {

const MemoryHierarchyParameters& checked(const MemoryHierarchyParameters& parameters, u64 cores) {
  if (const auto problem = parameters.problem(cores)) throw std::runtime_error(problem->key + ": " + problem->what);
  return parameters;
}

unsigned cluster_count(const MemoryHierarchyParameters& p, unsigned cores) {
  return static_cast<unsigned>((cores + p.l2.shared_by - 1) / p.l2.shared_by);
}

u64 lines_of_cluster(const MemoryHierarchyParameters& p) {
  return (p.l2.size + p.l2.shared_by * (p.l1d.size + p.l1i.size)) / line_bytes;
}

}  // namespace

MemoryHierarchy::MemoryHierarchy(const MemoryHierarchyParameters& parameters, unsigned cores, u64 frequency, u64 seed)
    : walks_in_l1_(checked(parameters, cores).walker_entry == "l1d"),
      core_count_(cores),
      cores_per_cluster_(static_cast<unsigned>(parameters.l2.shared_by)),
      uncached_latency_(cycles_of_ps(parameters.uncached, frequency)),
      uncore_(parameters, cluster_count(parameters, cores), lines_of_cluster(parameters), frequency, seed) {
  cores_.reserve(cores + 1);
  // Every cache draws its own random numbers.
  for (unsigned core = 0; core <= cores; ++core) {
    cores_.push_back({Cache(parameters.l1d, seed + 3 * core + 1), Cache(parameters.l1i, seed + 3 * core + 2),
                      CoreCounters(), CombiningBuffers(parameters.combining_buffers)});
  }
  for (unsigned id = 0; id < cluster_count(parameters, cores); ++id) {
    clusters_.push_back(std::make_unique<Cluster>(id, parameters, seed + 3 * id + 3, uncore_));
    const unsigned first = id * cores_per_cluster_;
    const unsigned count = std::min(cores_per_cluster_, cores - first);
    clusters_.back()->attach(std::span(cores_).subspan(first, count));
    uncore_.attach(*clusters_.back());
  }
}

Reply MemoryHierarchy::access_slowly(unsigned core, RequestKind kind, HostPhysical address, u64 cycle, u64 ip,
                                     MemoryType type) {
  if (kind == RequestKind::DmaRead) return uncore_.dma_read(line_of(address.value), cores_.back().counters, cycle);
  if (kind == RequestKind::DmaWrite) return uncore_.dma_write(line_of(address.value), cores_.back().counters, cycle);
  CoreCaches& caches = cores_[core];
  const Request request{address.value, cycle, ip, kind, &caches.counters};
  const bool writes = modifies(kind) || kind == RequestKind::NonTemporalStore;
  switch (type) {
    case MemoryType::Uncacheable:
    case MemoryType::UncachedMinus: return uncached(caches, request);
    case MemoryType::WriteCombining: return writes ? combine(caches, request) : uncached(caches, request);
    case MemoryType::WriteThrough:
    case MemoryType::WriteProtected:
      if (writes) return write_past(core, request, type);
      break;
    case MemoryType::WriteBack: break;
  }
  if (kind == RequestKind::NonTemporalStore) return combine(caches, request);
  const Reply reply = cached(core, request);
  if (request.counted() != AccessClass::Prefetch) {
    ++caches.counters.latency[CoreCounters::bucket(reply.complete - cycle)];
    if (reply.level == Level::L1) {
      ++(kind == RequestKind::Fetch ? caches.counters.counted_hits_l1i : caches.counters.counted_hits_l1d);
    }
  }
  return reply;
}

Reply MemoryHierarchy::cached(unsigned core, const Request& request) {
  CoreCaches& caches = cores_[core];
  if (request.kind == RequestKind::Fetch) return cluster(core).access(caches.l1i, caches.counters.l1i, request);
  if (request.kind == RequestKind::Walk && !walks_in_l1_) return cluster(core).access_l2(request, 0);
  if (request.kind == RequestKind::PrefetchT1 && !caches.l1d.holds(request.line())) {
    return cluster(core).access_l2(request, caches.l1d.latency());
  }
  return cluster(core).access(caches.l1d, caches.counters.l1d, request);
}

Reply MemoryHierarchy::uncached(CoreCaches& caches, const Request& request) {
  ++caches.counters.uncached;
  return {request.cycle + uncached_latency_, Level::Uncached};
}

/// SDM vol. 3, 11.3: a store to write-through memory updates the caches that have the line, one to write-protected
/// memory invalidates it everywhere; both go to memory.
Reply MemoryHierarchy::write_past(unsigned core, const Request& request, MemoryType type) {
  CoreCaches& caches = cores_[core];
  ++caches.counters.uncached;
  if (type == MemoryType::WriteThrough) {
    uncore_.invalidate_elsewhere(core / cores_per_cluster_, request.line(), caches.counters, request.cycle);
  } else {
    uncore_.flush(request.line(), request.cycle, false);
  }
  const u64 accepted = uncore_.write_past(request.line(), request.cycle);
  return {std::max(accepted, request.cycle + caches.l1d.latency()), Level::Uncached};
}

Reply MemoryHierarchy::combine(CoreCaches& caches, const Request& request) {
  ++caches.counters.combined;
  Reply reply{request.cycle + caches.l1d.latency(), Level::Uncached};
  const u64 line = request.line();
  if (caches.combining.holds(line)) return reply;
  // A non-temporal store to cached memory evicts the line (SDM vol. 1, 10.4.6.2).
  uncore_.flush(line, request.cycle, false);
  const u64 leaving = caches.combining.begin(line);
  if (leaving != CombiningBuffers::none) {
    ++caches.counters.combining_flushes;
    reply.complete = std::max(reply.complete, uncore_.write_past(leaving, request.cycle));
  }
  return reply;
}

u64 MemoryHierarchy::drain(unsigned core, u64 cycle) {
  CoreCaches& caches = cores_[core];
  u64 complete = cycle;
  for (u64 line = caches.combining.take(); line != CombiningBuffers::none; line = caches.combining.take()) {
    ++caches.counters.combining_flushes;
    complete = std::max(complete, uncore_.write_past(line, cycle));
  }
  return complete;
}

u64 MemoryHierarchy::dma(bool write, HostPhysical address, u64 bytes, u64 cycle) {
  u64 complete = cycle;
  if (bytes == 0) return complete;
  const RequestKind kind = write ? RequestKind::DmaWrite : RequestKind::DmaRead;
  const u64 lines = (address.value + bytes - 1 - line_of(address.value)) / line_bytes + 1;
  for (u64 i = 0; i < lines; ++i) {
    complete = std::max(complete, access_slowly(0, kind, address + i * line_bytes, cycle, 0, {}).complete);
  }
  return complete;
}

Reply MemoryHierarchy::flush_line(unsigned core, HostPhysical address, u64 cycle, bool keep) {
  ++cores_[core].counters.flushes;
  const u64 complete = uncore_.flush(line_of(address.value), cycle, keep);
  return {complete, uncore_.l3() != nullptr ? Level::L3 : Level::L2};
}

u64 MemoryHierarchy::write_back_and_invalidate(unsigned core, u64 cycle) {
  return uncore_.empty(core / cores_per_cluster_, drain(core, cycle), false);
}

u64 MemoryHierarchy::invalidate(unsigned core, u64 cycle) {
  return uncore_.empty(core / cores_per_cluster_, cycle, true);
}

void MemoryHierarchy::reset() {
  for (CoreCaches& core : cores_) {
    core.l1d.reset();
    core.l1i.reset();
    core.combining.reset();
  }
  for (const auto& cluster : clusters_) cluster->l2().reset();
  uncore_.reset();
}

void MemoryHierarchy::hash(StateHash& hash) const {
  for (const CoreCaches& core : cores_) {
    core.l1d.hash(hash);
    core.l1i.hash(hash);
    core.combining.hash(hash);
  }
  for (const auto& cluster : clusters_) cluster->l2().hash(hash);
  uncore_.hash(hash);
}

}  // namespace bunshin
