#include "devices/pc_testdev.h"

namespace bunshin {
namespace {

constexpr u32 size_mask(unsigned size) { return size >= 4 ? ~u32{0} : (u32{1} << (8 * size)) - 1; }

}  // namespace

u64 PcTestDevice::read(unsigned region, u64 offset, unsigned size) {
  switch (region) {
    case 0:
    case 2: return (value_ >> (8 * (offset & 3))) & size_mask(size);
    case 4: {
      u64 value = 0;
      for (unsigned i = 0; i < size; ++i) value |= u64{iomem_[(offset + i) % iomem_bytes]} << (8 * i);
      return value;
    }
    default: return 0;
  }
}

void PcTestDevice::write(unsigned region, u64 offset, unsigned size, u64 value) {
  switch (region) {
    case 0:
    case 2: {
      const unsigned shift = 8 * (offset & 3);
      const u32 mask = size_mask(size) << shift;
      value_ = (value_ & ~mask) | ((static_cast<u32>(value) << shift) & mask);
      break;
    }
    case 3:
      if (offset < lines) {
        levels_ = (levels_ & ~(u32{1} << offset)) | (u32{value != 0} << offset);
        host_.set_pin(static_cast<unsigned>(offset), value != 0);
      }
      break;
    case 4:
      for (unsigned i = 0; i < size; ++i) iomem_[(offset + i) % iomem_bytes] = static_cast<u8>(value >> (8 * i));
      break;
    default: break;
  }
}

void PcTestDevice::reset() {
  value_ = 0;
  for (unsigned line = 0; line < lines; ++line) {
    if (((levels_ >> line) & 1) != 0) host_.set_pin(line, false);
  }
  levels_ = 0;
  iomem_.fill(0);
}

void PcTestDevice::hash(StateHash& hash) const {
  hash.add(u64{value_} << 32 | levels_);
  hash.add(iomem_);
}

}  // namespace bunshin
