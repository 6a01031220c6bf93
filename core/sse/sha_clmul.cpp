// The SHA extensions and PCLMULQDQ, after their pseudo-code in SDM vol. 2. Element 3 is the first word of a SHA state.

#include <bit>

#include "core/sse/crypto.h"

namespace bunshin::sse {

namespace {

constexpr u32 choose(u32 x, u32 y, u32 z) { return (x & y) ^ (~x & z); }
constexpr u32 parity(u32 x, u32 y, u32 z) { return x ^ y ^ z; }
constexpr u32 majority(u32 x, u32 y, u32 z) { return (x & y) ^ (x & z) ^ (y & z); }

/// Function and constant of SHA-1's four groups of twenty rounds (FIPS 180-4, 4.1.1, 4.2.1).
struct Sha1Group {
  u32 (*f)(u32, u32, u32);
  u32 k;
};
constexpr Sha1Group sha1_groups[4] = {
    {choose, 0x5a827999}, {parity, 0x6ed9eba1}, {majority, 0x8f1bbcdc}, {parity, 0xca62c1d6}};

constexpr u32 big_sigma0(u32 x) { return std::rotr(x, 2) ^ std::rotr(x, 13) ^ std::rotr(x, 22); }
constexpr u32 big_sigma1(u32 x) { return std::rotr(x, 6) ^ std::rotr(x, 11) ^ std::rotr(x, 25); }
constexpr u32 small_sigma0(u32 x) { return std::rotr(x, 7) ^ std::rotr(x, 18) ^ (x >> 3); }
constexpr u32 small_sigma1(u32 x) { return std::rotr(x, 17) ^ std::rotr(x, 19) ^ (x >> 10); }

}  // namespace

Vec pclmulqdq(Vec d, Vec s, u8 imm) {
  const u64 a = (imm & 1) != 0 ? high64(d) : low64(d);
  const u64 b = (imm & 16) != 0 ? high64(s) : low64(s);
  // Four bits of b at a time; the products of a with all four-bit polynomials have at most 67 bits.
  std::array<u128, 16> products{};
  for (unsigned i = 1; i < 16; ++i) products[i] = (i & 1) != 0 ? products[i - 1] ^ a : products[i / 2] << 1;
  u128 r = 0;
  for (int shift = 60; shift >= 0; shift -= 4) r = (r << 4) ^ products[(b >> shift) & 15];
  return from_halves(static_cast<u64>(r), static_cast<u64>(r >> 64));
}

Vec sha1rnds4(Vec d, Vec s, u8 imm) {
  const Lanes<u32> state = lanes<u32>(d), w = lanes<u32>(s);
  const Sha1Group& group = sha1_groups[imm & 3];
  u32 a = state[3], b = state[2], c = state[1], dd = state[0], e = 0;
  for (unsigned round = 0; round < 4; ++round) {
    // The first round's E has been added to its word by SHA1NEXTE.
    const u32 next_a = group.f(b, c, dd) + std::rotl(a, 5) + w[3 - round] + e + group.k;
    e = dd;
    dd = c;
    c = std::rotl(b, 30);
    b = a;
    a = next_a;
  }
  return vector<u32>({dd, c, b, a});
}
Vec sha1nexte(Vec d, Vec s) {
  Lanes<u32> r = lanes<u32>(s);
  r[3] += std::rotl(lanes<u32>(d)[3], 30);
  return vector<u32>(r);
}
Vec sha1msg1(Vec d, Vec s) {
  const Lanes<u32> a = lanes<u32>(d), b = lanes<u32>(s);
  return vector<u32>({b[2] ^ a[0], b[3] ^ a[1], a[0] ^ a[2], a[1] ^ a[3]});
}
Vec sha1msg2(Vec d, Vec s) {
  const Lanes<u32> a = lanes<u32>(d), b = lanes<u32>(s);
  const u32 w16 = std::rotl(a[3] ^ b[2], 1), w17 = std::rotl(a[2] ^ b[1], 1), w18 = std::rotl(a[1] ^ b[0], 1);
  return vector<u32>({std::rotl(a[0] ^ w16, 1), w18, w17, w16});
}

Vec sha256rnds2(Vec d, Vec s, Vec keys) {
  const Lanes<u32> cdgh = lanes<u32>(d), abef = lanes<u32>(s), wk = lanes<u32>(keys);
  u32 a = abef[3], b = abef[2], c = cdgh[3], dd = cdgh[2], e = abef[1], f = abef[0], g = cdgh[1], h = cdgh[0];
  for (unsigned round = 0; round < 2; ++round) {
    const u32 t = choose(e, f, g) + big_sigma1(e) + wk[round] + h;
    h = g;
    g = f;
    f = e;
    e = t + dd;
    const u32 next_a = t + majority(a, b, c) + big_sigma0(a);
    dd = c;
    c = b;
    b = a;
    a = next_a;
  }
  return vector<u32>({f, e, b, a});
}
Vec sha256msg1(Vec d, Vec s) {
  const Lanes<u32> a = lanes<u32>(d), b = lanes<u32>(s);
  return vector<u32>(
      {a[0] + small_sigma0(a[1]), a[1] + small_sigma0(a[2]), a[2] + small_sigma0(a[3]), a[3] + small_sigma0(b[0])});
}
Vec sha256msg2(Vec d, Vec s) {
  const Lanes<u32> a = lanes<u32>(d), b = lanes<u32>(s);
  const u32 w16 = a[0] + small_sigma1(b[2]), w17 = a[1] + small_sigma1(b[3]);
  return vector<u32>({w16, w17, a[2] + small_sigma1(w16), a[3] + small_sigma1(w17)});
}

}  // namespace bunshin::sse
