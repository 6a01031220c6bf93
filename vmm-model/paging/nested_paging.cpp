#include "vmm-model/paging/nested_paging.h"

#include <algorithm>

namespace bunshin::vmm {

namespace {

constexpr unsigned levels = 4, index_bits = 9;
constexpr u64 ept_write_back = u64{6} << ept::type_shift;

constexpr u8 level_of(u64 page_bytes) {
  if (page_bytes >= u64{1} << 30) return 3;
  return page_bytes >= u64{2} << 20 ? 2 : 1;
}

constexpr unsigned shift_of(unsigned level) { return page_shift + index_bits * (level - 1); }

}  // namespace

NestedPaging::NestedPaging(const PagingContext& context, u64 page_bytes)
    : GuestPaging(context),
      largest_level_(level_of(std::min(page_bytes, context.execution.largest_second_stage_page()))) {}

u64 NestedPaging::present_bits() const {
  return context_.execution.second_stage_format() == SecondStageFormat::Ept ? ept::R | ept::W | ept::X : pte::P;
}

// Nested tables are walked as a user's (APM vol. 2, 15.25.5).
u64 NestedPaging::table_entry(HostPhysical table) const {
  if (context_.execution.second_stage_format() == SecondStageFormat::Ept) return table.value | ept::R | ept::W | ept::X;
  return table.value | pte::P | pte::RW | pte::US | pte::A;
}

u64 NestedPaging::leaf_entry(HostPhysical page, unsigned level) const {
  const u64 large = level > 1 ? pte::PS : 0;
  if (context_.execution.second_stage_format() == SecondStageFormat::Ept) {
    return page.value | ept::R | ept::W | ept::X | ept_write_back | large;
  }
  return page.value | pte::P | pte::RW | pte::US | pte::A | pte::D | large;
}

bool NestedPaging::start() {
  root_ = new_table();
  if (root_.value == 0) return false;
  context_.execution.use_second_stage(root_);
  return true;
}

// PAE's four entries are registers, and those who load them are not the guest's instructions here (SDM vol. 3, 4.4.1).
bool NestedPaging::root_written() {
  const PagingControls c = controls();
  if (c.mode() != PagingMode::Pae) return true;
  std::array<u64, 4> entries{};
  const GuestPhysical root(c.cr3 & paging_format(PagingMode::Pae).root_mask);
  for (unsigned i = 0; i < entries.size(); ++i) context_.memory.load(root + 8 * i, 8, entries[i]);
  context_.execution.load_page_directory_pointers(entries);
  return true;
}

/// The largest page around `address` that is RAM throughout and aligned on both sides.
u8 NestedPaging::leaf_level(GuestPhysical address) const {
  for (u8 level = largest_level_; level > 1; --level) {
    const u64 bytes = u64{1} << shift_of(level);
    const GuestPhysical base(address.value & ~(bytes - 1));
    if (context_.memory.adjacent(base, bytes) && context_.memory.host(base).value % bytes == 0) return level;
  }
  return 1;
}

bool NestedPaging::map(GuestPhysical address) {
  const unsigned leaf = leaf_level(address);
  HostPhysical table = root_;
  for (unsigned level = levels;; --level) {
    const HostPhysical entry_at = table + (address.value >> shift_of(level) & 511) * 8;
    if (level == leaf) {
      const GuestPhysical base(address.value & ~((u64{1} << shift_of(level)) - 1));
      context_.hardware.store(entry_at, 8, leaf_entry(context_.memory.host(base), level));
      return true;
    }
    const u64 entry = context_.hardware.load(entry_at, 8);
    if ((entry & present_bits()) != 0) {
      table = HostPhysical(entry & entry_address_bits);
      continue;
    }
    table = new_table();
    if (table.value == 0) return false;
    context_.hardware.store(entry_at, 8, table_entry(table));
  }
}

FaultResult NestedPaging::fault(const Exit& exit) {
  const GuestPhysical address(exit.address);
  if (!context_.memory.contains(address.page(), page_size)) return {FaultOutcome::Emulate, 0, address};
  ++counters_.fills;
  return {map(address) ? FaultOutcome::Resume : FaultOutcome::NoMemory, 0, address};
}

}  // namespace bunshin::vmm
