#include "core/system/cpuid_caches.h"

#include <algorithm>
#include <array>
#include <bit>
#include <span>

namespace bunshin {
namespace {

u32 kib(const CacheGeometry& c) { return static_cast<u32>(c.size >> 10); }
u32 sets(const CacheGeometry& c) { return static_cast<u32>(c.size / cache_line / std::max<u64>(c.ways, 1)); }

/// A descriptor byte of leaf 2 (SDM vol. 2, table 3-12): a cache of so many KiB, or a TLB of so many entries.
struct Descriptor {
  u64 size, ways;
  u8 code;
};

/// What processors without leaf 4 use. 70H is the trace cache of 12K micro-operations, which the profiles that have one
/// approximate by a cache of 16 KiB.
constexpr Descriptor l1d_codes[] = {{8, 4, 0x66}, {16, 4, 0x67}, {32, 4, 0x68}, {16, 8, 0x60}, {32, 8, 0x2c}};
constexpr Descriptor l1i_codes[] = {{16, 8, 0x70}, {32, 8, 0x30}};
constexpr Descriptor l2_codes[] = {{256, 8, 0x7a}, {512, 8, 0x7b}, {1024, 8, 0x7c}, {2048, 8, 0x7d}};
constexpr u8 no_third_level = 0x40, ask_leaf_4 = 0xff;

constexpr Descriptor dtlb_small_codes[] = {{16, 4, 0x57}, {64, 4, 0x03}};
constexpr Descriptor dtlb_large_codes[] = {{16, 4, 0x56}, {32, 4, 0x5a}};
constexpr Descriptor itlb_small_codes[] = {{128, 4, 0xb0}, {64, 4, 0xb2}, {128, 8, 0xb6}};
constexpr Descriptor itlb_large_codes[] = {{8, 4, 0xb1}, {7, 7, 0x55}, {8, 8, 0x76}};
constexpr Descriptor stlb_small_codes[] = {{256, 4, 0xb4}, {512, 4, 0xca}, {1024, 8, 0xc1}, {1536, 12, 0xc3}};
constexpr Descriptor stlb_large_codes[] = {{32, 4, 0x05}};
/// 2 MiB pages, 32 entries, and 4 of 1 GiB.
constexpr u8 dtlb_large_and_giant = 0x63;
/// Of the Pentium 4: an array for all sizes of pages, 64 entries for data, 128 for instructions.
constexpr u8 dtlb_all_sizes = 0x5b, itlb_all_sizes = 0x51;

u8 code_of(std::span<const Descriptor> table, u64 size, u64 ways) {
  for (const Descriptor& d : table) {
    if (d.size == size && d.ways == ways) return d.code;
  }
  return 0;
}
u8 code_of(std::span<const Descriptor> table, const CacheGeometry& c) { return code_of(table, kib(c), c.ways); }
u8 code_of(std::span<const Descriptor> table, const TlbGeometry::Array& a) { return code_of(table, a.entries, a.ways); }

/// Puts descriptors where leaf 2 has room; zero is none.
class DescriptorList {
 public:
  void add(u8 code) {
    if (code == 0 || used_ == places.size()) return;
    const unsigned place = places[used_++];
    u32& word = place < 4 ? out_.eax : place < 8 ? out_.edx : place < 12 ? out_.ebx : out_.ecx;
    word |= u32{code} << (place % 4 * 8);
  }
  const CpuidResult& result() const { return out_; }

 private:
  // The low byte of EAX is not a descriptor: one execution tells everything.
  static constexpr std::array<u8, 15> places{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  CpuidResult out_{1, 0, 0, 0};
  std::size_t used_ = 0;
};

void add_tlbs(DescriptorList& list, const CpuProfile& p) {
  const TlbGeometry &d = p.l1d_tlb, &i = p.l1i_tlb, &s = p.l2_tlb;
  const bool one_array = d.small == d.large && d.small.entries == 64;
  if (one_array) {
    list.add(itlb_all_sizes);
    list.add(dtlb_all_sizes);
    return;
  }
  list.add(code_of(itlb_small_codes, i.small));
  list.add(code_of(itlb_large_codes, i.large));
  list.add(code_of(dtlb_small_codes, d.small));
  const u8 large = code_of(dtlb_large_codes, d.large);
  list.add(large != 0 && d.giant.entries == 4 ? dtlb_large_and_giant : large);
  list.add(code_of(stlb_small_codes, s.small));
  // Else the second level is the first's own or shared with 4 KiB pages, which the descriptor above says.
  if (d.large.entries == 16) list.add(code_of(stlb_large_codes, s.large));
}

/// Associativity as leaf 80000006H encodes it (APM vol. 3, E.4.5); what has no code is told by the deterministic leaf only.
u32 associativity(u64 ways, u32 no_code) {
  switch (ways) {
    case 1: return 1;
    case 2: return 2;
    case 4: return 4;
    case 8: return 6;
    case 16: return 8;
    case 32: return 0xa;
    case 48: return 0xb;
    case 64: return 0xc;
    default: return no_code;
  }
}

/// One size of page in leaf 80000005H: associativity and entries, 0FFH for full associativity.
u32 l1_tlb(const TlbGeometry::Array& data, const TlbGeometry::Array& fetch) {
  const auto half = [](const TlbGeometry::Array& a) {
    const u64 ways = a.entries != 0 && a.ways == a.entries ? 0xff : a.ways;
    return a.entries == 0 ? 0u : static_cast<u32>((ways & 0xff) << 8 | std::min<u64>(a.entries, 0xff));
  };
  return half(data) << 16 | half(fetch);
}

/// One size of page in leaf 80000006H: data and fetches share the second level, which is told for both.
u32 l2_tlb(const TlbGeometry::Array& a) {
  if (a.entries == 0) return 0;
  const u32 half = associativity(a.ways, 9) << 12 | static_cast<u32>(std::min<u64>(a.entries, 0xfff));
  return half << 16 | half;
}

}  // namespace

u32 core_id_bits(const CpuProfile& p) { return static_cast<u32>(std::bit_width(std::max<u64>(p.cores, 1) - 1)); }

CpuidResult cache_descriptors(const CpuProfile& p, u32 highest) {
  DescriptorList list;
  if (highest >= 4) {
    list.add(ask_leaf_4);
    add_tlbs(list, p);
    return list.result();
  }
  add_tlbs(list, p);
  list.add(code_of(l1d_codes, p.l1d));
  if (p.l3.size == 0) list.add(no_third_level);
  list.add(code_of(l1i_codes, p.l1i));
  list.add(code_of(l2_codes, p.l2));
  return list.result();
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
  return {l1_tlb(p.l1d_tlb.large, p.l1i_tlb.large), l1_tlb(p.l1d_tlb.small, p.l1i_tlb.small), describe(p.l1d),
          describe(p.l1i)};
}

CpuidResult lower_caches_leaf(const CpuProfile& p) {
  CpuidResult out;
  out.ecx = kib(p.l2) << 16 | associativity(p.l2.ways, p.intel() ? 7 : 9) << 12 | cache_line;
  if (p.intel()) return out;
  out.eax = l2_tlb(p.l2_tlb.large);
  out.ebx = l2_tlb(p.l2_tlb.small);
  out.ecx |= 1u << 8;
  if (p.l3.size != 0) out.edx = (kib(p.l3) / 512) << 18 | associativity(p.l3.ways, 9) << 12 | 1u << 8 | cache_line;
  return out;
}

}  // namespace bunshin
