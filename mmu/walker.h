#pragma once

// The hardware page walker for the guest's own tables: where the loop of mmu/table_walk begins, and what the rights that it
// collected mean (SDM vol. 3, 4.6 to 4.8), with a second stage under it.

#include <array>
#include <optional>

#include "base/address.h"
#include "base/fault.h"
#include "mmu/access.h"
#include "mmu/memory/physical_memory.h"
#include "mmu/structure_cache.h"
#include "mmu/table_walk.h"

namespace bunshin {

/// What a successful walk found.
struct Translation {
  HostPhysical page;      ///< of the whole page, aligned to its size
  u8 shift = page_shift;  ///< log2 of the page's size in bytes: the smaller of the two stages' pages
  u8 pat_index = 0;       ///< PAT:PCD:PWT of the leaf entry
  bool global = false;    ///< G, if CR4.PGE
  bool dirty = false;     ///< a write has no more D to set, in either stage
  PageRights rights;
  AccessKinds stage_kinds = all_kinds;  ///< what the second stage permits
};

enum class WalkOutcome : u8 { Translated, PageFault, SecondStageFault };

struct WalkResult {
  WalkOutcome outcome = WalkOutcome::PageFault;
  u32 error_code = 0;  ///< of the page fault
  Translation translation;
};

class Walker {
 public:
  explicit Walker(PhysicalMemory& memory) : memory_(memory), tables_(memory, 1) { set_context(context_); }

  /// Derives index, size and reserved-bit layout when what they depend on has changed.
  void set_context(const PagingContext& context);
  /// The same when only these changed.
  void set_privilege(bool user, bool access_override) {
    context_.user = user;
    context_.access_override = access_override;
  }
  /// Null: none.
  void set_observer(WalkObserver* observer) { observer_ = observer; }
  WalkObserver* observer() const { return observer_; }
  /// Null: walks begin at the root. Whoever sets them flushes them.
  void set_structure_caches(StructureCache* caches) { structures_ = caches; }
  /// Null: not virtualized.
  void set_second_stage(SecondStage* stage) { second_stage_ = stage; }
  SecondStage* second_stage() const { return second_stage_; }

  /// Walks for `access`: permissions, then A and D (set in all entries used, only if the access is permitted; SDM
  /// vol. 3, 4.8 leaves open whether a faulting access sets A). In PagingMode::None only the second stage has something to
  /// say. A table outside RAM reads as all ones, as an unclaimed bus address does; in most modes that is a reserved-bit fault.
  WalkResult walk(Linear address, const Access& access);
  /// Walks without checks, updates, observer or counters. Empty if not mapped.
  std::optional<HostPhysical> peek(Linear address) const;

  /// Loads the PAE page-directory-pointer registers from the table at `cr3` (SDM vol. 3, 4.4.1). False, `pdptes`
  /// unchanged, if a present entry has a reserved bit set: #GP(0); or if the second stage refuses.
  bool load_pdptes(u64 cr3, unsigned physical_bits, std::array<u64, 4>& pdptes) const;

  /// Counters; the references stay valid for statistics.
  const u64& walks() const { return walks_; }
  const u64& references() const { return references_; }

 private:
  using Path = TableWalk::Path;
  using Stop = TableWalk::Stop;

  /// Where a walk for `address` begins. Empty: the register that says so is not present.
  bool root(Linear address, TableWalk::Start& start) const;
  u32 access_code(const Access& access) const;
  u32 permission_code(const PageRights& rights, const Access& access) const;
  WalkResult refusal(const Path& path, const Access& access) const;
  WalkResult finish(GuestPhysical address, const Access& access, Translation t) const;
  PageRights rights_of(const Path& path) const;

  PhysicalMemory& memory_;
  TableWalk tables_;
  /// walk()'s own, kept so that its steps are not cleared for each walk.
  Path path_;
  PagingContext context_;
  WalkObserver* observer_ = nullptr;
  SecondStage* second_stage_ = nullptr;
  StructureCache* structures_ = nullptr;
  u64 walks_ = 0;
  u64 references_ = 0;
};

}  // namespace bunshin
