// Compiled C++ of the usual kinds: sieve, quicksort, a CRC by table, a hash table, a matrix product.

#include "guests/bench/bench.h"

namespace {

using guest::u32;
using guest::u64;
using guest::u8;

constexpr u32 sieve_limit = 200'000, numbers = 20'000, crc_bytes = 100'000, slots = 16'384, keys = 10'000, order = 64;

u8 composite[sieve_limit];
u32 values[numbers], crc_table[256], slot_key[slots], slot_count[slots];
u8 text[crc_bytes];
u32 left[order][order], right[order][order], product[order][order];

u64 sieve() {
  for (u8& mark : composite) mark = 0;
  u64 primes = 0;
  for (u32 i = 2; i < sieve_limit; ++i) {
    if (composite[i] != 0) continue;
    ++primes;
    for (u64 multiple = u64{i} * i; multiple < sieve_limit; multiple += i) composite[multiple] = 1;
  }
  return primes;
}

void quicksort(u32* begin, u32* end) {
  while (end - begin > 1) {
    const u32 pivot = begin[(end - begin) / 2];
    u32 *low = begin, *high = end - 1;
    while (low <= high) {
      while (*low < pivot) ++low;
      while (*high > pivot) --high;
      if (low > high) break;
      const u32 held = *low;
      *low++ = *high;
      *high-- = held;
    }
    quicksort(begin, high + 1);
    begin = low;
  }
}

u64 sort(guest::Random& random) {
  for (u32& value : values) value = static_cast<u32>(random.below(u64{1} << 31));
  quicksort(values, values + numbers);
  u64 sum = 0;
  for (u32 i = 0; i < numbers; ++i) sum += u64{values[i]} * i;
  return sum;
}

/// The CRC of IEEE 802.3, bits reversed.
u64 crc(guest::Random& random) {
  for (u32 i = 0; i < 256; ++i) {
    u32 entry = i;
    for (int bit = 0; bit < 8; ++bit) entry = (entry >> 1) ^ ((entry & 1) != 0 ? 0xedb8'8320 : 0);
    crc_table[i] = entry;
  }
  for (u8& byte : text) byte = static_cast<u8>(random.below(256));
  u32 result = ~u32{0};
  for (u8 byte : text) result = (result >> 8) ^ crc_table[(result ^ byte) & 0xff];
  return ~result;
}

u64 count_in_hash_table(guest::Random& random) {
  for (u32 i = 0; i < slots; ++i) slot_key[i] = slot_count[i] = 0;
  u64 probes = 0;
  for (u32 i = 0; i < 4 * keys; ++i) {
    const u32 key = static_cast<u32>(random.below(keys)) + 1;
    u32 slot = key * 2'654'435'761U >> 18;
    while (slot_key[slot] != 0 && slot_key[slot] != key) {
      slot = (slot + 1) % slots;
      ++probes;
    }
    slot_key[slot] = key;
    ++slot_count[slot];
  }
  for (u32 i = 0; i < slots; ++i) probes = probes * 3 + slot_count[i];
  return probes;
}

u64 multiply(guest::Random& random) {
  for (u32 i = 0; i < order * order; ++i) {
    left[i / order][i % order] = static_cast<u32>(random.below(1000));
    right[i / order][i % order] = static_cast<u32>(random.below(1000));
  }
  u64 sum = 0;
  for (u32 i = 0; i < order; ++i) {
    for (u32 j = 0; j < order; ++j) {
      u32 total = 0;
      for (u32 k = 0; k < order; ++k) total += left[i][k] * right[k][j];
      product[i][j] = total;
      sum = sum * 3 + total;
    }
  }
  return sum;
}

u64 run(u64 rounds) {
  guest::Random random;
  u64 sum = 0;
  for (; rounds != 0; --rounds) {
    sum = sum * 3 + sieve();
    sum = sum * 3 + sort(random);
    sum = sum * 3 + crc(random);
    sum = sum * 3 + count_in_hash_table(random);
    sum = sum * 3 + multiply(random);
  }
  return sum;
}

}  // namespace

guest::u32 kernel_main() { return guest::measure("mix", {420, 1}, run); }
