#include "vmm-model/arch/deprivileged/linear_memory.h"

#include <algorithm>
#include <bit>

namespace bunshin::vmm::deprivileged {

namespace {

u32 offset_in_page(u32 linear) { return linear & u32{page_size - 1}; }

std::size_t part_of(u32 linear, std::size_t left) {
  return std::min<std::size_t>(left, page_size - offset_in_page(linear));
}

}  // namespace

u32 LinearMemory::next_stamp() {
  if (++stamp_ != 0) return stamp_;
  kept_ = {};
  regions_ = {};
  forgotten_ = {1, 1};
  return stamp_ = 1;
}

const LinearMemory::Page* LinearMemory::walk(u32 linear, WalkAccess access) {
  const GuestTranslation t = walk_guest(*memory_, paging_->controls(), Linear(linear), access, true);
  if (t.fault) {
    error_code_ = t.error_code;
    address_ = linear;
    return nullptr;
  }
  const GuestPhysical page = t.address.page();
  const bool memory = memory_->contains(page, page_size);
  Kept& kept = slot(linear, access);
  kept = {
      tag_of(linear, access), stamp_, {page, memory ? memory_->host(page) : HostPhysical{}, memory, false, t.global}};
  kept.page.code = memory && listener_->holds_code(page);
  return &kept.page;
}

bool LinearMemory::read(u32 linear, std::span<u8> bytes, WalkAccess access) {
  while (!bytes.empty()) {
    const Page* const page = find(linear, access);
    if (page == nullptr) return false;
    const std::span<u8> part = bytes.first(part_of(linear, bytes.size()));
    if (page->memory) {
      hardware_.read(page->host + offset_in_page(linear), part);
      if (page->code) listener_->restore_code(page->address + offset_in_page(linear), part);
    } else {
      std::fill(part.begin(), part.end(), u8{0xff});
    }
    linear += static_cast<u32>(part.size());
    bytes = bytes.subspan(part.size());
  }
  return true;
}

void LinearMemory::written(GuestPhysical address, u64 bytes) {
  paging_->memory_written(address, bytes);
  listener_->memory_written(address, bytes);
}

// What is told of the write may forget the page.
void LinearMemory::store(const Page& page, u32 linear, std::span<const u8> bytes) {
  if (bytes.empty() || !page.memory) return;
  const GuestPhysical address = page.address + offset_in_page(linear);
  hardware_.write(page.host + offset_in_page(linear), bytes);
  written(address, bytes.size());
}

bool LinearMemory::write(u32 linear, std::span<const u8> bytes, bool user) {
  const WalkAccess access{true, false, user};
  const std::size_t split = part_of(linear, bytes.size());
  const u32 end = linear + static_cast<u32>(bytes.size()) - 1;
  const Page* const first = find(linear, access);
  if (first == nullptr) return false;
  const Page first_page = *first;
  const Page* const last = find(end, access);
  if (last == nullptr) return false;
  const Page last_page = *last;
  store(first_page, linear, bytes.first(split));
  store(last_page, linear + static_cast<u32>(split), bytes.subspan(split));
  return true;
}

bool LinearMemory::read(u32 linear, unsigned size, u64& value, bool user) {
  const WalkAccess access{false, false, user};
  const bool loadable = (size & (size - 1)) == 0 && offset_in_page(linear) + size <= page_size;
  const Page* const page = loadable ? find(linear, access) : nullptr;
  if (page != nullptr && page->memory && !page->code) {
    value = hardware_.load(page->host + offset_in_page(linear), size);
    return true;
  }
  if (loadable && page == nullptr) return false;
  std::array<u8, 8> bytes{};
  if (!read(linear, std::span(bytes).first(size), access)) return false;
  value = std::bit_cast<u64>(bytes);
  return true;
}

bool LinearMemory::write(u32 linear, unsigned size, u64 value, bool user) {
  const std::array<u8, 8> bytes = std::bit_cast<std::array<u8, 8>>(value);
  if (offset_in_page(linear) + size > page_size) return write(linear, std::span(bytes).first(size), user);
  const Page* const page = find(linear, {true, false, user});
  if (page == nullptr) return false;
  store(*page, linear, std::span(bytes).first(size));
  return true;
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
