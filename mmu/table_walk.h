#pragma once

// The one loop that goes down paging structures, whatever their format and dimension (SDM vol. 3, 4.3 to 4.5 and 29.3;
// AMD APM vol. 2, 5.3 and 15.25). Format, controls, where to begin and the stage below are its input; what the entries' rights
// mean is for whoever asked (mmu/walker for the guest's own tables, mmu/second_stage for those below).

#include <array>
#include <optional>

#include "base/address.h"
#include "mmu/access.h"
#include "mmu/memory/physical_memory.h"
#include "mmu/memory_type.h"
#include "mmu/paging_mode.h"
#include "mmu/structure_cache.h"

namespace bunshin {

class EntryCache;

/// Why the second stage is asked: it has rights of its own, and a table is not data.
enum class SecondStageAccess : u8 {
  TableRead,
  TableWrite,  ///< A or D is being set
  PdpteRead,   ///< MOV CR3 in PAE paging loads registers: a read even where a walk's are writes (SDM vol. 3, 29.3.3.2)
  Read,
  Write,
  Execute
};

struct SecondStageResult {
  HostPhysical address;
  bool faulted = false;  ///< what went wrong stays with the second stage
  u8 shift = 63;         ///< log2 of the bytes around the address that are mapped together
  AccessKinds kinds = all_kinds;
  bool dirty = true;  ///< a write has nothing more to set
  /// EPT: of the page, and whether the guest's PAT is to be ignored.
  MemoryType memory_type = MemoryType::WriteBack;
  bool ignore_pat = false;
};

/// Guest-physical to host-physical. A walker without one is not virtualized: the identity.
class SecondStage {
 public:
  /// `user_page`: what the page's linear address is in the guest's tables, which decides which of two rights to execute counts
  /// (SDM vol. 3, 29.3.2). Without paging every address is a user's.
  virtual SecondStageResult translate(GuestPhysical address, SecondStageAccess access, bool user_page = true) = 0;
  /// Without checks, updates, observer or counters. Empty if not mapped.
  virtual std::optional<HostPhysical> peek(GuestPhysical address) const = 0;

 protected:
  ~SecondStage() = default;
};

/// One reference to a paging structure.
struct WalkReference {
  u8 dimension = 1;  ///< 1: the guest's own tables, 2: the second stage's
  u8 level = 0;      ///< 1 holds the entries that map 4 KiB pages
  HostPhysical address;
  u64 entry = 0;             ///< as read, before A and D are set, or as written
  bool update = false;       ///< A or D is being set
  bool cached = false;       ///< the entry came from a cache of entries, not from memory
  bool by_software = false;  ///< an ordinary load or store of a handler, not the walker's
  u8 bytes = 8;
};

class WalkObserver {
 public:
  virtual void reference(const WalkReference& reference) = 0;
  /// Cycles that pass before the next reference, beside those of references.
  virtual void delay(u64 /*cycles*/) {}

