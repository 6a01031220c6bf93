#pragma once

// What an observed core did to memory, in program order: the raw material of timing models and statistics.

#include <cstddef>
#include <span>
#include <vector>

#include "base/address.h"

namespace bunshin {

/// Where a translation was found.
enum class TlbOutcome : u8 {
  FirstLevel,
  SecondLevel,  ///< in the architectural TLB
  Walked,       ///< the references before it in the log are the walk's
};

struct MemoryReference {
  enum class Kind : u8 {
    Load,
    Store,
    TableRead,      ///< a page walk reads a paging-structure entry; belongs to the next reference of another kind
    TableUpdate,    ///< … sets A or D in it
    LineFlush,      ///< CLFLUSH, CLFLUSHOPT
    LineWriteBack,  ///< CLWB
  };
  u64 linear = 0;  ///< of a walk: the address being translated
  HostPhysical physical;
  u16 bytes = 0;  ///< within one page
  Kind kind = Kind::Load;
  bool fast = false;                        ///< served by the fast translation cache
  u8 dimension = 0;                         ///< of table references: 1 the guest's own tables, 2 the second stage's
  u8 level = 0;                             ///< … 1 holds the entries that map 4 KiB pages
  TlbOutcome tlb = TlbOutcome::FirstLevel;  ///< of loads and stores, if first-level TLBs are modeled
};

/// Fixed room: what does not fit (a REP instruction's thousands of elements) is dropped.
class ReferenceLog {
 public:
  static constexpr std::size_t capacity = 8192;

  /// Before the first add().
  void reserve() { references_.resize(capacity); }
  void add(const MemoryReference& reference) {
    if (size_ < references_.size()) [[likely]]
      references_[size_++] = reference;
  }
  std::span<const MemoryReference> references() const { return {references_.data(), size_}; }
  std::size_t size() const { return size_; }
  void clear() { size_ = 0; }

 private:
  std::vector<MemoryReference> references_;
  std::size_t size_ = 0;
};

}  // namespace bunshin
