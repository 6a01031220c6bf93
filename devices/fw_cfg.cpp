#include "devices/fw_cfg.h"

#include <algorithm>

namespace bunshin {
namespace {

constexpr std::array<u8, 4> signature = {'Q', 'E', 'M', 'U'};
constexpr std::array<u8, 8> dma_signature = {'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G'};
constexpr u32 id_traditional = 1, id_dma = 2;
constexpr u32 dma_error = 1, dma_read = 2, dma_skip = 4, dma_select = 8, dma_write = 16;
constexpr u16 key_flags = 0xc000;  // 0x8000 arch-local (same items here), 0x4000 write (unsupported)

template <class Integer>
Integer big_endian(std::span<const u8> bytes) {
  Integer value = 0;
  for (unsigned i = 0; i < sizeof(Integer); ++i) value = static_cast<Integer>(value << 8 | bytes[i]);
  return value;
}

constexpr u8 big_endian_byte(u32 value, unsigned size, u32 index) {
  return static_cast<u8>(value >> (8 * (size - 1 - index)));
}

}  // namespace

FwCfg::FwCfg(DeviceHost& host) : host_(host) {
  add_bytes(Signature, signature);
  add_value(Id, 4, id_traditional | id_dma);
}

FwCfg::Item* FwCfg::add(u16 key) {
  if (count_ == max_items || find(key) != nullptr) return nullptr;
  Item& item = items_[count_++];
  item.key = key;
  return &item;
}

const FwCfg::Item* FwCfg::find(u16 key) const {
  for (unsigned i = 0; i < count_; ++i) {
    if (items_[i].key == key) return &items_[i];
  }
  return nullptr;
}

bool FwCfg::add_bytes(u16 key, std::span<const u8> bytes) {
  Item* item = key == FileDirectory ? nullptr : add(key);
  if (item != nullptr) item->bytes = bytes;
  return item != nullptr;
}

bool FwCfg::add_value(u16 key, unsigned size, u64 value) {
  Item* item = size > 8 || key == FileDirectory ? nullptr : add(key);
  if (item == nullptr) return false;
  item->value_size = static_cast<u8>(size);
  for (unsigned i = 0; i < size; ++i) item->value[i] = static_cast<u8>(value >> (8 * i));
  return true;
}

bool FwCfg::add_file(std::string_view name, std::span<const u8> bytes) {
  if (name.empty() || name.size() >= name_bytes) return false;
  for (unsigned i = 0; i < count_; ++i) {
    if (items_[i].key >= FirstFile && name == items_[i].name.data()) return false;
  }
  Item* item = add(static_cast<u16>(FirstFile + files_));
  if (item == nullptr) return false;
  ++files_;
  item->bytes = bytes;
  std::ranges::copy(name, item->name.begin());
  return true;
}

u32 FwCfg::length() const {
  if (selected_ == FileDirectory) return 4 + u32{files_} * entry_bytes;
  const Item* item = find(selected_);
  if (item == nullptr) return 0;
  return item->value_size != 0 ? item->value_size
                               : static_cast<u32>(std::min<std::size_t>(item->bytes.size(), ~u32{0}));
}

u8 FwCfg::directory_byte(u32 offset) const {
  if (offset < 4) return big_endian_byte(files_, 4, offset);
  const u32 index = (offset - 4) / entry_bytes;
  const u32 at = (offset - 4) % entry_bytes;
  const Item* item = find(static_cast<u16>(FirstFile + index));
  if (item == nullptr) return 0;
  if (at < 4) return big_endian_byte(static_cast<u32>(item->bytes.size()), 4, at);
  if (at < 6) return big_endian_byte(item->key, 2, at - 4);
  return at < 8 ? u8{0} : static_cast<u8>(item->name[at - 8]);
}

u8 FwCfg::byte_at(u32 offset) const {
  if (offset >= length()) return 0;
  if (selected_ == FileDirectory) return directory_byte(offset);
  const Item* item = find(selected_);
  return item->value_size != 0 ? item->value[offset] : item->bytes[offset];
}

u8 FwCfg::next_byte() {
  const u8 byte = byte_at(position_);
  if (position_ < length()) ++position_;
  return byte;
}

void FwCfg::select(u16 key) {
  selected_ = static_cast<u16>(key & ~key_flags);
  position_ = 0;
}

u64 FwCfg::read(unsigned region, u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) {
    u8 byte = 0;
    if (region == 1) {
      byte = offset + i < dma_signature.size() ? dma_signature[offset + i] : u8{0};
    } else {
      byte = offset + i == 1 ? next_byte() : u8{0};
    }
    value |= u64{byte} << (8 * i);
  }
  return value;
}

void FwCfg::write(unsigned region, u64 offset, unsigned size, u64 value) {
  if (region == 0) {
    if (offset == 0 && size >= 2) select(static_cast<u16>(value));
    return;
  }
  for (unsigned i = 0; i < size && offset + i < dma_address_.size(); ++i) {
    dma_address_[offset + i] = static_cast<u8>(value >> (8 * i));
  }
  if (offset + size >= dma_address_.size()) run_dma();
}

void FwCfg::run_dma() {
  const u64 descriptor = big_endian<u64>(dma_address_);
  dma_address_.fill(0);
  std::array<u8, 16> raw;
  if (!host_.dma_read(descriptor, raw)) return;
  const u32 control = big_endian<u32>(std::span(raw).subspan(0, 4));
  const u32 size = big_endian<u32>(std::span(raw).subspan(4, 4));
  const u64 address = big_endian<u64>(std::span(raw).subspan(8, 8));
  const u32 result = transfer(control, size, address);
  std::array<u8, 4> answer;
  for (u32 i = 0; i < 4; ++i) answer[i] = big_endian_byte(result, 4, i);
  host_.dma_write(descriptor, answer);
  host_.hold_until(host_.dma_complete());
}

u32 FwCfg::transfer(u32 control, u32 size, u64 address) {
  if ((control & dma_select) != 0) select(static_cast<u16>(control >> 16));
  if ((control & dma_read) != 0) {
    std::array<u8, 4096> chunk;
    for (u32 done = 0; done < size;) {
      const u32 count = std::min<u32>(size - done, chunk.size());
      const Item* item = find(selected_);
      if (item != nullptr && item->value_size == 0 && position_ + u64{count} <= item->bytes.size()) {
        if (!host_.dma_write(address + done, item->bytes.subspan(position_, count))) return dma_error;
        position_ += count;
      } else {
        for (u32 i = 0; i < count; ++i) chunk[i] = next_byte();
        if (!host_.dma_write(address + done, std::span(chunk).first(count))) return dma_error;
      }
      done += count;
    }
    return 0;
  }
  if ((control & dma_write) != 0) return dma_error;  // no item is writable
  if ((control & dma_skip) != 0) position_ = static_cast<u32>(std::min<u64>(u64{position_} + size, length()));
  return 0;
}

void FwCfg::reset() {
  selected_ = 0;
  position_ = 0;
  dma_address_.fill(0);
}

void FwCfg::hash(StateHash& hash) const {
  hash.add(u64{selected_} << 32 | position_);
  hash.add(dma_address_);
}

}  // namespace bunshin
