// What a bus master does to the caches: fw_cfg's DMA (QEMU, docs/specs/fw_cfg) writes a buffer that the processor has
// in its cache, and
// reads a descriptor that the processor has just modified. Cycles of single loads before and after. Prints times; the
// checks are of what was transferred.

#include "guests/runtime/console.h"

namespace {

using namespace guest;

constexpr u16 address_port = 0x514;
constexpr u32 read_command = 2, select_command = 8, signature_item = 0, error_bit = 1;

struct [[gnu::packed]] Descriptor {
  u32 control, length;
  u64 address;
};

alignas(4096) volatile u8 buffer[4096];
alignas(4096) Descriptor descriptor;

u32 swapped(u32 value) { return __builtin_bswap32(value); }

/// Cycles of one load, in order with what surrounds it.
u64 load_time(const volatile u8* at) {
  asm volatile("lfence; mfence" : : : "memory");
  const u64 begin = read_tsc();
  asm volatile("lfence" : : : "memory");
  static_cast<void>(*at);
  asm volatile("lfence" : : : "memory");
  return read_tsc() - begin;
}

/// Reads `bytes` of the item "QEMU" into the buffer; cycles that the register write took.
u64 transfer(u32 bytes) {
  descriptor = {swapped(signature_item << 16 | select_command | read_command), swapped(bytes),
                __builtin_bswap64(reinterpret_cast<u64>(&buffer[0]))};
  asm volatile("mfence" : : : "memory");
  const u64 begin = read_tsc();
  out32(address_port, 0);
  out32(address_port + 4, swapped(static_cast<u32>(reinterpret_cast<u64>(&descriptor))));
  return read_tsc() - begin;
}

}  // namespace

extern "C" u32 kernel_main() {
  for (u32 i = 0; i < sizeof buffer; ++i) buffer[i] = static_cast<u8>(0x55);
  transfer(4);
  load_time(&buffer[0]);
  load_time(&buffer[0]);
  const u64 cached = load_time(&buffer[0]);
  const u64 neighbour = load_time(&buffer[2048]);
  const u64 register_write = transfer(4);
  const u64 after = load_time(&buffer[0]);
  const u64 neighbour_after = load_time(&buffer[2048]);
  const u64 large = transfer(4096);
  print("dma: cached ", cached, " after ", after, " other line ", neighbour, " after ", neighbour_after, "\n");
  print("dma: small ", register_write, " large ", large, "\n");
  const bool right = buffer[0] == 'Q' && buffer[1] == 'E' && buffer[2] == 'M' && buffer[3] == 'U' && buffer[4] == 0;
  const bool done = (swapped(descriptor.control) & error_bit) == 0;
  print(right && done ? "dma: ok\n" : "dma: wrong data\n");
  return right && done ? 0 : 1;
}
