#include "core/engine/block_cache.h"

#include <algorithm>
#include <new>

namespace bunshin {

namespace {

constexpr unsigned page_lists = 1u << 14;

unsigned page_list(u64 physical) {
  const u64 page = physical >> page_shift;
  return static_cast<unsigned>(page ^ (page >> 14)) % page_lists;
}

bool overlaps(const Block& b, u64 address, u64 size) {
  if (b.second_page == 0) return b.physical < address + size && address < b.physical + b.bytes;
  const u64 first = page_size - (b.physical & (page_size - 1));
  return (b.physical < address + size && address < b.physical + first) ||
         (b.second_page < address + size && address < b.second_page + (b.bytes - first));
}

}  // namespace

BlockCache::BlockCache(PhysicalMemory& memory)
    : memory_(memory), buckets_(bucket_count), pages_(page_lists), crossing_(page_lists) {
  memory_.set_code_watcher(this);
}

BlockCache::~BlockCache() { memory_.set_code_watcher(nullptr); }

void BlockCache::set_probes(std::span<const u64> linear) {
  probes_.clear();
  for (const u64 address : linear) probes_.push_back(static_cast<u16>(address & (page_size - 1)));
  clear();
}

void* BlockCache::allocate(u64 bytes) {
  if (bytes > chunk_left_) {
    chunks_.push_back(std::make_unique<u8[]>(chunk_bytes));
    chunk_left_ = chunk_bytes;
    used_ += chunk_bytes;
  }
  u8* at = chunks_.back().get() + (chunk_bytes - chunk_left_);
  chunk_left_ -= bytes;
  return at;
}

Block* BlockCache::insert(const Block& header, std::span<const Record> records, u64 count) {
  if (used_ >= max_bytes) clear();
  const u64 bytes = sizeof(Block) + (records.size() + 3) * sizeof(Record);
  auto* block = new (allocate((bytes + 15) & ~u64{15})) Block(header);
  Record* record = block->entry();
  Record entry;
  entry.imm = count;
  new (record++) Record(entry);
  for (const Record& r : records) new (record++) Record(r);
  new (record++) Record();
  new (record) Record();

  const auto push = [block](Block*& head, Block* Block::*link) {
    block->*link = head;
    head = block;
  };
  push(buckets_[bucket(block->physical, block->mode)], &Block::next_in_bucket);
  push(pages_[page_list(block->physical)], &Block::next_in_page);
  if (block->second_page != 0) push(crossing_[page_list(block->second_page)], &Block::next_crossing);
  mark(*block, true);
  ++blocks_decoded;
  instructions_decoded += count;
  return block;
}

void BlockCache::mark(const Block& block, bool tell_listeners) {
  const auto mark_bytes = [&](HostPhysical at, u64 size) {
    if (!memory_.mark_code(at, size) || !tell_listeners) return;
    for (CodeListener* l : listeners_) l->page_gained_code(at.page());
  };
  const u64 in_first = std::min<u64>(block.bytes, page_size - (block.physical & (page_size - 1)));
  mark_bytes(HostPhysical(block.physical), in_first);
  if (block.second_page != 0) mark_bytes(HostPhysical(block.second_page), block.bytes - in_first);
}

void BlockCache::remove(Block* block) {
  const auto unlink = [block](Block** at, Block* Block::*link) {
    while (*at != block) at = &((*at)->*link);
    *at = block->*link;
  };
  unlink(&buckets_[bucket(block->physical, block->mode)], &Block::next_in_bucket);
  unlink(&pages_[page_list(block->physical)], &Block::next_in_page);
  if (block->second_page != 0) unlink(&crossing_[page_list(block->second_page)], &Block::next_crossing);
  block->entry()->imm = Block::stale_count;
}

/// Visits every block with a byte in the page; the visitor may remove the block it is given.
template <class Visit>
void BlockCache::for_page(u64 page, Visit visit) {
  for (Block *b = pages_[page_list(page)], *following = nullptr; b != nullptr; b = following) {
    following = b->next_in_page;
    if ((b->physical & ~(page_size - 1)) == page) visit(b);
  }
  for (Block *b = crossing_[page_list(page)], *following = nullptr; b != nullptr; b = following) {
    following = b->next_crossing;
    if (b->second_page == page) visit(b);
  }
}

void BlockCache::code_written(HostPhysical address, u64 size) {
  for (CodeListener* l : listeners_) l->marked_memory_written(address, size);
  const u64 page = address.page().value;
  ++invalidations;
  for_page(page, [&](Block* b) {
    if (overlaps(*b, address.value, size)) remove(b);
  });
  memory_.clear_code(HostPhysical(page));
  for_page(page, [&](Block* b) { mark(*b, false); });
}

void BlockCache::line_watched(HostPhysical page) {
  for (CodeListener* l : listeners_) l->page_gained_code(page);
}

void BlockCache::clear() {
  for (const Block* head : pages_) {
    for (const Block* b = head; b != nullptr; b = b->next_in_page) {
      memory_.clear_code(HostPhysical(b->physical).page());
      if (b->second_page != 0) memory_.clear_code(HostPhysical(b->second_page));
    }
  }
  std::fill(buckets_.begin(), buckets_.end(), nullptr);
  std::fill(pages_.begin(), pages_.end(), nullptr);
  std::fill(crossing_.begin(), crossing_.end(), nullptr);
  chunks_.clear();
  used_ = 0;
  chunk_left_ = 0;
  ++clears;
  for (CodeListener* l : listeners_) l->blocks_cleared();
}

}  // namespace bunshin
