#include "core/system/cpuid_caches.h"

#include <algorithm>
#include <array>
#include <bit>

namespace bunshin {
namespace {

u32 kib(const CacheGeometry& c) { return static_cast<u32>(c.size >> 10); }
u32 sets(const CacheGeometry& c) { return static_cast<u32>(c.size / cache_line / std::max<u64>(c.ways, 1)); }

struct Descriptor {
  u32 kib, ways;
  u8 code;
};

/// Descriptor bytes of leaf 2 (SDM vol. 2, table 3-12) that processors without leaf 4 use. 70H is the trace cache of 12K
/// micro-operations, which the profiles that have one approximate by a cache of 16 KiB.
constexpr Descriptor l1d_descriptors[] = {{8, 4, 0x66}, {16, 4, 0x67}, {32, 4, 0x68}, {16, 8, 0x60}, {32, 8, 0x2c}};
constexpr Descriptor l1i_descriptors[] = {{16, 8, 0x70}, {32, 8, 0x30}};
constexpr Descriptor l2_descriptors[] = {{256, 8, 0x7a}, {512, 8, 0x7b}, {1024, 8, 0x7c}, {2048, 8, 0x7d}};
constexpr u8 no_third_level = 0x40, ask_leaf_4 = 0xff;

template <std::size_t N>
u32 descriptor_of(const Descriptor (&table)[N], const CacheGeometry& cache) {
  for (const Descriptor& d : table) {
    if (d.kib == kib(cache) && d.ways == cache.ways) return d.code;
  }
  return 0;
}

/// Associativity as leaf 80000006H encodes it (APM vol. 3, E.4.5); what has no code is told by the deterministic leaf only.
u32 associativity(const CpuProfile& p, const CacheGeometry& cache) {
  switch (cache.ways) {
    case 1: return 1;
    case 2: return 2;
    case 4: return 4;
    case 8: return 6;
    case 16: return 8;
    case 32: return 0xa;
    case 48: return 0xb;
    case 64: return 0xc;
    default: return p.intel() ? 7 : 9;
  }
}

}  // namespace

u32 core_id_bits(const CpuProfile& p) { return static_cast<u32>(std::bit_width(std::max<u64>(p.cores, 1) - 1)); }

CpuidResult cache_descriptors(const CpuProfile& p, u32 highest) {
  // The low byte of EAX is not a descriptor: one execution tells everything.
  if (highest >= 4) return {ask_leaf_4 << 8 | 1u, 0, 0, 0};
  const u32 third = p.l3.size == 0 ? no_third_level : 0;
  return {descriptor_of(l1d_descriptors, p.l1d) << 24 | 1u, 0, 0,
          descriptor_of(l2_descriptors, p.l2) << 16 | descriptor_of(l1i_descriptors, p.l1i) << 8 | third};
}

CpuidResult cache_leaf(const CpuProfile& p, u32 subleaf) {
  struct Line {
    const CacheGeometry* cache;
    u32 type, level;  ///< type: 1 data, 2 instruction, 3 unified
  };
  const std::array<Line, 4> lines{{{&p.l1d, 1, 1}, {&p.l1i, 2, 1}, {&p.l2, 3, 2}, {&p.l3, 3, 3}}};
  if (subleaf >= lines.size() || lines[subleaf].cache->size == 0) return {};
  const auto& [cache, type, level] = lines[subleaf];
  const u32 core_ids = (1u << core_id_bits(p)) - 1;
  const u32 sharing = std::min(core_ids, static_cast<u32>(std::bit_ceil(std::max<u64>(cache->cores, 1))) - 1);
  CpuidResult out;
  // AMD tells the cores of the package elsewhere (APM vol. 3, E.4.15).
  out.eax = type | level << 5 | 1u << 8 | sharing << 14 | (p.intel() ? core_ids << 26 : 0);
  out.ebx = (cache_line - 1) | static_cast<u32>(cache->ways - 1) << 22;
  out.ecx = sets(*cache) - 1;
  if (cache->inclusive) out.edx = 1u << 1;
  return out;
}

CpuidResult amd_l1_leaf(const CpuProfile& p) {
  const auto describe = [](const CacheGeometry& c) {
    return kib(c) << 24 | static_cast<u32>(c.ways) << 16 | 1u << 8 | cache_line;
  };
  return {0, 0, describe(p.l1d), describe(p.l1i)};
}

CpuidResult lower_caches_leaf(const CpuProfile& p) {
  CpuidResult out;
  out.ecx = kib(p.l2) << 16 | associativity(p, p.l2) << 12 | cache_line;
  if (p.intel()) return out;
  out.ecx |= 1u << 8;
  if (p.l3.size != 0) out.edx = (kib(p.l3) / 512) << 18 | associativity(p, p.l3) << 12 | 1u << 8 | cache_line;
  return out;
}

}  // namespace bunshin
