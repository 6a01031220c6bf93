#include "mmu/walker.h"

#include <algorithm>
#include <cstring>

namespace bunshin {

void Walker::set_context(const PagingContext& context) {
  context_ = context;
  TableControls controls;
  controls.mode = context.mode;
  controls.physical_bits = static_cast<u8>(context.physical_bits);
  controls.pse = context.pse;
  controls.pse36 = context.pse36;
  controls.no_execute = context.no_execute;
  controls.gigabyte_pages = context.gigabyte_pages;
  controls.root_in_memory = context.pdptes_in_memory;
  tables_.set_controls(controls);
}

bool Walker::root(Linear address, TableWalk::Start& start) const {
  start.level = tables_.levels();
  start.permits = ~u64{0};
  if (!tables_.root_in_registers()) {
    start.table = context_.root & tables_.format().root_mask;
    return true;
  }
  const TableWalk::Level& row = tables_.level(start.level);
  const u64 entry = context_.pdptes[(address.value >> row.shift) & row.index_mask & 3];
  --start.level;
  start.table = entry & TableWalk::address_mask;
  return (entry & pte::P) != 0;
}

PageRights Walker::rights_of(const Path& path) const {
  const u64 key = tables_.format().protection_keys ? (path.leaf() >> pte::key_shift) & 0xf : 0;
  return {(path.permits & pte::RW) != 0, (path.permits & pte::US) != 0, (path.permits & pte::XD) != 0,
          static_cast<u8>(key)};
}

u32 Walker::access_code(const Access& access) const {
  u32 code = 0;
  if (access.kind == AccessKind::Write) code |= page_fault::W;
  if (access.user_mode()) code |= page_fault::U;
  const bool execute_disable = context_.no_execute && tables_.format().entry_bytes == 8;
  if (access.kind == AccessKind::Execute && (execute_disable || context_.smep)) code |= page_fault::ID;
  return code;
}

u32 Walker::permission_code(const PageRights& rights, const Access& access) const {
  const bool write = access.kind == AccessKind::Write;
  const bool key = access.kind != AccessKind::Execute && key_forbids(rights, write, access.user_mode(), context_);
  return access_code(access) | page_fault::P | (key ? page_fault::PK : 0);
}

WalkResult Walker::refusal(const Path& path, const Access& access) const {
  if (path.stop == Stop::SecondStage) return {WalkOutcome::SecondStageFault, 0, {}};
  const u32 code = path.stop == Stop::Reserved ? page_fault::P | page_fault::RSVD : 0;
  return {WalkOutcome::PageFault, access_code(access) | code, {}};
}

WalkResult Walker::walk(Linear address, const Access& access) {
  ++walks_;
  if (tables_.levels() == 0) [[unlikely]] {
    Translation identity;
    identity.shift = 63;
    identity.dirty = true;
    identity.rights = {true, true, true, 0};
    return finish(GuestPhysical(address.value), access, identity);
  }
  Path& path = path_;
  const TableWalk::Environment environment{observer_, second_stage_,
                                           structures_ == nullptr ? nullptr : structures_->entries(), false};
  if (!tables_.start_cached(address.value, context_.space(), structures_, path.start) && !root(address, path.start)) {
    return {WalkOutcome::PageFault, access_code(access), {}};
  }
  tables_.descend(address.value, environment, path);
  references_ += path.references;
  if (path.stop != Stop::Leaf) return refusal(path, access);
  Translation t;
  t.rights = rights_of(path);
  if ((permitted_kinds(t.rights, access, context_) & kind_bit(access.kind)) == 0) {
    return {WalkOutcome::PageFault, permission_code(t.rights, access), {}};
  }
  if (!tables_.set_accessed_dirty(path, access.kind == AccessKind::Write, environment)) {
    return {WalkOutcome::SecondStageFault, 0, {}};
  }
  tables_.cache_path(address.value, context_.space(), structures_, path);

  const u64 leaf = path.leaf();
  const u64 pat_bit = path.level == 1 ? pte::PS : pte::large_PAT;
  t.shift = tables_.level(path.level).shift;
  t.pat_index = static_cast<u8>(((leaf & pat_bit) != 0 ? 4u : 0u) | ((leaf & pte::PCD) != 0 ? 2u : 0u) |
                                ((leaf & pte::PWT) != 0 ? 1u : 0u));
  t.global = context_.global_pages && (leaf & pte::G) != 0;
  t.dirty = (leaf & pte::D) != 0;
  return finish(tables_.mapped(path, address.value), access, t);
}

WalkResult Walker::finish(GuestPhysical address, const Access& access, Translation t) const {
  u64 physical = address.value;
  if (second_stage_ != nullptr) [[unlikely]] {
    const auto data = static_cast<SecondStageAccess>(static_cast<unsigned>(SecondStageAccess::Read) +
                                                     static_cast<unsigned>(access.kind));
    const SecondStageResult stage = second_stage_->translate(address, data, t.rights.user);
    if (stage.faulted) return {WalkOutcome::SecondStageFault, 0, {}};
    physical = stage.address.value;
    t.shift = std::min(t.shift, stage.shift);
    t.dirty = t.dirty && stage.dirty;
    t.stage_kinds = stage.kinds;
  }
  t.page = HostPhysical(physical & (~u64{0} << t.shift));
  return {WalkOutcome::Translated, 0, t};
}

std::optional<HostPhysical> Walker::peek(Linear address) const {
  GuestPhysical guest(address.value);
  if (tables_.levels() != 0) {
    Path path;
    if (!root(address, path.start)) return std::nullopt;
    tables_.descend(address.value, {nullptr, second_stage_, nullptr, true}, path);
    if (path.stop != Stop::Leaf) return std::nullopt;
    guest = tables_.mapped(path, address.value);
  }
  if (second_stage_ == nullptr) return HostPhysical(guest.value);
  return second_stage_->peek(guest);
}

bool Walker::load_pdptes(u64 cr3, unsigned physical_bits, std::array<u64, 4>& pdptes) const {
  constexpr PagingFormat pae = paging_format(PagingMode::Pae);
  const unsigned width = std::clamp(physical_bits, 32u, 52u);
  const u64 reserved = u64{0b1'1110'0110} | (~u64{0} << width);
  std::array<u64, 4> loaded;
  loaded.fill(~u64{0});
  HostPhysical address(cr3 & pae.root_mask);
  if (second_stage_ != nullptr) {
    const SecondStageResult stage =
        second_stage_->translate(GuestPhysical(address.value), SecondStageAccess::PdpteRead);
    if (stage.faulted) return false;
    address = stage.address;
  }
  const PhysicalMemory::Page page = memory_.page(address);
  if (page.host != nullptr) std::memcpy(loaded.data(), page.host + address.page_offset(), sizeof(loaded));
  for (const u64 entry : loaded) {
    if ((entry & pte::P) != 0 && (entry & reserved) != 0) return false;
  }
  pdptes = loaded;
  return true;
}

}  // namespace bunshin
