#include "core/virt/svm/permission_map.h"

#include <array>

namespace bunshin::svm {

MapBits io_map_bits(u16 port, unsigned bytes) {
  return {port / 8u, static_cast<u16>(((1u << bytes) - 1) << (port & 7))};
}

std::optional<MapBits> msr_map_bits(u32 index, bool write) {
  constexpr std::array<u32, 3> ranges{0x0000'0000, 0xc000'0000, 0xc001'0000};
  constexpr u32 per_range = 0x2000, bytes_per_range = 0x800;
  for (u32 i = 0; i < ranges.size(); ++i) {
    const u32 offset = index - ranges[i];
    if (offset >= per_range) continue;
    const u32 bit = offset * 2 + (write ? 1 : 0);
    return MapBits{i * bytes_per_range + bit / 8, static_cast<u16>(1u << (bit & 7))};
  }
  return std::nullopt;
}

u64 io_exit_info(const Record& r, const IoDetail& access, bool decode_assists) {
  u64 info = u64{access.port} << 16;
  if (access.input) info |= 1 << 0;
  if (access.string) info |= 1 << 2;
  if (access.repeated) info |= 1 << 3;
  info |= u64{access.bytes} << 4;            // SZ8, SZ16, SZ32
  info |= u64{r.address_bytes() / 2u} << 7;  // A16, A32, A64
  // ES of INS cannot be overridden; OUTS's is the operand's.
  if (access.string && decode_assists) info |= u64{access.input ? u8{0} : u8{r.segment}} << 10;
  return info;
}

}  // namespace bunshin::svm
