#include "mmu/second_stage.h"

namespace bunshin {

void SecondStageParameters::describe(ParameterVisitor& v) {
  v.group("nested_tlb", nested_tlb, "Guest-physical to host-physical, by page.");
  v.group("structure_caches", structure_caches,
          "The second stage's paging-structure caches. Those of kind `entry` are the guest dimension's own.");
}

void SecondStageWalker::set_context(const SecondStageContext& context) {
  context_ = context;
  TableControls controls;
  controls.mode = context.mode;
  controls.physical_bits = static_cast<u8>(context.physical_bits);
  controls.pse = context.pse;
  controls.pse36 = context.pse36;
  controls.no_execute = context.no_execute;
  controls.large_pages = context.large_pages || !context.is_ept();
  controls.gigabyte_pages = context.gigabyte_pages;
  controls.accessed_dirty = context.accessed_dirty || !context.is_ept();
  controls.execute_only = context.execute_only;
  controls.mode_based_execute = context.mode_based_execute;
  controls.root_in_memory = true;
  tables_.set_controls(controls);
  const TableWalk::Level& top = tables_.level(tables_.levels());
  address_bits_ = top.shift + tables_.format().index_bits[tables_.levels() - 1u];
}

AccessKind SecondStageWalker::kind_of(SecondStageAccess access) const {
  switch (access) {
    case SecondStageAccess::TableRead: return tables_.controls().accessed_dirty ? AccessKind::Write : AccessKind::Read;
    case SecondStageAccess::TableWrite:
    case SecondStageAccess::Write: return AccessKind::Write;
    case SecondStageAccess::Execute: return AccessKind::Execute;
    case SecondStageAccess::PdpteRead:
    case SecondStageAccess::Read: break;
  }
  return AccessKind::Read;
}

AccessKinds SecondStageWalker::kinds_of(u64 permits, bool user_page) const {
  if (context_.is_ept()) {
    static_assert(ept::R == 1u << unsigned(AccessKind::Read) && ept::W == 1u << unsigned(AccessKind::Write) &&
                  ept::X == 1u << unsigned(AccessKind::Execute));
    if (!context_.mode_based_execute || !user_page) return static_cast<AccessKinds>(permits & all_kinds);
    const u64 execute = (permits & ept::XU) != 0 ? ept::X : 0;
    return static_cast<AccessKinds>((permits & (ept::R | ept::W)) | execute);
  }
  // Every access is a user-mode one to the nested tables (APM vol. 2, 15.25.6).
  if ((permits & pte::US) == 0) return 0;
  return static_cast<AccessKinds>(kind_bit(AccessKind::Read) |
                                  ((permits & pte::RW) != 0 ? kind_bit(AccessKind::Write) : 0) |
                                  ((permits & pte::XD) != 0 ? kind_bit(AccessKind::Execute) : 0));
}

u64 SecondStageWalker::violation(SecondStageAccess access, u64 permits) const {
  u64 q = kind_bit(kind_of(access));
  const bool table = access == SecondStageAccess::TableRead || access == SecondStageAccess::TableWrite;
  if (table && context_.accessed_dirty) q |= kind_bit(AccessKind::Read) | kind_bit(AccessKind::Write);
  q |= (permits & (ept::R | ept::W | ept::X)) << 3;
  constexpr u64 user_executable = 1 << 6;
  if (context_.mode_based_execute && (permits & ept::XU) != 0) q |= user_executable;
  if (access == SecondStageAccess::PdpteRead) return q;
  constexpr u64 linear_valid = 1 << 7, final_access = 1 << 8;
  return q | linear_valid | (table ? 0 : final_access);
}

u64 SecondStageWalker::nested_page_fault(SecondStageAccess access, Stop stop) const {
  constexpr u64 final_access = u64{1} << 32, table_access = u64{1} << 33;
  u64 code = page_fault::U | (access < SecondStageAccess::Read ? table_access : final_access);
  const AccessKind kind = kind_of(access);
  if (kind == AccessKind::Write) code |= page_fault::W;
  if (kind == AccessKind::Execute && context_.no_execute) code |= page_fault::ID;
  if (stop != Stop::NotPresent) code |= page_fault::P;
  if (stop == Stop::Reserved) code |= page_fault::RSVD;
  return code;
}

SecondStageResult SecondStageWalker::refuse(GuestPhysical address, SecondStageAccess access, const Path& path) {
  using enum SecondStageFault::Cause;
  if (!context_.is_ept()) {
    fault_ = {NestedPageFault, address, nested_page_fault(access, path.stop), false};
  } else if (path.stop == Stop::Reserved) {
    fault_ = {EptMisconfiguration, address, 0, false};
  } else {
    const bool suppressed = path.references == 0 || path.leaf() >> 63 != 0;
    fault_ = {EptViolation, address, violation(access, path.permits), suppressed};
  }
  SecondStageResult result;
  result.faulted = true;
  return result;
}

SecondStageResult SecondStageWalker::found(GuestPhysical address, const Path& path, bool user_page) const {
  const TableWalk::Level& row = tables_.level(path.level);
  SecondStageResult result;
  result.address = HostPhysical(tables_.mapped(path, address.value).value);
  result.shift = row.shift;
  result.kinds = kinds_of(path.permits, user_page);
  result.dirty = (path.leaf() & row.dirty) == row.dirty;
  if (context_.is_ept()) {
    result.memory_type = static_cast<MemoryType>(path.leaf() >> ept::type_shift & 7);
    result.ignore_pat = (path.leaf() & ept::ignore_PAT) != 0;
  }
  return result;
}

SecondStageResult SecondStageWalker::translate(GuestPhysical address, SecondStageAccess access, bool user_page) {
  const AccessKind kind = kind_of(access);
  // What one of its entries permits must not depend on who asks.
  NestedTlb* const nested = context_.mode_based_execute && access >= SecondStageAccess::Read ? nullptr : nested_tlb_;
  if (nested != nullptr) {
    if (const SecondStageResult* held = nested->find(context_.tag, address, access, kind)) {
      SecondStageResult result = *held;
      result.address = result.address + (address.value & ((u64{1} << result.shift) - 1));
      return result;
    }
  }
  ++walks_;
  Path& path = path_;
  if (address.value >> address_bits_ != 0) {
    path.stop = Stop::NotPresent;
    path.permits = 0;
    path.references = 0;
    return refuse(address, access, path);
  }
  const TableWalk::Environment environment{observer_, nullptr,
                                           structures_ == nullptr ? nullptr : structures_->entries(), false};
  if (!tables_.start_cached(address.value, context_.tag, structures_, path.start)) {
    path.start = {tables_.levels(), context_.root & tables_.format().root_mask, ~u64{0}};
  }
  tables_.descend(address.value, environment, path);
  references_ += path.references;
  if (path.stop != Stop::Leaf || (kinds_of(path.permits, user_page) & kind_bit(kind)) == 0)
    return refuse(address, access, path);
  const u64 dirty = tables_.level(path.level).dirty;
  if (dirty_log_ != nullptr && kind == AccessKind::Write && dirty != 0 && (path.leaf() & dirty) == 0 &&
      !dirty_log_->dirtied(address)) [[unlikely]] {
    fault_ = {SecondStageFault::Cause::PageModificationLogFull, address, 0, true};
    SecondStageResult result;
    result.faulted = true;
    return result;
  }
  tables_.set_accessed_dirty(path, kind == AccessKind::Write, environment);
  tables_.cache_path(address.value, context_.tag, structures_, path);
  const SecondStageResult result = found(address, path, user_page);
  if (nested != nullptr) nested->insert(context_.tag, address, access, result);
  return result;
}

std::optional<HostPhysical> SecondStageWalker::peek(GuestPhysical address) const {
  if (address.value >> address_bits_ != 0) return std::nullopt;
  Path path;
  path.start = {tables_.levels(), context_.root & tables_.format().root_mask, ~u64{0}};
  tables_.descend(address.value, {nullptr, nullptr, nullptr, true}, path);
  if (path.stop != Stop::Leaf) return std::nullopt;
  return HostPhysical(tables_.mapped(path, address.value).value);
}

void SecondStageWalker::register_stats(StatRegistry& registry, const std::string& prefix) const {
  registry.add(prefix + "second_stage.walks", walks_, "",
               "Walks of the second stage's tables, those that faulted included");
  registry.add(prefix + "second_stage.references", references_, "", "Paging-structure entries read by them");
}

}  // namespace bunshin