 protected:
  ~WalkObserver() = default;
};

/// The controls that decide what a format's entries may say.
struct TableControls {
  PagingMode mode = PagingMode::None;
  u8 physical_bits = 46;            ///< MAXPHYADDR, 32 to 52
  bool pse = false;                 ///< 4 MiB pages in 32-bit paging
  bool pse36 = true;                ///< … above 4 GiB
  bool no_execute = false;          ///< EFER.NXE
  bool large_pages = true;          ///< 2 MiB pages; an option of EPT only
  bool gigabyte_pages = true;       ///< 1 GiB pages
  bool accessed_dirty = true;       ///< A and D exist; EPT: EPTP bit 6
  bool mode_based_execute = false;  ///< EPT: bit 10 is a right
  bool execute_only = true;         ///< EPT: a page may be executable and not readable
  bool root_in_memory = false;      ///< PAE: no page-directory-pointer registers (APM vol. 2, 15.25)
  bool operator==(const TableControls&) const = default;
};

class TableWalk {
 public:
  /// One level of the format with the controls in force.
  struct Level {
    u8 shift = 0;        ///< of the table index within the address
    bool large = false;  ///< PS maps a page here
    u32 index_mask = 0;
    u64 reserved_table = 0;  ///< reserved in an entry that references a table
    u64 reserved_leaf = 0;   ///< … that maps a page
    /// Values of bits 5:0 that may not be, one bit for each (EPT misconfigurations).
    u64 forbidden_table = 0, forbidden_leaf = 0;
    u64 granted = 0;  ///< rights that entries of this level say nothing about
    u64 accessed = 0, dirty = 0;
  };
  struct Step {
    GuestPhysical guest;
    HostPhysical address;
    u64 entry = 0;
    bool writable = true;  ///< as far as the stage below is concerned
  };
  enum class Stop : u8 { Leaf, NotPresent, Reserved, SecondStage };
  /// Where a walk begins: at the root, or below an entry that was cached.
  struct Start {
    unsigned level = 0;
    u64 table = 0;
    u64 permits = ~u64{0};
  };
  /// A walk down the tables, as found.
  struct Path {
    Stop stop = Stop::NotPresent;
    u8 level = 0;  ///< of the last entry read
    u8 references = 0;
    Start start;
    u64 permits = ~u64{0};  ///< rights bits that every entry grants
    std::array<Step, 5> steps;

    u64 leaf() const { return steps[references - 1].entry; }
    unsigned level_of(unsigned step) const { return level + references - 1u - step; }
  };
  /// What lies around a walk.
  struct Environment {
    WalkObserver* observer = nullptr;
    SecondStage* below = nullptr;
    EntryCache* entries = nullptr;
    /// Look, and touch nothing: the stage below is only peeked at.
    bool peek = false;
  };

  TableWalk(PhysicalMemory& memory, u8 dimension) : memory_(memory), dimension_(dimension) {}

  /// Derives the levels if something has changed.
  void set_controls(const TableControls& controls) {
    if (controls == controls_) return;
    controls_ = controls;
    derive_levels();
  }
  const TableControls& controls() const { return controls_; }
  const PagingFormat& format() const { return *format_; }
  unsigned levels() const { return format_->levels; }
  const Level& level(unsigned level) const { return levels_[level]; }
  bool root_in_registers() const { return format_->root_in_registers && !controls_.root_in_memory; }

  /// Where a walk for `address` may begin below an entry that `caches`, of kind `translation`, hold for the address space. False:
  /// at the root; and so it is for caches of the other kind, and for none (null).
  bool start_cached(u64 address, u64 space, StructureCache* caches, Start& start) const;
  /// Such caches keep the entries above the leaf of a path.
  void cache_path(u64 address, u64 space, StructureCache* caches, const Path& path) const;
  /// From path.start down to a leaf or to what stops it. An entry outside RAM reads as all ones, as an unclaimed bus address
  /// does; in most formats that is a reserved-bit fault.
  void descend(u64 address, const Environment& environment, Path& path) const;
  /// Sets A in all entries of a path that has ended at a leaf, and D in that one. False: the stage below forbids it.
  bool set_accessed_dirty(Path& path, bool write, const Environment& environment);

  /// What `address` is in the page that the path's leaf maps.
  GuestPhysical mapped(const Path& path, u64 address) const;
  static constexpr u64 address_mask = entry_address_bits;

 private:
  void derive_levels();
  void derive_reserved(unsigned level);
  void derive_ept(unsigned level);
  u64 read_entry(HostPhysical address) const;
  void write_entry(HostPhysical address, u64 entry);
  void observe(const Environment& environment, const Path& path, const Step& step) const;
  bool locate(const Environment& environment, Step& step) const;

  PhysicalMemory& memory_;
  TableControls controls_;
  const PagingFormat* format_ = &paging_format(PagingMode::None);
  std::array<Level, 6> levels_;  ///< by level; [0] unused
  u64 present_ = 0;
  const u8 dimension_;
};

}  // namespace bunshin
