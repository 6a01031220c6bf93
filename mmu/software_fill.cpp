#include "mmu/software_fill.h"

namespace bunshin {

bool SoftwareFill::read(u32 msr, u64& value) const {
  if (msr != fill_msr::root && msr != fill_msr::address) return false;
  value = msr == fill_msr::root ? root_ : address_;
  return true;
}

bool SoftwareFill::write(u32 msr, u64 value) {
  switch (msr) {
    case fill_msr::root:
      if ((value & ~entry_address_bits) != 0) return false;
      root_ = value;
      return true;
    case fill_msr::address: address_ = value; return true;
    case fill_msr::entry: fill(value, page_shift); return true;
    case fill_msr::large_entry: fill(value, 21); return true;
    default: return false;
  }
}

void SoftwareFill::fill(u64 entry, unsigned shift) {
  if ((entry & pte::P) == 0 || guest_ == 0) return;
  const u64 offset = (u64{1} << shift) - 1;
  const u64 pat = shift == page_shift ? u64{pte::PS} : u64{pte::large_PAT};
  Entry& e = entries_[next_];
  next_ = (next_ + 1) % entries_.size();
  e = {};
  e.linear = address_ & ~offset;
  e.guest = guest_;
  e.translation.page = HostPhysical(entry & entry_address_bits & ~offset);
  e.translation.shift = static_cast<u8>(shift);
  e.translation.pat_index = static_cast<u8>(((entry & pte::PWT) != 0 ? 1 : 0) | ((entry & pte::PCD) != 0 ? 2 : 0) |
                                            ((entry & pat) != 0 ? 4 : 0));
  e.translation.dirty = (entry & pte::D) != 0;
  e.translation.rights = {(entry & pte::RW) != 0, (entry & pte::US) != 0, (entry & pte::XD) == 0, 0};
  ++fills_;
}

WalkResult SoftwareFill::miss(Linear address, const Access& access, const PagingContext& context) {
  for (Entry& e : entries_) {
    const u64 offset = (u64{1} << e.translation.shift) - 1;
    if (e.guest != context.guest_tag || (address.value & ~offset) != e.linear) continue;
    const bool permitted = (permitted_kinds(e.translation.rights, access, context) & kind_bit(access.kind)) != 0;
    const bool clean_write = access.kind == AccessKind::Write && !e.translation.dirty;
    if (permitted && !clean_write) return {WalkOutcome::Translated, 0, e.translation};
    e = {};
  }
  ++faults_;
  guest_ = context.guest_tag;
  address_ = address.value;
  WalkResult result;
  if (access.kind == AccessKind::Write) result.error_code |= page_fault::W;
  if (access.user_mode()) result.error_code |= page_fault::U;
  if (access.kind == AccessKind::Execute && (context.no_execute || context.smep)) result.error_code |= page_fault::ID;
  return result;
}

void SoftwareFill::hash(StateHash& hash) const {
  for (const u64 word : {root_, address_, u64{guest_}, u64{next_}}) hash.add(word);
  for (const Entry& e : entries_) {
    hash.add(e.linear ^ u64{e.guest} << 48);
    hash.add(e.translation.page.value | e.translation.shift);
  }
}

}  // namespace bunshin
