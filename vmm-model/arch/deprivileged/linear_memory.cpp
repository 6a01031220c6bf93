#include "vmm-model/arch/deprivileged/linear_memory.h"

#include <algorithm>
#include <bit>

namespace bunshin::vmm::deprivileged {

namespace {

std::size_t part_of(u32 linear, std::size_t left) {
  return std::min<std::size_t>(left, page_size - (linear & (page_size - 1)));
}

}  // namespace

bool LinearMemory::walk(u32 linear, WalkAccess access, GuestPhysical& address) {
  const u32 tag =
      (linear & ~u32{page_size - 1}) | 8 | (access.write ? 4 : 0) | (access.execute ? 2 : 0) | (access.user ? 1 : 0);
  Kept& kept = kept_[((linear >> page_shift) ^ (access.write ? 32 : 0)) % kept_translations];
  if (kept.tag == tag) {
    address = GuestPhysical(kept.page | (linear & (page_size - 1)));
    return true;
  }
  const GuestTranslation t = walk_guest(*memory_, paging_->controls(), Linear(linear), access, true);
  address = t.address;
  if (!t.fault) {
    kept = {tag, t.address.page().value};
    return true;
  }
  error_code_ = t.error_code;
  address_ = linear;
  return false;
}

bool LinearMemory::translate(u32 linear, WalkAccess access, GuestPhysical& address) {
  return walk(linear, access, address) && memory_->contains(address.page(), page_size);
}

bool LinearMemory::read(u32 linear, std::span<u8> bytes, WalkAccess access) {
  while (!bytes.empty()) {
    GuestPhysical address;
    if (!walk(linear, access, address)) return false;
    const std::span<u8> part = bytes.first(part_of(linear, bytes.size()));
    if (memory_->read(address, part)) {
      listener_->restore_code(address, part);
    } else {
      std::fill(part.begin(), part.end(), u8{0xff});
    }
    linear += static_cast<u32>(part.size());
    bytes = bytes.subspan(part.size());
  }
  return true;
}

bool LinearMemory::write(u32 linear, std::span<const u8> bytes, bool user) {
  const WalkAccess access{true, false, user};
  GuestPhysical first, last;
  const u32 end = linear + static_cast<u32>(bytes.size()) - 1;
  if (!walk(linear, access, first) || !walk(end, access, last)) return false;
  const std::size_t split = part_of(linear, bytes.size());
  const auto put = [&](GuestPhysical address, std::span<const u8> part) {
    if (!part.empty() && memory_->write(address, part)) {
      paging_->memory_written(address, part.size());
      listener_->memory_written(address, part.size());
    }
  };
  put(first, bytes.first(split));
  put(last.page(), bytes.subspan(split));
  return true;
}

bool LinearMemory::read(u32 linear, unsigned size, u64& value, bool user) {
  std::array<u8, 8> bytes{};
  if (!read(linear, std::span(bytes).first(size), {false, false, user})) return false;
  value = std::bit_cast<u64>(bytes);
  return true;
}

bool LinearMemory::write(u32 linear, unsigned size, u64 value, bool user) {
  const std::array<u8, 8> bytes = std::bit_cast<std::array<u8, 8>>(value);
  return write(linear, std::span(bytes).first(size), user);
}

Exit LinearMemory::fault() const {
  Exit exit;
  exit.reason = ExitReason::PageFault;
  exit.number = vector::PF;
  exit.address = address_;
  exit.error_code = error_code_;
  return exit;
}

}  // namespace bunshin::vmm::deprivileged
