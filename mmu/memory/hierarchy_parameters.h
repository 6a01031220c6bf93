#pragma once

// Geometry, latencies and policies of the memory hierarchy, as configurations state them (docs/memory_hierarchy.md).
// Cycles are core cycles. Latencies of caches are load-to-use, as the vendors' manuals print them: what a dependent load
// takes that hits there, first level included. DRAM is given in picoseconds, because data sheets say 13.75 ns.

#include <optional>
#include <string>

#include "base/parameters.h"

namespace bunshin {

/// What the ranges of single parameters cannot say. `key` is relative to the hierarchy's group ("l1d.ways"), so that
/// whoever read the configuration can add file, line and column (ConfigReader::error).
struct ParameterProblem {
  std::string key;
  std::string what;
};

struct PrefetcherParameters {
  std::string kind = "none";  ///< none, next-line, stride, streamer
  u64 degree = 1;             ///< lines requested at a time
  u64 distance = 1;           ///< how many strides (or lines) ahead the first of them lies

  void describe(ParameterVisitor& v);
};

struct L1Parameters {
  u64 size = u64{32} << 10;
  u64 ways = 8;
  u64 latency = 4;
  std::string replacement = "tree-plru";  ///< lru, tree-plru, random, srrip
  u64 mshrs = 10;
  PrefetcherParameters prefetcher;

  void describe(ParameterVisitor& v);
};

struct LowerCacheParameters {
  u64 size = 0;
  u64 ways = 8;
  u64 latency = 12;
  std::string replacement = "lru";
  u64 mshrs = 16;
  std::string inclusion = "non-inclusive";  ///< of the levels above: inclusive, exclusive, non-inclusive
  u64 line_cycles = 2;                      ///< a line occupies the port for so long

  PrefetcherParameters prefetcher;

  void describe(ParameterVisitor& v);
};

struct L2Parameters : LowerCacheParameters {
  u64 shared_by = 1;  ///< cores with one L2 between them

  void describe(ParameterVisitor& v);
};

struct CoherenceParameters {
  u64 upgrade = 40;         ///< a store to a line of which others may have copies, until it may write
  u64 invalidation = 20;    ///< added where there are copies
  u64 transfer_clean = 30;  ///< from another core's cache: added to the latency of the last shared level
  u64 transfer_dirty = 40;
  bool forward_shared = true;  ///< a clean line comes from a cache that shares it (MESIF) rather than from memory
  bool ddio = false;           ///< devices write into the L3

  void describe(ParameterVisitor& v);
};

struct DramParameters {
  u64 channels = 2;
  u64 ranks = 1;
  u64 banks = 16;
  u64 row_size = 8192;
  bool open_page = true;
  bool bank_hash = true;  ///< bank number exclusive-ored with the row's low bits
  u64 cas = 14'060;       ///< all in ps
  u64 rcd = 14'060;
  u64 rp = 14'060;
  u64 ras = 32'000;
  u64 burst = 3'750;  ///< a line occupies the channel's data bus for so long
  u64 controller = 20'000;
  u64 refresh_interval = 0;  ///< tREFI; 0: no refresh
  u64 refresh_time = 350'000;

  void describe(ParameterVisitor& v);
};

struct MemoryHierarchyParameters {
  u64 line = 64;
  L1Parameters l1i{.replacement = "lru", .mshrs = 4, .prefetcher = {}};
  L1Parameters l1d;
  L2Parameters l2;
  LowerCacheParameters l3;  ///< size 0: there is none
  CoherenceParameters coherence;
  DramParameters dram;
  u64 uncached = 100'000;  ///< ps
  u64 combining_buffers = 10;
  std::string walker_entry = "l1d";  ///< l1d, l2

  MemoryHierarchyParameters();
  void describe(ParameterVisitor& v);
  /// What is wrong, if something is, for a machine of `cores`. MemoryHierarchy's constructor throws it.
  std::optional<ParameterProblem> problem(u64 cores) const;
};

}  // namespace bunshin
