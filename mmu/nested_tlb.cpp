#include "mmu/nested_tlb.h"

namespace bunshin {

void NestedTlbParameters::describe(ParameterVisitor& v) {
  v.integer("entries", entries, {0, 4096}, "", "Guest-physical pages; 0: none.");
  v.boolean("final_page", final_page, "Also keep the page that the guest's tables map, not only those of the tables.");
}

const SecondStageResult* NestedTlb::find(u64 tag, GuestPhysical address, SecondStageAccess access, AccessKind kind) {
  if (!serves(access)) return nullptr;
  for (Slot& s : slots_) {
    if (s.base == none || s.tag != tag || s.base != base_of(address, s.result.shift)) continue;
    const bool permitted = (s.result.kinds & kind_bit(kind)) != 0;
    if (!permitted || (kind == AccessKind::Write && !s.result.dirty)) break;
    s.last_use = ++clock_;
    ++hits_;
    return &s.result;
  }
  ++misses_;
  return nullptr;
}

void NestedTlb::insert(u64 tag, GuestPhysical address, SecondStageAccess access, const SecondStageResult& result) {
  if (!serves(access)) return;
  Slot* victim = &slots_.front();
  for (Slot& s : slots_) {
    if (s.base != none && s.tag == tag && s.base == base_of(address, s.result.shift)) {
      victim = &s;
      break;
    }
    if (s.last_use < victim->last_use) victim = &s;
  }
  *victim = {base_of(address, result.shift), tag, ++clock_, result};
  victim->result.address = HostPhysical(result.address.value >> result.shift << result.shift);
}

void NestedTlb::flush() {
  for (Slot& s : slots_) s = {};
}

void NestedTlb::flush_tag(u64 tag) {
  for (Slot& s : slots_) {
    if (s.tag == tag) s = {};
  }
}

}  // namespace bunshin
