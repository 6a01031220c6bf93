#pragma once

// Shadow paging (CHAPTER S15): for each page table of the guest there is one that the hardware walks, kept the same at every
// moment. The guest's tables are write-protected: each write to one faults, is performed by the hypervisor, and propagated.
// Shadow tables are kept by guest table, so that a load of CR3 finds the address space as it was left.

#include "vmm-model/paging/guest_paging.h"
#include "vmm-model/paging/shadow_pages.h"
#include "vmm-model/paging/shadow_table.h"

namespace bunshin::vmm {

class ShadowPaging final : public GuestPaging {
 public:
  explicit ShadowPaging(const PagingContext& context)
      : GuestPaging(context), pages_(context.hardware, context.pool, context.memory) {}

  std::string_view name() const override { return "shadow"; }
  bool start() override;
  FaultResult fault(const Exit& exit) override;
  bool root_written() override;
  bool controls_written() override;
  void memory_written(GuestPhysical address, u64 bytes) override;
  bool give_up_table(GuestPhysical address) override;
  bool overwritten(GuestPhysical address) override;
  void trap_writes(GuestPhysical page) override;
  bool takes_write(GuestPhysical page) override;

 private:
  struct Mapping {
    const PagingControls& controls;
    const GuestTranslation& found;
    u64 linear;
    unsigned view = kernel_view;
  };
  /// What a leaf is made of.
  struct Leaf {
    u64 guest_entry = 0;
    GuestPhysical page;
    bool tracked = false;  ///< D is the guest's to see
    bool executable = false;
    unsigned view = kernel_view;
  };

  /// What an entry holds that leads nowhere yet. Where the guest gets faults of entries that are not present without an exit, 0
  /// is one whose guest entry is not.
  u64 absent(unsigned level) const {
    if (!passes_missing_) return 0;
    return level == 3 && levels_ == 3 ? trap_directory_.value | pte::P : shadow::unfilled;
  }
  bool present(u64 entry, unsigned level) const { return (entry & pte::P) != 0 && entry != absent(level); }
  bool load_root();
  bool load_root(unsigned view);
  void link_root(const PagingControls& c, unsigned view);
  void link(HostPhysical at, u32 child, u64 entry);
  /// A table whose entries are of `level`, all absent. none: tables have run out.
  u32 add_table(unsigned level);
  /// The shadow of a guest's table, which is write-protected from now on.
  u32 add_shadow(const ShadowKey& key);
  /// In a new shadow, of what the guest's table has none.
  void mark_missing(u32 table);
  static unsigned guest_index(const ShadowKey& key, unsigned index);
  u64 guest_entry(const ShadowKey& key, unsigned guest_index) const;
  bool holds_root(u32 page) const;
  bool is_root(u32 table) const { return table == roots_[0] || table == roots_[1]; }
  bool is_own_root(u32 table) const { return table == own_roots_[0] || table == own_roots_[1]; }
  /// Forgets all shadow tables.
  void forget_all();
  /// Installs what a walk has found, down to its leaf. False: tables have run out.
  bool map(const Mapping& m);
  u32 child_of(const Mapping& m, unsigned level, u64 linear);
  u64 upper_entry(const Mapping& m, unsigned level, u32 child);
  bool set_leaf(HostPhysical at, const Leaf& leaf);
  /// The entries beside a leaf, so far as the guest's have been used.
  void fill_line(const Mapping& m, u32 table, const Leaf& leaf);
  void drop_entry(HostPhysical at, unsigned level);
  void drop_entries(u32 table);
  /// A table that no entry points to any more is no table of the guest's any more.
  void unlink_child(u32 child, HostPhysical from, unsigned level);
  void remove_table(u32 table);
  void remove_parents(u32 table);
  /// Bytes first .. last of a page that is a table.
  void table_page_written(u32 page, unsigned first, unsigned last);
  void entry_written(u32 table, unsigned guest_index);
  /// An entry of the lowest level that the guest has made as if it had been used: its shadow too, which saves the fault.
  void propagate(u32 table, unsigned index, u64 guest_entry);
  void reset_entry(HostPhysical at, unsigned level, u64 guest_entry);
  void count_tables();

  ShadowPages pages_;
  // By view. The second: of guests whose root table has not the form of ours.
  std::array<u32, 2> roots_{ShadowPages::none, ShadowPages::none}, own_roots_{ShadowPages::none, ShadowPages::none};
  unsigned levels_ = 0;
  bool passes_missing_ = false;
  HostPhysical trap_directory_;  ///< PAE's pointers have no reserved bits to set: they lead to one whose entries have
};

}  // namespace bunshin::vmm
