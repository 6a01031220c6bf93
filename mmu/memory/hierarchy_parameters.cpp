#include "mmu/memory/hierarchy_parameters.h"

#include <algorithm>
#include <array>
#include <bit>
#include <span>
#include <tuple>

#include "mmu/memory/replacement.h"
#include "mmu/memory/request_kind.h"

namespace bunshin {

namespace {

constexpr std::array<std::string_view, 4> prefetchers{"none", "next-line", "stride", "streamer"};
constexpr std::array<std::string_view, 3> inclusions{"inclusive", "exclusive", "non-inclusive"};
constexpr std::array<std::string_view, 2> walker_entries{"l1d", "l2"};
constexpr u64 max_latency = 100'000;
constexpr u64 max_ps = 1'000'000'000;

constexpr std::string_view replacement_text = "Which line of a set has to go; random is seeded and repeats.";
constexpr std::string_view ways_text = "Associativity; size / 64 / ways must be a power of two.";
constexpr std::string_view latency_text = "Load-to-use latency of a hit here, levels above included.";
constexpr std::string_view mshr_text = "Misses that may be outstanding; one more waits.";

std::optional<ParameterProblem> bad(std::string key, std::string what) {
  return ParameterProblem{std::move(key), std::move(what)};
}

bool one_of(std::span<const std::string_view> allowed, const std::string& value) {
  return std::ranges::find(allowed, value) != allowed.end();
}

/// Of two parameters that do not go together, the one to point at: where only one is not the default, that one.
std::string blame(const std::string& first, bool first_is_default, const std::string& second, bool second_is_default) {
  return first_is_default && !second_is_default ? second : first;
}

/// The checks repeat the ranges: parameters may come from code, not only through a reader. `usual` has the defaults.
template <class Level>
std::optional<ParameterProblem> cache_problem(const std::string& name, const Level& p, const Level& usual) {
  const auto text = [](u64 n) { return std::to_string(n); };
  if (p.ways == 0 || p.ways > max_ways) return bad(name + ".ways", text(p.ways) + " ways: 1 to 64 are possible");
  const std::string geometry = blame(name + ".size", p.size == usual.size, name + ".ways", p.ways == usual.ways);
  if (p.size == 0 || p.size > u64{1} << 32 || p.size % (line_bytes * p.ways) != 0) {
    return bad(geometry, text(p.size) + " bytes do not divide into " + text(p.ways) +
                             " ways of 64-byte lines: change 'size' or 'ways'");
  }
  const u64 sets = p.size / line_bytes / p.ways;
  if (!std::has_single_bit(sets)) {
    return bad(geometry, text(p.size) + " bytes in " + text(p.ways) + " ways make " + text(sets) +
                             " sets, which is not a power of two: change 'size' or 'ways'");
  }
  if (p.latency == 0 || p.latency > max_latency) return bad(name + ".latency", "must be 1 to 100000 cycles");
  if (p.mshrs == 0 || p.mshrs > max_mshrs) return bad(name + ".mshrs", text(p.mshrs) + " of them: 1 to 64 work");
  if (!one_of(replacement_names, p.replacement)) {
    return bad(name + ".replacement", "'" + p.replacement + "' is no replacement policy");
  }
  if (p.replacement == "tree-plru" && !std::has_single_bit(p.ways)) {
    const bool usual_policy = p.replacement == usual.replacement;
    return bad(blame(name + ".replacement", usual_policy, name + ".ways", p.ways == usual.ways),
               "tree-plru needs a power of two of ways, not " + text(p.ways));
  }
  if (!one_of(prefetchers, p.prefetcher.kind)) {
    return bad(name + ".prefetcher.kind", "'" + p.prefetcher.kind + "' is no prefetcher");
  }
  if (p.prefetcher.degree == 0 || p.prefetcher.degree > max_prefetch_degree) {
    return bad(name + ".prefetcher.degree", "must be 1 to 8 lines");
  }
  if (p.prefetcher.distance == 0 || p.prefetcher.distance > 63) {
    return bad(name + ".prefetcher.distance", "must be 1 to 63");
  }
  return std::nullopt;
}

std::optional<ParameterProblem> lower_problem(const std::string& name, const LowerCacheParameters& p,
                                              const LowerCacheParameters& usual) {
  if (!one_of(inclusions, p.inclusion)) return bad(name + ".inclusion", "'" + p.inclusion + "' is no inclusion policy");
  if (p.line_cycles > max_latency) return bad(name + ".line_cycles", "must be 0 to 100000 cycles");
  return cache_problem(name, p, usual);
}

/// Latencies include those of the levels above.
std::optional<ParameterProblem> order_problem(const std::string& above, u64 latency_above, bool above_is_default,
                                              const std::string& below, u64 latency_below, bool below_is_default) {
  if (latency_below >= latency_above) return std::nullopt;
  return bad(blame(below, below_is_default, above, above_is_default),
             "latencies are load-to-use: " + below + " (" + std::to_string(latency_below) + ") cannot be below " +
                 above + " (" + std::to_string(latency_above) + ")");
}

std::optional<ParameterProblem> dram_problem(const DramParameters& p) {
  if (p.channels == 0 || p.channels > 16) return bad("dram.channels", "must be 1 to 16");
  if (!std::has_single_bit(p.ranks) || p.ranks > 16) return bad("dram.ranks", "must be a power of two up to 16");
  if (!std::has_single_bit(p.banks) || p.banks > 64) return bad("dram.banks", "must be a power of two up to 64");
  if (!std::has_single_bit(p.row_size) || p.row_size < line_bytes || p.row_size > 1 << 20) {
    return bad("dram.row_size", "must be a power of two from 64 bytes to 1MiB");
  }
  if (p.refresh_interval != 0 && p.refresh_time >= p.refresh_interval) {
    const DramParameters usual;
    return bad(blame("dram.refresh_time", p.refresh_time == usual.refresh_time, "dram.refresh_interval",
                     p.refresh_interval == usual.refresh_interval),
               "refresh_time must be shorter than refresh_interval, or memory never answers");
  }
  const std::array<std::pair<const char*, u64>, 8> times{{{"cas", p.cas},
                                                          {"rcd", p.rcd},
                                                          {"rp", p.rp},
                                                          {"ras", p.ras},
                                                          {"burst", p.burst},
                                                          {"controller", p.controller},
                                                          {"refresh_interval", p.refresh_interval},
                                                          {"refresh_time", p.refresh_time}}};
  for (const auto& [name, value] : times) {
    if (value > max_ps) return bad(std::string("dram.") + name, "must be 0 to 1000000000 ps");
  }
  return std::nullopt;
}

}  // namespace

void PrefetcherParameters::describe(ParameterVisitor& v) {
  v.choice(
      "kind", kind, prefetchers,
      "`next-line` on a miss; `stride` per instruction; `streamer` follows ascending or descending lines of a 4 KiB "
      "page. None crosses a 4 KiB page.");
  v.integer("degree", degree, {1, max_prefetch_degree}, "lines", "Requested at a time.");
  v.integer("distance", distance, {1, 63}, "", "How many strides (lines) ahead the first of them lies.");
}

void L1Parameters::describe(ParameterVisitor& v) {
  v.integer("size", size, {line_bytes, u64{1} << 32}, "bytes", "Capacity.");
  v.integer("ways", ways, {1, max_ways}, "", ways_text);
  v.integer("latency", latency, {1, max_latency}, "cycles", latency_text);
  v.choice("replacement", replacement, replacement_names, replacement_text);
  v.integer("mshrs", mshrs, {1, max_mshrs}, "", mshr_text);
  v.group("prefetcher", prefetcher, "Hardware prefetcher into this cache.");
}

void LowerCacheParameters::describe(ParameterVisitor& v) {
  v.integer("size", size, {0, u64{1} << 32}, "bytes", "Capacity; for the L3, 0 means that there is none.");
  v.integer("ways", ways, {1, max_ways}, "", ways_text);
  v.integer("latency", latency, {1, max_latency}, "cycles", latency_text);
  v.choice("replacement", replacement, replacement_names, replacement_text);
  v.integer("mshrs", mshrs, {1, max_mshrs}, "", mshr_text);
  v.choice("inclusion", inclusion, inclusions,
           "`inclusive`: holds all lines of the levels above, which lose a line with it; `exclusive`: filled by what "
           "they evict, a hit moves up; `non-inclusive`: filled by misses, promises nothing.");
  v.integer("line_cycles", line_cycles, {0, max_latency}, "cycles",
            "How long a line occupies the port; 0: not at all.");
  v.group("prefetcher", prefetcher, "Hardware prefetcher into this cache.");
}

void L2Parameters::describe(ParameterVisitor& v) {
  LowerCacheParameters::describe(v);
  v.integer("shared_by", shared_by, {1, 64}, "cores", "Cores that have one L2 between them.");
}

void CoherenceParameters::describe(ParameterVisitor& v) {
  v.integer("upgrade", upgrade, {0, max_latency}, "cycles",
            "From a store to a line of which other cores may have copies until it may write (MESI: S to M).");
  v.integer("invalidation", invalidation, {0, max_latency}, "cycles", "Added where copies have to be invalidated.");
  v.integer(
      "transfer_clean", transfer_clean, {0, max_latency}, "cycles",
      "A clean line from another core's cache: added to the latency of the last shared level (L3, or L2 without).");
  v.integer("transfer_dirty", transfer_dirty, {0, max_latency}, "cycles", "The same for a modified line.");
  v.boolean("forward_shared", forward_shared,
            "A shared line that is not in the L3 comes from another cache that has it (MESIF), not from memory.");
  v.boolean("ddio", ddio, "Devices write into the L3 rather than to memory; needs an L3.");
}

void DramParameters::describe(ParameterVisitor& v) {
  v.integer("channels", channels, {1, 16}, "", "Channels; consecutive lines alternate.");
  v.integer("ranks", ranks, {1, 16}, "", "Ranks of a channel, a power of two.");
  v.integer("banks", banks, {1, 64}, "", "Banks of a rank, a power of two.");
  v.integer("row_size", row_size, {line_bytes, 1 << 20}, "bytes",
            "Of a bank's row over the whole rank; a power of two.");
  v.boolean("open_page", open_page, "A row stays open after an access; otherwise it is precharged at once.");
  v.boolean("bank_hash", bank_hash, "The bank's number is exclusive-ored with the row's low bits.");
  v.integer("cas", cas, {0, max_ps}, "ps", "tCAS: column command to data.");
  v.integer("rcd", rcd, {0, max_ps}, "ps", "tRCD: activate to column command.");
  v.integer("rp", rp, {0, max_ps}, "ps", "tRP: precharge to activate.");
  v.integer("ras", ras, {0, max_ps}, "ps", "tRAS: activate to precharge.");
  v.integer("burst", burst, {0, max_ps}, "ps", "How long a line occupies the channel's data bus.");
  v.integer("controller", controller, {0, max_ps}, "ps", "Memory controller and way to it, both directions together.");
  v.integer("refresh_interval", refresh_interval, {0, max_ps}, "ps", "tREFI; 0 means that nothing is refreshed.");
  v.integer("refresh_time", refresh_time, {0, max_ps}, "ps", "tRFC: a refresh blocks all banks for so long.");
}

MemoryHierarchyParameters::MemoryHierarchyParameters() {
  l2.size = u64{1} << 20;
  l2.ways = 16;
  l2.latency = 14;
  l3.size = u64{8} << 20;
  l3.ways = 16;
  l3.latency = 44;
  l3.mshrs = 48;
}

void MemoryHierarchyParameters::describe(ParameterVisitor& v) {
  v.integer("line", line, {line_bytes, line_bytes}, "bytes",
            "Line size; every x86 processor with these caches has 64.");
  v.group("l1i", l1i, "First-level instruction cache of a core.");
  v.group("l1d", l1d, "First-level data cache of a core.");
  v.group("l2", l2, "Second level.");
  v.group("l3", l3, "Third level, shared by all cores.");
  v.group("coherence", coherence, "What other cores' copies cost.");
  v.group("dram", dram, "Main memory.");
  v.integer("uncached", uncached, {0, max_ps}, "ps",
            "An access to uncacheable memory, or a write-combined line's read.");
  v.integer("combining_buffers", combining_buffers, {1, 64}, "", "Write-combining buffers of a core.");
  v.choice("walker_entry", walker_entry, walker_entries, "The cache in which page walkers look first.");
}

std::optional<ParameterProblem> MemoryHierarchyParameters::problem(u64 cores) const {
  if (line != line_bytes) return bad("line", "lines are of 64 bytes");
  if (cores == 0 || cores > 64) return bad("l2.shared_by", "the hierarchy serves 1 to 64 cores");
  const MemoryHierarchyParameters usual;
  if (auto p = cache_problem("l1i", l1i, usual.l1i)) return p;
  if (auto p = cache_problem("l1d", l1d, usual.l1d)) return p;
  if (auto p = lower_problem("l2", l2, usual.l2)) return p;
  const bool usual_l2 = l2.latency == usual.l2.latency;
  for (const auto& [name, level, usual_level] : {std::tuple("l1i", &l1i, &usual.l1i), {"l1d", &l1d, &usual.l1d}}) {
    const bool usual_l1 = level->latency == usual_level->latency;
    const std::string key = std::string(name) + ".latency";
    if (auto p = order_problem(key, level->latency, usual_l1, "l2.latency", l2.latency, usual_l2)) return p;
  }
  if (l2.shared_by == 0 || l2.shared_by > 64) return bad("l2.shared_by", "must be 1 to 64 cores");
  if (l3.size != 0) {
    if (auto p = lower_problem("l3", l3, usual.l3)) return p;
    const bool usual_l3 = l3.latency == usual.l3.latency;
    if (auto p = order_problem("l2.latency", l2.latency, usual_l2, "l3.latency", l3.latency, usual_l3)) return p;
  } else if (coherence.ddio) {
    return bad("coherence.ddio", "needs an L3 to write into: set l3.size or leave ddio off");
  }
  for (const u64 cycles :
       {coherence.upgrade, coherence.invalidation, coherence.transfer_clean, coherence.transfer_dirty}) {
    if (cycles > max_latency) return bad("coherence", "costs are 0 to 100000 cycles");
  }
  if (uncached > max_ps) return bad("uncached", "must be 0 to 1000000000 ps");
  if (combining_buffers == 0 || combining_buffers > 64) return bad("combining_buffers", "must be 1 to 64");
  if (!one_of(walker_entries, walker_entry)) return bad("walker_entry", "'" + walker_entry + "' is neither l1d nor l2");
  return dram_problem(dram);
}

}  // namespace bunshin
