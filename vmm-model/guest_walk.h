#pragma once

// A guest's own translation, done by software: what the guest's tables say of a linear address (SDM vol. 3, ch. 4; APM
// vol. 2, ch. 5). The formats are the rows of mmu/paging_mode.h, the same that the modeled processor walks.

#include "mmu/paging_mode.h"
#include "vmm-model/guest_memory.h"

namespace bunshin::vmm {

/// What decides how a guest translates.
struct PagingControls {
  u64 cr0 = 0, cr3 = 0, cr4 = 0, efer = 0;
  /// RFLAGS.AC, which suspends SMAP for explicit accesses (SDM vol. 3, 4.6.1). Means nothing without SMAP.
  bool alignment_check = false;
  u8 physical_bits = 40;
  bool gigabyte_pages = true, pse36 = true;
  /// PAE's four entries where the processor keeps them; null: they are read from memory.
  const std::array<u64, 4>* page_directory_pointers = nullptr;

  PagingMode mode() const;
  bool no_execute() const;
  bool write_protect() const;
};

struct WalkAccess {
  bool write = false;
  bool execute = false;
  bool user = false;
};

/// The access that a #PF with this error code has stopped.
WalkAccess faulting_access(u32 error_code);

struct GuestTranslation {
  struct Step {
    GuestPhysical address;  ///< of the entry
    u64 entry = 0;
  };
  bool fault = false;
  u32 error_code = 0;  ///< of the #PF to deliver
  GuestPhysical address;
  u8 shift = page_shift;  ///< log2 of the page that holds it
  // Rights that all levels together grant, and the leaf's state once the access has been made.
  bool writable = true, user = true, executable = true;
  bool dirty = true, global = false;
  u8 leaf_level = 1;
  u8 levels = 0;  ///< of the format; 0: the guest does not page
  /// By level: steps[leaf_level] is the leaf.
  std::array<Step, 6> steps{};
};

/// PAE's entries as a load of CR3 takes them (SDM vol. 3, 4.4.1). False: it faults, because a present one has reserved bits.
bool load_page_directory_pointers(const GuestMemory& memory, const PagingControls& controls,
                                  std::array<u64, 4>& entries);

/// Walks for `access`; sets A, and D for a write, unless it faults or `update` is false.
GuestTranslation walk_guest(const GuestMemory& memory, const PagingControls& controls, Linear address,
                            WalkAccess access, bool update);

/// What a processor may cache of its own accord of the page that `entry` maps, another entry of the table where a walk has found
/// its leaf (SDM vol. 3, 4.10.2.3): present, accessed, without reserved bits. `fault`: nothing.
GuestTranslation speculative_translation(const PagingControls& controls, const GuestTranslation& found, u64 entry);

}  // namespace bunshin::vmm
