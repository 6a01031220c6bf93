#include "core/sse/strings.h"

#include <algorithm>
#include <bit>

namespace bunshin::sse {

namespace {

enum Aggregation : u8 { EqualAny, Ranges, EqualEach, EqualOrdered };

/// Elements sign- or zero-extended as imm[1:0] says, so that one comparison serves all four types.
std::array<i32, 16> elements(Vec v, u8 imm) {
  std::array<i32, 16> r{};
  switch (imm & 3) {
    case 0: std::ranges::copy(lanes<u8>(v), r.begin()); break;
    case 1: std::ranges::copy(lanes<u16>(v), r.begin()); break;
    case 2: std::ranges::copy(lanes<i8>(v), r.begin()); break;
    default: std::ranges::copy(lanes<i16>(v), r.begin()); break;
  }
  return r;
}

unsigned implicit_length(Vec v, u8 imm) {
  const auto e = elements(v, imm);
  const auto end = e.begin() + string_elements(imm);
  return static_cast<unsigned>(std::find(e.begin(), end, 0) - e.begin());
}

/// IntRes1[j]; invalid elements compare as SDM vol. 2, table 4-7 says.
bool aggregate(const std::array<i32, 16>& a, const std::array<i32, 16>& b, StringLengths n, unsigned count, unsigned j,
               Aggregation how) {
  switch (how) {
    case EqualAny: return j < n.second && std::find(a.begin(), a.begin() + n.first, b[j]) != a.begin() + n.first;
    case Ranges:
      if (j >= n.second) return false;
      for (unsigned i = 0; i + 1 < n.first; i += 2)
        if (a[i] <= b[j] && b[j] <= a[i + 1]) return true;
      return false;
    case EqualEach:
      if (j >= n.first || j >= n.second) return j >= n.first && j >= n.second;
      return a[j] == b[j];
    case EqualOrdered:
      for (unsigned i = 0; i < n.first && i + j < count; ++i)
        if (i + j >= n.second || a[i] != b[i + j]) return false;
      return true;
  }
  return false;
}

constexpr std::array<u32, 256> make_crc_table() {
  std::array<u32, 256> table{};
  for (u32 i = 0; i < 256; ++i) {
    u32 v = i;
    for (int bit = 0; bit < 8; ++bit) v = (v >> 1) ^ ((v & 1) != 0 ? 0x82f63b78 : 0);
    table[i] = v;
  }
  return table;
}
constexpr std::array<u32, 256> crc_table = make_crc_table();

}  // namespace

StringLengths implicit_lengths(Vec first, Vec second, u8 imm) {
  return {implicit_length(first, imm), implicit_length(second, imm)};
}

unsigned explicit_length(i64 length, u8 imm) {
  const u64 magnitude = length < 0 ? u64{0} - static_cast<u64>(length) : static_cast<u64>(length);
  return static_cast<unsigned>(std::min<u64>(magnitude, string_elements(imm)));
}

StringResult compare_strings(Vec first, Vec second, StringLengths lengths, u8 imm) {
  const unsigned count = string_elements(imm);
  const u32 all = (u32{1} << count) - 1;
  const auto a = elements(first, imm), b = elements(second, imm);
  const auto how = static_cast<Aggregation>((imm >> 2) & 3);
  u32 bits = 0;
  for (unsigned j = 0; j < count; ++j) bits |= u32{aggregate(a, b, lengths, count, j, how)} << j;
  const u32 valid = (u32{1} << lengths.second) - 1;
  if ((imm & 0x10) != 0) bits ^= (imm & 0x20) != 0 ? valid : all;

  StringResult r;
  r.bits = bits;
  r.flags = (bits != 0 ? rflags::CF : 0) | (lengths.second < count ? rflags::ZF : 0) |
            (lengths.first < count ? rflags::SF : 0) | ((bits & 1) != 0 ? rflags::OF : 0);
  return r;
}

u32 string_index(u32 bits, u8 imm) {
  if (bits == 0) return string_elements(imm);
  return static_cast<u32>((imm & 0x40) != 0 ? std::bit_width(bits) - 1 : std::countr_zero(bits));
}

Vec string_mask(u32 bits, u8 imm) {
  if ((imm & 0x40) == 0) return from32(bits);
  Lanes<u8> mask;
  const unsigned shift = (imm & 1) != 0 ? 1 : 0;
  for (unsigned i = 0; i < 16; ++i) mask[i] = ((bits >> (i >> shift)) & 1) != 0 ? 0xff : 0;
  return vector<u8>(mask);
}

u32 crc32c(u32 crc, u64 data, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) crc = (crc >> 8) ^ crc_table[(crc ^ (data >> (8 * i))) & 0xff];
  return crc;
}

}  // namespace bunshin::sse
