#pragma once

// Bookkeeping of shadow page tables (CHAPTER S15): which table shadows which page of the guest's, who points to it, and through
// which entries a guest page can be written.

#include "vmm-model/guest_memory.h"
#include "vmm-model/page_pool.h"

namespace bunshin::vmm {

/// Which part of which guest table a shadow table stands for. A guest table of 4-byte entries needs two or four of ours.
struct ShadowKey {
  u32 page = 0;  ///< GuestMemory::page_index
  u8 level = 0;
  u8 quadrant = 0;
  bool narrow = false;  ///< 4-byte entries
  u8 view = 0;          ///< GuestPaging::views()
  bool operator==(const ShadowKey&) const = default;
};

class ShadowPages {
 public:
  static constexpr u32 none = ~u32{0};
  /// Tables that may shadow one guest page: levels 1 to 4, or the parts of 32-bit paging's two, in two views.
  static constexpr unsigned max_roles = 16;

  struct Table {
    ShadowKey key;
    bool used = false;
    bool keyed = false;  ///< false: pieces of a large page, or a root of our own; one entry points to it
    u32 next = none;     ///< of the same guest page, or free
    u32 parents = 0;     ///< entries that point to it
    u64 parent = 0;      ///< address of one of them, if there is one only
    u32 writes = 0;      ///< by the guest since it was last of use
  };

  ShadowPages(Hardware& hardware, PagePool& pool, GuestMemory& memory)
      : hardware_(hardware), pool_(pool), memory_(memory) {}
  /// Memory for as many tables as the guest's size calls for. False: there is none.
  bool start();

  /// A table, of whatever content; none: all are in use.
  u32 allocate();
  u32 allocate(const ShadowKey& key);
  /// The caller has dropped its entries and those that point to it.
  void release(u32 index);
  void release_all();
  u32 find(const ShadowKey& key) const;
  /// First table that shadows a guest page; go on with Table::next.
  u32 first_of(u32 page) const { return pages_[page].tables; }
  bool shadowed(u32 page) const { return pages_[page].tables != none; }

  Table& table(u32 index) { return tables_[index]; }
  const Table& table(u32 index) const { return tables_[index]; }
  u32 count() const { return count_; }
  u32 in_use() const { return in_use_; }
  HostPhysical address(u32 index) const { return HostPhysical(block_.value + u64{index} * page_size); }
  u32 index_of(u64 table_address) const { return static_cast<u32>((table_address - block_.value) >> page_shift); }

  /// The entry at `entry` makes the page writable, or no longer. False: no room to remember it.
  bool add_writer(u32 page, HostPhysical entry);
  void remove_writer(u32 page, HostPhysical entry);
  /// Takes the right to write from all entries of the page. True: there were some.
  bool write_protect(u32 page);

 private:
  struct Page {
    u32 tables = none;
    u32 writers = none;
  };
  struct Writer {
    u64 entry = 0;
    u32 next = none;
  };

  Hardware& hardware_;
  PagePool& pool_;
  GuestMemory& memory_;
  HostPhysical block_;
  Table* tables_ = nullptr;
  Page* pages_ = nullptr;
  Writer* writers_ = nullptr;
  u32 count_ = 0, in_use_ = 0, free_ = none;
  u32 writer_count_ = 0, free_writers_ = none;
};

}  // namespace bunshin::vmm
