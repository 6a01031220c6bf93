#include "devices/virtio_queue.h"

#include <algorithm>

namespace bunshin {
namespace {

constexpr u16 flag_next = 1, flag_write = 2, flag_indirect = 4;  // 2.7.5
constexpr u16 available_no_interrupt = 1;                        // 2.7.6
constexpr unsigned descriptor_bytes = 16;

u64 little_endian(std::span<const u8> bytes) {
  u64 value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

}  // namespace

u64 DescriptorChain::bytes(unsigned first, unsigned last) const {
  u64 sum = 0;
  for (unsigned i = first; i < last; ++i) sum += segments[i].length;
  return sum;
}

namespace {

/// Calls `copy(address, done, count)` for each piece of [offset, offset + size) in the segments.
template <class Copy>
bool for_each_piece(std::span<const DescriptorChain::Segment> segments, u64 offset, u64 size, Copy copy) {
  u64 done = 0;
  for (const auto& segment : segments) {
    if (done == size) break;
    if (offset >= segment.length) {
      offset -= segment.length;
      continue;
    }
    const u64 count = std::min<u64>(size - done, segment.length - offset);
    if (!copy(segment.address + offset, done, count)) return false;
    done += count;
    offset = 0;
  }
  return done == size;
}

}  // namespace

bool DescriptorChain::read(VirtioMemory& memory, u64 offset, std::span<u8> data) const {
  return for_each_piece(std::span(segments).first(readable), offset, data.size(),
                        [&](u64 address, u64 done, u64 n) { return memory.fetch(address, data.subspan(done, n)); });
}

bool DescriptorChain::write(VirtioMemory& memory, u64 offset, std::span<const u8> data) const {
  return for_each_piece(std::span(segments).subspan(readable, count - readable), offset, data.size(),
                        [&](u64 address, u64 done, u64 n) { return memory.store(address, data.subspan(done, n)); });
}

bool VirtQueue::read16(VirtioMemory& memory, u64 address, u16& value) const {
  std::array<u8, 2> bytes;
  if (!memory.fetch(address, bytes)) return false;
  value = static_cast<u16>(little_endian(bytes));
  return true;
}

bool VirtQueue::write16(VirtioMemory& memory, u64 address, u16 value) const {
  const std::array<u8, 2> bytes = {static_cast<u8>(value), static_cast<u8>(value >> 8)};
  return memory.store(address, bytes);
}

bool VirtQueue::read_descriptor(VirtioMemory& memory, u64 table, u32 index, Descriptor& descriptor) {
  std::array<u8, descriptor_bytes> raw;
  if (!memory.fetch(table + u64{index} * descriptor_bytes, raw)) return false;
  const std::span<const u8> bytes(raw);
  descriptor.address = little_endian(bytes.subspan(0, 8));
  descriptor.length = static_cast<u32>(little_endian(bytes.subspan(8, 4)));
  descriptor.flags = static_cast<u16>(little_endian(bytes.subspan(12, 2)));
  descriptor.next = static_cast<u16>(little_endian(bytes.subspan(14, 2)));
  return true;
}

bool VirtQueue::collect(VirtioMemory& memory, u64 table, u32 table_size, u32 index, bool indirect,
                        DescriptorChain& chain) const {
  for (u32 steps = 0; steps < table_size; ++steps) {  // a longer chain is a loop
    Descriptor descriptor;
    if (index >= table_size || !read_descriptor(memory, table, index, descriptor)) return false;
    if ((descriptor.flags & flag_indirect) != 0) {
      // 2.7.5.3.1: not nested, not chained, a whole number of descriptors.
      const u32 entries = descriptor.length / descriptor_bytes;
      if (indirect || (descriptor.flags & flag_next) != 0 || descriptor.length % descriptor_bytes != 0 ||
          entries == 0 || entries > 0xffff) {
        return false;
      }
      return collect(memory, descriptor.address, entries, 0, true, chain);
    }
    if (chain.count == DescriptorChain::max_segments) return false;
    const bool writable = (descriptor.flags & flag_write) != 0;
    if (!writable && chain.readable != chain.count) return false;  // readable after writable
    chain.segments[chain.count++] = {descriptor.address, descriptor.length};
    if (!writable) chain.readable = chain.count;
    if ((descriptor.flags & flag_next) == 0) return true;
    index = descriptor.next;
  }
  return false;
}

VirtQueue::Take VirtQueue::take(VirtioMemory& memory, bool event_index, DescriptorChain& chain) {
  if (!enabled) return Take::Empty;
  u16 available = 0;
  if (!read16(memory, driver + 2, available)) return Take::Broken;
  const u16 waiting = static_cast<u16>(available - next_available_);
  if (waiting > size) return Take::Broken;
  if (event_index && !write16(memory, device + 4 + u64{8} * size, available)) return Take::Broken;
  if (waiting == 0) return Take::Empty;
  u16 head = 0;
  if (!read16(memory, driver + 4 + u64{2} * (next_available_ % size), head) || head >= size) return Take::Broken;
  ++next_available_;
  chain.head = head;
  chain.readable = chain.count = 0;
  return collect(memory, descriptors, size, head, false, chain) ? Take::Chain : Take::Broken;
}

bool VirtQueue::complete(VirtioMemory& memory, bool event_index, u16 head, u32 written, bool& notify) {
  std::array<u8, 8> element{};
  for (unsigned i = 0; i < 4; ++i) element[i] = static_cast<u8>(u32{head} >> (8 * i));
  for (unsigned i = 0; i < 4; ++i) element[4 + i] = static_cast<u8>(written >> (8 * i));
  if (!memory.store(device + 4 + u64{8} * (next_used_ % size), element)) return false;
  const u16 old = next_used_++;
  if (!write16(memory, device + 2, next_used_)) return false;
  u16 word = 0;
  if (event_index) {
    if (!read16(memory, driver + 4 + u64{2} * size, word)) return false;
    // 2.7.10.1: used_event lies in [old, new).
    notify = static_cast<u16>(next_used_ - word - 1) < static_cast<u16>(next_used_ - old);
  } else {
    if (!read16(memory, driver, word)) return false;
    notify = (word & available_no_interrupt) == 0;
  }
  return true;
}

void VirtQueue::hash(StateHash& hash) const {
  hash.add(u64{size} << 48 | u64{msix_vector} << 32 | u64{next_available_} << 16 | next_used_);
  hash.add(descriptors);
  hash.add(driver);
  hash.add(device ^ u64{enabled});
}

}  // namespace bunshin
