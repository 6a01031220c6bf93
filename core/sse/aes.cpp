// AES-NI. A state is 16 bytes in column order, as FIPS 197 numbers them and as an XMM register holds them.

#include <bit>

#include "core/sse/crypto.h"

namespace bunshin::sse {

namespace {

using Table = std::array<u8, 256>;

/// Multiplication in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197, 4.2).
constexpr u8 multiply(u8 a, u8 b) {
  u8 r = 0;
  for (; b != 0; b = static_cast<u8>(b >> 1)) {
    if ((b & 1) != 0) r ^= a;
    a = static_cast<u8>((a << 1) ^ ((a & 0x80) != 0 ? 0x1b : 0));
  }
  return r;
}

/// The S-box: inverse in the field, then the affine map (FIPS 197, 5.1.1). Powers of 3 run through all inverses.
constexpr Table make_sbox() {
  Table box{};
  u8 power = 1, inverse = 1;
  do {
    power = multiply(power, 3);
    inverse = multiply(inverse, 0xf6);
    const u8 affine = static_cast<u8>(inverse ^ std::rotl(inverse, 1) ^ std::rotl(inverse, 2) ^ std::rotl(inverse, 3) ^
                                      std::rotl(inverse, 4));
    box[power] = affine ^ 0x63;
  } while (power != 1);
  box[0] = 0x63;
  return box;
}
constexpr Table sbox = make_sbox();

constexpr Table make_inverse_sbox() {
  Table box{};
  for (unsigned i = 0; i < 256; ++i) box[sbox[i]] = static_cast<u8>(i);
  return box;
}
constexpr Table inverse_sbox = make_inverse_sbox();

/// For each byte of row 0, its contribution to a mixed column; other rows rotate it.
constexpr std::array<u32, 256> make_column_table(std::array<u8, 4> factors, const Table* box) {
  std::array<u32, 256> table{};
  for (unsigned i = 0; i < 256; ++i) {
    const u8 v = box != nullptr ? (*box)[i] : static_cast<u8>(i);
    for (unsigned row = 0; row < 4; ++row) table[i] |= u32{multiply(v, factors[row])} << (8 * row);
  }
  return table;
}
constexpr std::array<u32, 256> encrypt_columns = make_column_table({2, 1, 1, 3}, &sbox);
constexpr std::array<u32, 256> decrypt_columns = make_column_table({14, 9, 13, 11}, &inverse_sbox);
constexpr std::array<u32, 256> inverse_mix_columns = make_column_table({14, 9, 13, 11}, nullptr);

/// Rows move left by their number when encrypting (direction 1), right when decrypting (direction 3), 0: stay.
template <unsigned direction>
Vec mixed_round(Vec state, const std::array<u32, 256>& table) {
  const Lanes<u8> a = lanes<u8>(state);
  Lanes<u32> r{};
  for (unsigned column = 0; column < 4; ++column)
    for (unsigned row = 0; row < 4; ++row)
      r[column] ^= std::rotl(table[a[4 * ((column + direction * row) % 4) + row]], static_cast<int>(8 * row));
  return vector<u32>(r);
}
template <unsigned direction>
Vec last_round(Vec state, const Table& box) {
  const Lanes<u8> a = lanes<u8>(state);
  Lanes<u8> r;
  for (unsigned column = 0; column < 4; ++column)
    for (unsigned row = 0; row < 4; ++row) r[4 * column + row] = box[a[4 * ((column + direction * row) % 4) + row]];
  return vector<u8>(r);
}

u32 substitute_word(u32 w) {
  return u32{sbox[w & 0xff]} | u32{sbox[(w >> 8) & 0xff]} << 8 | u32{sbox[(w >> 16) & 0xff]} << 16 |
         u32{sbox[w >> 24]} << 24;
}

}  // namespace

Vec aesenc(Vec d, Vec s) { return _mm_xor_si128(mixed_round<1>(d, encrypt_columns), s); }
Vec aesenclast(Vec d, Vec s) { return _mm_xor_si128(last_round<1>(d, sbox), s); }
Vec aesdec(Vec d, Vec s) { return _mm_xor_si128(mixed_round<3>(d, decrypt_columns), s); }
Vec aesdeclast(Vec d, Vec s) { return _mm_xor_si128(last_round<3>(d, inverse_sbox), s); }
Vec aesimc(Vec, Vec s) { return mixed_round<0>(s, inverse_mix_columns); }

Vec aeskeygenassist(Vec, Vec s, u8 imm) {
  const Lanes<u32> a = lanes<u32>(s);
  const u32 x1 = substitute_word(a[1]), x3 = substitute_word(a[3]);
  return vector<u32>({x1, std::rotr(x1, 8) ^ imm, x3, std::rotr(x3, 8) ^ imm});
}

}  // namespace bunshin::sse
