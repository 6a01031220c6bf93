#pragma once

// The ways to give a guest its linear memory (CHAPTER S14 to S17), interchangeable: a mode owns the tables that the hardware
// walks, and is told of everything that the guest does to its own.

#include <string_view>

#include "vmm-model/guest_execution.h"
#include "vmm-model/guest_walk.h"
#include "vmm-model/page_pool.h"

namespace bunshin::vmm {

enum class FaultOutcome : u8 {
  Resume,   ///< the tables hold the translation now
  Inject,   ///< the guest's own tables do not allow it: deliver #PF with `error_code`
  Emulate,  ///< no RAM there, or a page table: carry out the instruction that accessed `address`
  NoMemory
};

struct FaultResult {
  FaultOutcome outcome = FaultOutcome::Resume;
  u32 error_code = 0;
  GuestPhysical address;
};

/// What a mode has done, for reports.
struct PagingCounters {
  u64 fills = 0;         ///< hidden faults: a translation was added
  u64 guest_faults = 0;  ///< handed on to the guest
  u64 table_writes = 0;  ///< writes to write-protected guest tables
  u64 flushes = 0;       ///< everything forgotten
  u64 table_pages = 0;   ///< pages of tables now in use
  u64 most_pages = 0;    ///< … at once
};

/// The machine that a mode works for and with.
struct PagingContext {
  Hardware& hardware;
  PagePool& pool;
  GuestMemory& memory;
  GuestExecution& execution;
  u8 physical_bits = 40;
  bool gigabyte_pages = true, pse36 = true;

  /// How the guest translates now.
  PagingControls controls() const;
};

class GuestPaging {
 public:
  virtual std::string_view name() const = 0;
  /// Builds what the first entry needs. False: no memory.
  virtual bool start() = 0;
  /// PageFault or SecondStageFault.
  virtual FaultResult fault(const Exit& exit) = 0;
  /// The guest has loaded CR3, or changed other registers that decide how it translates. False: no memory.
  virtual bool root_written() { return true; }
  /// CR0.WP, CR4.PGE, SMEP or SMAP: global pages leave the TLB too (SDM vol. 3, 4.10.4.1).
  virtual bool rights_written() { return root_written(); }
  virtual bool controls_written() { return true; }
  virtual void invalidate(Linear /*address*/) {}
  /// Somebody other than the guest's own instructions has written guest memory.
  virtual void memory_written(GuestPhysical /*address*/, u64 /*bytes*/) {}
  /// From now on writes to the page must fault, as SoftwareProcessor::traps_writes() says of it.
  virtual void trap_writes(GuestPhysical /*page*/) {}
  /// The page is a table whose writes the hypervisor performs: this is one.
  virtual bool takes_write(GuestPhysical /*page*/) { return false; }
  /// An instruction that writes a page table could not be emulated: the table must become writable. False: it is none.
  virtual bool give_up_table(GuestPhysical /*address*/) { return false; }
  /// A string is about to be written to the page. True: if it was a table, it is none now, and writable.
  virtual bool overwritten(GuestPhysical /*address*/) { return false; }
  const PagingCounters& counters() const { return counters_; }
  /// How the guest's own tables are to be read.
  PagingControls controls() const;

 protected:
  explicit GuestPaging(const PagingContext& context) : context_(context) {}
  ~GuestPaging() = default;

  /// The guest's own tables do not allow what has faulted.
  FaultResult hand_on(const GuestTranslation& refused);
  /// For modes that see every load of CR3: PAE's entries are what they were then, whatever memory holds since.
  void keep_page_directory_pointers();
  HostPhysical new_table();
  void release_table(HostPhysical table);
  /// Views of the guest's memory: one, or the kernel's and the programs' where both run in user state.
  unsigned views() { return context_.execution.software() != nullptr ? 2 : 1; }
  /// What has not faulted may be filled too. In user state a fault is what leads to code that nobody has seen yet.
  bool fills_ahead() { return context_.execution.software() == nullptr; }
  void use_shadow(unsigned view, HostPhysical root);
  /// The view that an access is made in.
  unsigned view_of(WalkAccess access) { return views() == 2 && access.user ? user_view : kernel_view; }
  /// In the kernel's view of a guest in user state all pages are user pages.
  u64 forced_rights(unsigned view) { return views() == 2 && view == kernel_view ? pte::US : 0; }
  bool traps_writes(GuestPhysical page) {
    SoftwareProcessor* const software = context_.execution.software();
    return software != nullptr && software->traps_writes(page);
  }
  static constexpr unsigned kernel_view = 0, user_view = 1;

  PagingContext context_;
  PagingCounters counters_;

 private:
  std::array<u64, 4> page_directory_pointers_{};
  bool pointers_kept_ = false;
};

}  // namespace bunshin::vmm
