#pragma once

// The hardware page walker: one loop for every paging mode (SDM vol. 3, 4.3 to 4.5), with a second stage under it.

#include <array>
#include <optional>

#include "base/address.h"
#include "base/fault.h"
#include "mmu/access.h"
#include "mmu/memory/physical_memory.h"
#include "mmu/paging_mode.h"
#include "mmu/structure_cache.h"

namespace bunshin {

/// Why the second stage is asked: it has rights of its own, and a table is not data.
enum class SecondStageAccess : u8 { TableRead, TableWrite, Read, Write, Execute };

struct SecondStageResult {
  HostPhysical address;
  bool faulted = false;  ///< what went wrong stays with the second stage
};

/// Guest-physical to host-physical. A walker without one is not virtualized: the identity.
class SecondStage {
 public:
  virtual SecondStageResult translate(GuestPhysical address, SecondStageAccess access) = 0;

 protected:
  ~SecondStage() = default;
};

/// One reference to a paging structure.
struct WalkReference {
  u8 dimension = 1;  ///< 1: the guest's own tables, 2: the second stage's
  u8 level = 0;      ///< 1 holds the entries that map 4 KiB pages
  HostPhysical address;
  u64 entry = 0;        ///< as read, before A and D are set, or as written
  bool update = false;  ///< A or D is being set
};

class WalkObserver {
 public:
  virtual void reference(const WalkReference& reference) = 0;

 protected:
  ~WalkObserver() = default;
};

/// What a successful walk found.
struct Translation {
  HostPhysical page;      ///< of the whole page, aligned to its size
  u8 shift = page_shift;  ///< log2 of the page's size in bytes
  u8 pat_index = 0;       ///< PAT:PCD:PWT of the leaf entry
  bool global = false;    ///< G, if CR4.PGE
  bool dirty = false;     ///< the leaf's D is set
  PageRights rights;
};

enum class WalkOutcome : u8 { Translated, PageFault, SecondStageFault };

struct WalkResult {
  WalkOutcome outcome = WalkOutcome::PageFault;
  u32 error_code = 0;  ///< of the page fault
  Translation translation;
};

class Walker {
 public:
  explicit Walker(PhysicalMemory& memory) : memory_(memory) { set_context(context_); }

  /// Derives index, size and reserved-bit layout when what they depend on has changed.
  void set_context(const PagingContext& context);
  /// The same when only these changed.
  void set_privilege(bool user, bool access_override) {
    context_.user = user;
    context_.access_override = access_override;
  }
  /// Null: none.
  void set_observer(WalkObserver* observer) { observer_ = observer; }
  /// Null: walks begin at the root. Whoever sets them flushes them.
  void set_structure_caches(StructureCache* caches) { structures_ = caches; }
  void set_second_stage(SecondStage* stage) { second_stage_ = stage; }

  /// Walks for `access`: permissions, then A and D (set in all entries used, only if the access is permitted; SDM
  /// vol. 3, 4.8 leaves open whether a faulting access sets A). Not for PagingMode::None. A table outside RAM reads as
  /// all ones, as an unclaimed bus address does; in most modes that is a reserved-bit fault.
  WalkResult walk(Linear address, const Access& access);
  /// Walks without checks, updates, observer or counters. Empty if not mapped.
  std::optional<HostPhysical> peek(Linear address) const;

  /// Loads the PAE page-directory-pointer registers from the table at `cr3` (SDM vol. 3, 4.4.1). False, `pdptes`
  /// unchanged, if a present entry has a reserved bit set: #GP(0).
  bool load_pdptes(u64 cr3, unsigned physical_bits, std::array<u64, 4>& pdptes) const;

  /// Counters; the references stay valid for statistics.
  const u64& walks() const { return walks_; }
  const u64& references() const { return references_; }

 private:
  /// One level of the current mode with the current controls.
  struct Level {
    u8 shift = 0;        ///< of the table index within the linear address
    bool large = false;  ///< PS maps a page here
    u32 index_mask = 0;
    u64 reserved_table = 0;  ///< reserved in an entry that references a table
    u64 reserved_leaf = 0;   ///< … that maps a page
  };
  struct Step {
    GuestPhysical guest;
    HostPhysical address;
    u64 entry = 0;
  };
  enum class Stop : u8 { Leaf, NotPresent, Reserved, SecondStage };
  /// Where a walk begins: at the root, or below an entry that the paging-structure caches hold.
  struct Start {
    unsigned level = 0;
    u64 table = 0;
    PageRights rights{true, true, true, 0};
  };
  /// A walk down the tables, as found: no rights applied yet.
  struct Path {
    Stop stop = Stop::NotPresent;
    u8 level = 0;  ///< of the last entry read
    u8 references = 0;
    Start start;
    PageRights rights{true, true, true, 0};
    std::array<Step, 5> steps;
    u64 leaf() const { return steps[references - 1].entry; }
  };

  void derive_levels();
  void derive_reserved(unsigned level);
  void descend(Linear address, WalkObserver* observer, Path& path) const;
  Start start_of(Linear address) const;
  void cache_structures(Linear address, const Path& path);
  u64 read_entry(HostPhysical address) const;
  void write_entry(HostPhysical address, u64 entry);
  /// Base of the page that the leaf entry of `path` maps.
  GuestPhysical leaf_base(const Path& path) const;
  SecondStageResult host(GuestPhysical address, SecondStageAccess access) const {
    if (second_stage_ == nullptr) [[likely]]
      return {HostPhysical(address.value), false};
    return second_stage_->translate(address, access);
  }
  u32 access_code(const Access& access) const;
  u32 permission_code(const Path& path, const Access& access) const;
  bool set_accessed_dirty(Path& path, bool write);

  PhysicalMemory& memory_;
  /// walk()'s own, kept so that its steps are not cleared for each walk.
  Path path_;
  PagingContext context_;
  const PagingFormat* mode_ = &paging_format(PagingMode::None);
  std::array<Level, 6> levels_;  ///< by level; [0] unused
  WalkObserver* observer_ = nullptr;
  SecondStage* second_stage_ = nullptr;
  StructureCache* structures_ = nullptr;
  u64 walks_ = 0;
  u64 references_ = 0;
};

}  // namespace bunshin
