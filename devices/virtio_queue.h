#pragma once

// A split virtqueue, device side (Virtual I/O Device 1.2, section 2.7). Everything in it was written by the driver and
// is checked as such: no ring can make a walk longer than its size.

#include <array>
#include <span>

#include "base/state_hash.h"
#include "base/types.h"

namespace bunshin {

/// The bus-master port that a virtqueue reaches guest memory through.
class VirtioMemory {
 public:
  virtual bool fetch(u64 address, std::span<u8> data) = 0;
  virtual bool store(u64 address, std::span<const u8> data) = 0;

 protected:
  ~VirtioMemory() = default;
};

/// The buffers of one request: device-readable ones first, then device-writable ones (2.7.4.2).
struct DescriptorChain {
  static constexpr unsigned max_segments = 256;
  struct Segment {
    u64 address = 0;
    u32 length = 0;
  };
  u16 head = 0;
  unsigned readable = 0;  ///< segments [0, readable) are device-readable
  unsigned count = 0;
  std::array<Segment, max_segments> segments{};

  u64 readable_bytes() const { return bytes(0, readable); }
  u64 writable_bytes() const { return bytes(readable, count); }
  /// Copies from the device-readable bytes, from `offset` on; false if they are too few or memory does not answer.
  bool read(VirtioMemory& memory, u64 offset, std::span<u8> data) const;
  /// Copies to the device-writable bytes.
  bool write(VirtioMemory& memory, u64 offset, std::span<const u8> data) const;

 private:
  u64 bytes(unsigned first, unsigned last) const;
};

class VirtQueue {
 public:
  static constexpr u16 max_size = 256;
  enum class Take : u8 { Empty, Chain, Broken };

  // Registers of the common configuration (4.1.4.3), valid while `enabled` is written last.
  u16 size = max_size;
  u16 msix_vector = 0xffff;
  bool enabled = false;
  u64 descriptors = 0;
  u64 driver = 0;
  u64 device = 0;

  /// Takes the next request. Broken: the ring breaks the rules, the device needs a reset.
  Take take(VirtioMemory& memory, bool event_index, DescriptorChain& chain);
  /// Returns a request with `written` bytes; `notify`: the driver wants an interrupt. False if memory does not answer.
  bool complete(VirtioMemory& memory, bool event_index, u16 head, u32 written, bool& notify);
  void reset() { *this = VirtQueue{}; }
  void hash(StateHash& hash) const;

 private:
  struct Descriptor {
    u64 address = 0;
    u32 length = 0;
    u16 flags = 0;
    u16 next = 0;
  };
  bool read16(VirtioMemory& memory, u64 address, u16& value) const;
  bool write16(VirtioMemory& memory, u64 address, u16 value) const;
  static bool read_descriptor(VirtioMemory& memory, u64 table, u32 index, Descriptor& descriptor);
  bool collect(VirtioMemory& memory, u64 table, u32 table_size, u32 index, bool indirect, DescriptorChain& chain) const;

  u16 next_available_ = 0;
  u16 next_used_ = 0;
};

}  // namespace bunshin
