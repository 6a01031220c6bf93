#include <array>
#include <string>
#include <utility>

#include "mmu/memory/hierarchy.h"

namespace bunshin {

namespace {

constexpr std::array at_l1i{AccessClass::Fetch, AccessClass::Prefetch};
constexpr std::array at_l1d{AccessClass::Load, AccessClass::Store, AccessClass::Walk, AccessClass::Prefetch};
constexpr std::array at_l2{AccessClass::Load, AccessClass::Store, AccessClass::Fetch, AccessClass::Walk,
                           AccessClass::Prefetch};
constexpr std::array at_dma{AccessClass::Dma};
constexpr std::array demand{AccessClass::Load, AccessClass::Store, AccessClass::Fetch, AccessClass::Walk};

template <std::size_t N>
void register_level(StatRegistry& registry, const std::string& prefix, const LevelCounters& counters,
                    const std::array<AccessClass, N>& classes, bool own_hits = true) {
  const auto add = [&](const std::string& name, const std::array<u64, access_classes>& counts,
                       const std::string& text) {
    for (const AccessClass c : classes) {
      const std::string by(access_class_names[static_cast<unsigned>(c)]);
      registry.add(prefix + name + by, counts[static_cast<unsigned>(c)], "accesses", text + by);
    }
  };
  if (own_hits) add(".hits.", counters.hits, "hits by ");
  add(".misses.", counters.misses, "misses by ");
  add(".merges.", counters.merges, "accesses to a line still on its way, by ");
}

void register_cache(StatRegistry& registry, const std::string& prefix, const Cache& cache) {
  const CacheCounters& c = cache.counters();
  const auto add = [&](const char* name, const u64& counter, const char* unit, const char* text) {
    registry.add(prefix + "." + name, counter, unit, text);
  };
  add("evictions", c.evictions, "lines", "lines that had to make room");
  add("write_backs", c.write_backs, "lines", "modified lines among them");
  add("back_invalidations", c.back_invalidations, "lines", "lines lost with an inclusive cache below");
  add("mshr_full_cycles", c.mshr_full_cycles, "cycles", "misses waited for a free register");
  add("port_wait_cycles", c.port_wait_cycles, "cycles", "waited for the port");
  add("prefetches", c.prefetches, "lines", "requested by this cache's prefetcher");
  add("prefetches_dropped", c.prefetches_dropped, "lines", "not requested: no register was free");
  add("prefetches_useful", c.prefetches_useful, "lines", "used after they had arrived");
  add("prefetches_late", c.prefetches_late, "lines", "used while still on their way");
  add("prefetches_useless", c.prefetches_useless, "lines", "gone without a use");
}

void register_dram(StatRegistry& registry, const std::string& prefix, const DramCounters& c) {
  const auto add = [&](const char* name, const u64& counter, const char* unit, const char* text) {
    registry.add(prefix + "." + name, counter, unit, text);
  };
  add("reads", c.reads, "lines", "lines read");
  add("writes", c.writes, "lines", "lines written");
  add("row_hits", c.row_hits, "reads", "reads of an open row");
  add("row_misses", c.row_misses, "reads", "reads where no row was open");
  add("row_conflicts", c.row_conflicts, "reads", "reads where another row was open");
  add("bank_wait_cycles", c.bank_wait_cycles, "cycles", "reads waited for a busy bank");
  add("bus_wait_cycles", c.bus_wait_cycles, "cycles", "reads waited for the data bus");
  add("refresh_wait_cycles", c.refresh_wait_cycles, "cycles", "reads waited for a refresh");
}

}  // namespace

u64 MemoryHierarchy::l1d_hits(unsigned core, AccessClass c) const {
  const u64 hits = cores_[core].counters.l1d.hits[static_cast<unsigned>(c)];
  const LineFilter* filter = cores_[core].l1d.line_filter();
  if (filter == nullptr) return hits;
  return hits + (c == AccessClass::Load ? filter->loads() : c == AccessClass::Store ? filter->stores() : 0);
}

u64 MemoryHierarchy::latency_count(unsigned core, unsigned bucket) const {
  const CoreCaches& caches = cores_[core];
  const CoreCounters& c = caches.counters;
  u64 plain_l1i = 0;
  u64 plain_l1d = 0;
  for (const AccessClass kind : demand) {
    plain_l1i += c.l1i.hits[static_cast<unsigned>(kind)];
    plain_l1d += l1d_hits(core, kind);
  }
  u64 count = c.latency[bucket];
  if (bucket == CoreCounters::bucket(caches.l1i.latency())) count += plain_l1i - c.counted_hits_l1i;
  if (bucket == CoreCounters::bucket(caches.l1d.latency())) count += plain_l1d - c.counted_hits_l1d;
  return count;
}

void MemoryHierarchy::register_core(StatRegistry& registry, const std::string& prefix, unsigned core) const {
  const CoreCounters& c = cores_[core].counters;
  const auto add = [&](const char* name, const u64& counter, const char* unit, const char* text) {
    registry.add(prefix + "." + name, counter, unit, text);
  };
  register_level(registry, prefix + ".l1i", c.l1i, at_l1i);
  register_level(registry, prefix + ".l1d", c.l1d, at_l1d, false);
  for (const AccessClass kind : at_l1d) {
    const std::string by(access_class_names[static_cast<unsigned>(kind)]);
    registry.add(
        prefix + ".l1d.hits." + by,
        [this, core, kind]() -> std::variant<u64, double, std::string> { return l1d_hits(core, kind); }, "accesses",
        "hits by " + by);
  }
  register_level(registry, prefix + ".l2", c.l2, at_l2);
  register_cache(registry, prefix + ".l1i", cores_[core].l1i);
  register_cache(registry, prefix + ".l1d", cores_[core].l1d);
  if (uncore_.l3() != nullptr) register_level(registry, prefix + ".l3", c.l3, at_l2);
  add("dram_reads", c.dram_reads, "lines", "lines that memory supplied");
  add("upgrades", c.upgrades, "stores", "stores to a shared line");
  add("invalidations", c.invalidations, "lines", "copies elsewhere that went for a store");
  add("transfers_clean", c.transfers_clean, "lines", "clean lines from another cluster");
  add("transfers_dirty", c.transfers_dirty, "lines", "modified lines from another cluster");
  add("uncached", c.uncached, "accesses", "accesses past the caches");
  add("combined", c.combined, "stores", "write-combining and non-temporal stores");
  add("combining_flushes", c.combining_flushes, "lines", "lines from write-combining buffers to memory");
  add("flushes", c.flushes, "instructions", "CLFLUSH, CLFLUSHOPT, CLWB");
  for (unsigned i = 0; i < CoreCounters::buckets; ++i) {
    std::string name = prefix + ".latency.";
    if (i < 10) name += '0';
    name += std::to_string(i);
    registry.add(
        name, [this, core, i]() -> std::variant<u64, double, std::string> { return latency_count(core, i); },
        "accesses", "demand accesses of 2^" + std::to_string(i) + " cycles and more, up to the next bucket");
  }
}

void MemoryHierarchy::register_statistics(StatRegistry& registry, std::string_view prefix) const {
  const std::string base = std::string(prefix) + ".";
  for (unsigned core = 0; core < core_count_; ++core)
    register_core(registry, base + "core" + std::to_string(core), core);
  for (std::size_t i = 0; i < clusters_.size(); ++i) {
    register_cache(registry, base + "l2_" + std::to_string(i), clusters_[i]->l2());
  }
  const CoreCounters& devices = cores_.back().counters;
  if (uncore_.l3() != nullptr) {
    register_cache(registry, base + "l3", *uncore_.l3());
    register_level(registry, base + "devices.l3", devices.l3, at_dma);
  }
  registry.add(base + "devices.dram_reads", devices.dram_reads, "lines", "lines that memory supplied");
  registry.add(base + "devices.transfers_dirty", devices.transfers_dirty, "lines", "lines from a core's cache");
  registry.add(base + "devices.invalidations", devices.invalidations, "lines", "copies that went for a device's write");
  register_dram(registry, base + "dram", uncore_.dram().counters());
}

}  // namespace bunshin
