#pragma once

// The descriptor tables that the processor uses while a guest runs in user state, made from the guest's own (SDM vol. 3, 3.4 and
// 3.5): for its kernel one in which the kernel's segments are user segments, and programs' code is not there, so that every way
// out of the kernel faults; for its programs one in which the kernel's segments keep them out. Gates, task states and tables of
// the guest are in neither.

#include "vmm-model/arch/deprivileged/linear_memory.h"
#include "vmm-model/user_state.h"

namespace bunshin::vmm::deprivileged {

/// Eight bytes of a table as the state that a segment register holds, and back.
SegmentState segment_of(u16 selector, u64 descriptor);
u64 descriptor_of(const SegmentState& state);

class DescriptorTables {
 public:
  static constexpr unsigned views = 2;
  static constexpr u16 privilege_mask = 3, table_mask = 4;

  DescriptorTables(Hardware& hardware, LinearMemory& linear) : hardware_(hardware), linear_(linear) {}
  /// Pages for the tables, which go into the switch area in this order. False: no memory left.
  bool start(PagePool& pool);
  HostPhysical page(unsigned index) const { return pages_[index]; }
  static constexpr unsigned page_count = 4;
  static constexpr u32 gdt(unsigned view) { return switch_area::page(switch_area::first_guest_page + view); }
  static constexpr u16 ldt_selector = (switch_area::first_own_descriptor - 1) * 8;

  /// Makes GDT (table 0) or LDT (1) anew from the guest's. Pages that hold it are to trap.
  void load(unsigned table, const SegmentState& guest, const GuestMemory& memory, GuestPaging& paging);
  /// Empties both instead, and nothing traps: every load of a segment faults, and is performed from the guest's own table.
  void detach();
  /// Descriptors of table `table` that are written there are made anew. False: all of it must be.
  bool update(unsigned table, GuestPhysical address, u64 bytes, const GuestMemory& memory);
  bool traps(GuestPhysical page) const {
    for (unsigned i = 0; i < trapped_count_; ++i) {
      if (trapped_[i] == page) return true;
    }
    return false;
  }
  /// True: the bytes are part of table `table`.
  bool holds(unsigned table, GuestPhysical address, u64 bytes) const;

  /// What to load into segment register `name` so that it holds `state`. Null if nothing can.
  u16 selector_for(unsigned view, SegmentName name, const SegmentState& state) {
    const Shown& shown = shown_[view][static_cast<unsigned>(name)];
    return shown.good && shown.state == state ? shown.selector : show(view, name, state);
  }
  /// What the guest's descriptor says; null: it has to be read.
  const SegmentState* state_of(u16 selector) const {
    const Described& d = described_[described_index(selector)];
    return d.good && d.state.selector == selector ? &d.state : nullptr;
  }
  /// Remembers it, if writes to it trap.
  void keep_state(const SegmentState& state);
  /// Changes with everything that selector_for() goes by.
  u32 generation() const { return generation_; }
  /// The guest has an LDT; else that for the processor is empty.
  bool ldt_in_use() const { return ldt_in_use_; }

 private:
  /// Slots of our own, for registers that hold what the guest's table does not have any more.
  static constexpr unsigned private_slots = 6, first_private = switch_area::first_own_descriptor - 1 - private_slots;
  struct Piece {
    GuestPhysical begin;
    u32 bytes = 0, offset = 0;  ///< in the table
  };

  /// Selector by which a segment register was given a state.
  struct Shown {
    SegmentState state;
    u16 selector = 0;
    bool good = false;
  };
  struct Described {
    SegmentState state;
    bool good = false;
  };
  static constexpr unsigned described_segments = 16;

  static unsigned described_index(u16 selector) { return selector >> 3 & (described_segments - 1); }
  u16 place(unsigned view, SegmentName name, const SegmentState& state);
  u16 show(unsigned view, SegmentName name, const SegmentState& state);
  void forget_states();
  void find_trapped();
  void put(unsigned table, unsigned index, u64 descriptor);
  HostPhysical entry(unsigned view, u16 selector) const;
  u64 user_descriptor(unsigned view, u64 guest) const;
  void put_own_segments(unsigned view);

  Hardware& hardware_;
  LinearMemory& linear_;
  std::array<HostPhysical, page_count> pages_{};  ///< GDT and LDT of view 0, of view 1
  std::array<std::array<Piece, 2>, 2> pieces_{};  ///< of guest memory, by table
  std::array<GuestPhysical, 4> trapped_{};        ///< pages that hold them
  unsigned trapped_count_ = 0;
  bool ldt_in_use_ = false;
  std::array<std::array<Shown, 6>, views> shown_{};
  std::array<Described, described_segments> described_{};
  u32 generation_ = 0;
};

}  // namespace bunshin::vmm::deprivileged
