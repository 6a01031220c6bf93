#pragma once

// The words of the contract between whoever accesses memory (cores, page walkers, devices) and the memory hierarchy.

#include <array>
#include <string_view>

#include "base/types.h"

namespace bunshin {

/// Why memory is accessed. An access lies within one line of 64 bytes; whoever crosses a line makes two.
enum class RequestKind : u8 {
  Load,
  Store,  ///< also the store of a locked instruction: complete when the line is owned
  Fetch,
  Walk,        ///< a page walker reads a table entry
  WalkUpdate,  ///< … sets accessed or dirty in one, locked (SDM vol. 3, 4.8)
  DmaRead,
  DmaWrite,
  PrefetchT0,           ///< PREFETCHT0: into all levels
  PrefetchT1,           ///< PREFETCHT1 and T2: not into the first level
  PrefetchNta,          ///< PREFETCHNTA: into the first level, and others only where inclusion demands it
  PrefetchWrite,        ///< PREFETCHW: as T0, and owned
  NonTemporalStore,     ///< MOVNTI and its like: through a write-combining buffer
  HardwarePrefetchL1D,  ///< this and the following are made by the hierarchy itself
  HardwarePrefetchL1I,
  HardwarePrefetchL2,
  HardwarePrefetchL3,
};

/// For an instruction cache, which holds nothing exclusively: a store has to ask, and invalidates it.
constexpr bool fetches(RequestKind kind) {
  return kind == RequestKind::Fetch || kind == RequestKind::HardwarePrefetchL1I;
}

/// What statistics tell apart.
enum class AccessClass : u8 { Load, Store, Fetch, Walk, Dma, Prefetch };
inline constexpr unsigned access_classes = 6;
inline constexpr std::array<std::string_view, access_classes> access_class_names{"load", "store", "fetch",
                                                                                 "walk", "dma",   "prefetch"};

constexpr AccessClass class_of(RequestKind kind) {
  switch (kind) {
    case RequestKind::Load: return AccessClass::Load;
    case RequestKind::Store:
    case RequestKind::NonTemporalStore: return AccessClass::Store;
    case RequestKind::Fetch: return AccessClass::Fetch;
    case RequestKind::Walk:
    case RequestKind::WalkUpdate: return AccessClass::Walk;
    case RequestKind::DmaRead:
    case RequestKind::DmaWrite: return AccessClass::Dma;
    default: return AccessClass::Prefetch;
  }
}

/// Whether the line must be owned (MESI: exclusive or modified).
constexpr bool wants_ownership(RequestKind kind) {
  return kind == RequestKind::Store || kind == RequestKind::WalkUpdate || kind == RequestKind::PrefetchWrite;
}
/// Whether it becomes modified.
constexpr bool modifies(RequestKind kind) { return kind == RequestKind::Store || kind == RequestKind::WalkUpdate; }

/// Who supplied the data. For an access that found its line on the way (`merged`): who is supplying it.
enum class Level : u8 {
  L1,
  L2,
  L3,
  Remote,  ///< a cache of another core that does not share the L2
  Dram,
  Uncached  ///< nobody was asked: uncacheable, write-combining and non-temporal accesses
};
inline constexpr unsigned levels = 6;
inline constexpr std::array<std::string_view, levels> level_names{"L1", "L2", "L3", "remote", "DRAM", "uncached"};

/// What an access costs. Two registers.
struct Reply {
  u64 complete = 0;  ///< the cycle at which the data can be used, or the store's line is owned
  Level level = Level::L1;
  bool merged = false;    ///< the line was already on its way
  bool upgraded = false;  ///< the store had to wait until other copies of the line were gone
  bool dirty = false;     ///< another core's modified copy supplied the data
};

/// Of a line in one cache (MESI). The encoding is what Cache keeps in the low bits of a tag.
enum class LineState : u8 { Invalid, Shared, Exclusive, Modified };

inline constexpr u64 line_bytes = 64;
inline constexpr unsigned line_shift = 6;
constexpr u64 line_of(u64 address) { return address & ~(line_bytes - 1); }

}  // namespace bunshin
