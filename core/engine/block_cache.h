#pragma once

// Decoded code, by physical address and mode. Shared by all cores of a machine.

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "core/decode/decoder.h"
#include "core/record.h"
#include "mmu/memory/physical_memory.h"

namespace bunshin {

class Cpu;
struct BlockPlan;

/// A run of instructions that starts at one physical address in one mode. Its records follow it in memory:
///   entry           imm = number of instructions; never executed, jumped over by whoever enters the block
///   entry record    if the block is observed or probed (core/engine/observation.h)
///   instructions    each handler continues with the next record
///   terminator      leads on where the last instruction is no jump
///   one record more
/// The two records behind the one that ends the block are its links: imm = entry record of the block at the taken and at
/// the fall-through target, 0 while unknown.
/// An invalidated block stays in memory until the cache is cleared, with an entry count that no budget can pay: links and
/// jump caches that still point at it end up in the engine, which looks for the code anew.
struct Block {
  u64 physical = 0;     ///< of the first byte
  u64 second_page = 0;  ///< page of the last instruction's tail if that crosses a page (then the only one), else 0
  u32 mode = 0;         ///< Cpu::mode_key
  u16 bytes = 0;
  bool alone = false;     ///< its one instruction needs the exact time
  bool observed = false;  ///< is reported to an observer
  bool probed = false;    ///< somebody may wait for its first instruction
  u8 instructions = 0;
  /// If its last two records are fused (core/execute/fusion.h): the handler that does the first one's work only.
  Handler unfused = nullptr;
  /// Of the pipeline models (core/timing/block_plan.h), which make it when they first see the block.
  mutable const BlockPlan* plan = nullptr;
  Block* next_in_bucket = nullptr;
  Block* next_in_page = nullptr;
  Block* next_crossing = nullptr;

  static constexpr u64 stale_count = u64{1} << 62;
  Record* entry() { return reinterpret_cast<Record*>(this + 1); }
  const Record* entry() const { return reinterpret_cast<const Record*>(this + 1); }
  /// The first instruction.
  const Record* first() const { return entry() + (observed || probed ? 2 : 1); }
  static const Block& of(const Record* entry) { return *(reinterpret_cast<const Block*>(entry) - 1); }
};
static_assert(sizeof(Block) % alignof(Record) == 0);

/// Told when fetched code must be forgotten by the cores.
class CodeListener {
 public:
  /// The page holds code from now on: fast writes to it must end.
  virtual void page_gained_code(HostPhysical page) = 0;
  /// Bytes of marked granules are about to change (or to be written with what they are, if somebody waits for that).
  virtual void marked_memory_written(HostPhysical address, u64 size) = 0;
  /// All blocks are gone; no pointer to one may be kept.
  virtual void blocks_cleared() = 0;

 protected:
  ~CodeListener() = default;
};

class BlockCache final : public CodeWatcher {
 public:
  static constexpr unsigned max_instructions = 64;

  explicit BlockCache(PhysicalMemory& memory);
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;
  void add_listener(CodeListener* listener) { listeners_.push_back(listener); }

  /// Addresses at which CoreEnvironment::reached() wants to be asked. By their offset in the page, because a block's linear
  /// address is not its own: blocks at other pages' same offsets ask as well. Forgets all blocks. Between runs.
  void set_probes(std::span<const u64> linear);
  /// No block that begins elsewhere contains the instruction there.
  bool is_probed(unsigned page_offset) const {
    return !probes_.empty() && std::find(probes_.begin(), probes_.end(), page_offset) != probes_.end();
  }

  Block* find(u64 physical, u32 mode) const {
    Block* b = buckets_[bucket(physical, mode)];
    while (b != nullptr && (b->physical != physical || b->mode != mode)) b = b->next_in_bucket;
    return b;
  }
  /// Stores a block of `count` instructions; `records` are those and the terminator behind them.
  Block* insert(const Block& header, std::span<const Record> records, u64 count);
  void clear();
  void code_written(HostPhysical address, u64 size) override;
  void line_watched(HostPhysical page) override;

  /// Statistics.
  u64 blocks_decoded = 0;
  u64 instructions_decoded = 0;
  u64 invalidations = 0;
  u64 clears = 0;
  u64 bytes_used() const { return used_; }

 private:
  static constexpr unsigned bucket_count = 1u << 16;
  static constexpr u64 chunk_bytes = u64{1} << 20;
  static constexpr u64 max_bytes = u64{96} << 20;
  static unsigned bucket(u64 physical, u32 mode) {
    return static_cast<unsigned>((physical ^ (physical >> 16) ^ (u64{mode} * 0x9e37)) % bucket_count);
  }
  void* allocate(u64 bytes);
  void remove(Block* block);
  template <class Visit>
  void for_page(u64 page, Visit visit);
  /// Marks the block's granules as code.
  void mark(const Block& block, bool tell_listeners);

  PhysicalMemory& memory_;
  std::vector<u16> probes_;  ///< offsets in a page
  std::vector<CodeListener*> listeners_;
  std::vector<Block*> buckets_;
  std::vector<Block*> pages_;     ///< blocks that start in a page, by hash of the page number
  std::vector<Block*> crossing_;  ///< blocks whose tail lies in a page, likewise
  std::vector<std::unique_ptr<u8[]>> chunks_;
  u64 used_ = 0;
  u64 chunk_left_ = 0;
};

}  // namespace bunshin
