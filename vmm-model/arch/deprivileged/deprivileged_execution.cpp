#include "vmm-model/arch/deprivileged/deprivileged_execution.h"

#include <algorithm>

#include "vmm-model/paging/shadow_table.h"

namespace bunshin::vmm::deprivileged {

namespace {

constexpr u64 io_privilege_mask = 3 << 12, nested_task = 1 << 14, virtual_interrupts = 3 << 19;
/// Flags that the guest believes in and the processor must not have.
constexpr u64 virtual_flags = rflags::IF | io_privilege_mask | nested_task | rflags::VM | virtual_interrupts;
constexpr unsigned pointers = 4;
constexpr unsigned area_pointer = switch_area::linear >> 30, area_entry = switch_area::linear >> 21 & 511;

/// In the order of SegmentName.
constexpr std::array<u32 UserState::*, 6> saved_selectors{&UserState::es, &UserState::cs, &UserState::ss,
                                                          &UserState::ds, &UserState::fs, &UserState::gs};
constexpr std::array<u32 UserState::*, 8> saved_registers{&UserState::eax, &UserState::ecx, &UserState::edx,
                                                          &UserState::ebx, &UserState::esp, &UserState::ebp,
                                                          &UserState::esi, &UserState::edi};

}  // namespace

bool DeprivilegedExecution::start(const std::array<HostPhysical, switch_area::shared_pages>& shared) {
  pointers_ = pool_.allocate();
  directory_ = pool_.allocate();
  area_table_ = pool_.allocate();
  if (pointers_.value == 0 || directory_.value == 0 || area_table_.value == 0 || !tables_.start(pool_)) return false;
  constexpr u64 rights = pte::P | pte::RW | pte::A | pte::D | pte::G;  // the supervisor's
  for (unsigned i = 0; i < shared.size(); ++i) hardware_.store(area_table_ + 8 * i, 8, shared[i].value | rights);
  for (unsigned i = 0; i < DescriptorTables::page_count; ++i) {
    hardware_.store(area_table_ + 8 * (switch_area::first_guest_page + i), 8, tables_.page(i).value | rights);
  }
  field(StateField::pat) = 0x0007'0406'0007'0406;
  field(StateField::dr6) = 0xffff'0ff0;
  field(StateField::dr7) = 0x400;
  field(StateField::rflags) = rflags::fixed;
  return true;
}

bool DeprivilegedExecution::attach(GuestMemory& memory, GuestPaging& paging, bool scan) {
  memory_ = &memory;
  paging_ = &paging;
  scan_ = scan;
  linear_.attach(memory, paging, *this);
  return !scan || scanner_.start(memory, paging);
}

// Where descriptors lie is a linear address: the tables are read again when it may have changed its meaning.
void DeprivilegedExecution::set(StateField name, u64 value) {
  if (name == StateField::cr0 && ((field(name) ^ value) & cr0::PG) != 0) stale_ = {true, true};
  field(name) = value;
  if (name == StateField::cr3) linear_.forget_local();
  if (name == StateField::cr0 || name == StateField::cr4 || name == StateField::efer) linear_.forget();
}

void DeprivilegedExecution::set_segment(SegmentName name, const SegmentState& state) {
  change(name) = state;
  if (name == SegmentName::gdtr) stale_[0] = true;
  if (name == SegmentName::ldtr) stale_[1] = true;
}

void DeprivilegedExecution::descriptors_written(GuestPhysical address, u64 bytes) {
  bool held = false;
  for (unsigned table = 0; table < stale_.size(); ++table) {
    if (!tables_.holds(table, address, bytes)) continue;
    held = true;
    if (!stale_[table]) stale_[table] = !tables_.update(table, address, bytes, *memory_);
  }
  // A table beside data that is written all the time had better not trap.
  if (held) hot_writes_ = 0;
  if (!held && ++hot_writes_ > most_hot_writes) tables_.detach();
}

void DeprivilegedExecution::memory_written(GuestPhysical address, u64 bytes) {
  while (bytes != 0) {
    const u64 part = std::min(bytes, page_size - address.page_offset());
    if (tables_.traps(address.page())) descriptors_written(address, part);
    scanner_.written(address, part);
    address = address + part;
    bytes -= part;
  }
}

bool DeprivilegedExecution::give_up(GuestPhysical page) {
  scanner_.give_up(page);
  if (tables_.traps(page)) opened_ = page;
  return true;
}

void DeprivilegedExecution::close_page() {
  const GuestPhysical page = opened_;
  opened_ = nowhere;
  if (!tables_.traps(page)) return;
  paging_->trap_writes(page);
  stale_ = {true, true};
}

// No XSAVE, which would have to follow the guest's CR4, and what needs it; none of the protections that know levels (SMEP, SMAP,
// FSGSBASE and INVPCID go with them); no SYSCALL and no long mode.
void DeprivilegedExecution::restrict_cpuid(u32 leaf, CpuidResult& result) const {
  constexpr u32 xsave = 1 << 26, osxsave = 1 << 27, avx = 1 << 28, f16c = 1 << 29, fma = 1 << 12;
  constexpr u32 vme = 1 << 1, syscall = 1 << 11, long_mode = 1 << 29, fast_strings = 1 << 9;
  switch (leaf) {
    case 1:
      result.ecx &= ~(xsave | osxsave | avx | f16c | fma);
      result.edx &= ~vme;
      return;
    case 7: result = {0, result.ebx & fast_strings, 0, 0}; return;
    case 0xd: result = {}; return;
    case 0x8000'0001:
      result.ecx = 0;
      result.edx &= ~(syscall | long_mode);
      return;
    default: return;
  }
}

void DeprivilegedExecution::refresh_tables() {
  for (unsigned table = 0; table < stale_.size(); ++table) {
    if (!stale_[table]) continue;
    stale_[table] = false;
    hot_writes_ = 0;
    const SegmentState& state = seg(table == 0 ? SegmentName::gdtr : SegmentName::ldtr);
    const bool empty = table == 1 && (state.selector & ~u32{DescriptorTables::privilege_mask}) == 0;
    tables_.load(table, empty ? SegmentState{} : state, *memory_, *paging_);
  }
}

void DeprivilegedExecution::prepare_code() {
  const u32 base = static_cast<u32>(seg(SegmentName::cs).base);
  scanner_.prepare(base + rip(), base, code_bits());
}

// The tables that the paging mode keeps, and in them the way to the switch area: a directory of the mode's gets an entry that it
// leaves alone, and where there is none yet, there is one of our own.
HostPhysical DeprivilegedExecution::load_pointers() {
  const HostPhysical root = roots_[view()], own = pointers_ + u64{view()} * pointers * 8;
  if (!pointers_stale_[view()]) return own;
  pointers_stale_[view()] = false;
  const u64 area = area_table_.value | pte::P | pte::RW | pte::A | shadow::foreign;
  for (unsigned i = 0; i < pointers; ++i) {
    u64 entry = hardware_.load(root + 8 * i, 8);
    if (i == area_pointer) {
      if ((entry & pte::P) == 0) entry = directory_.value | pte::P;
      const HostPhysical at = HostPhysical(entry & entry_address_bits) + 8 * area_entry;
      if (hardware_.load(at, 8) != area) hardware_.store(at, 8, area);
    }
    hardware_.store(own + 8 * i, 8, entry);
  }
  return own;
}

void DeprivilegedExecution::find_selectors() {
  const View present = view();
  std::array<bool, 6>& changed = changed_[present];
  if (tables_generation_[present] != tables_.generation()) changed.fill(true);
  tables_generation_[present] = tables_.generation();
  for (unsigned i = 0; i < changed.size(); ++i) {
    if (!changed[i]) continue;
    changed[i] = false;
    selectors_[present][i] = tables_.selector_for(present, static_cast<SegmentName>(i), segments_[i]);
  }
}

void DeprivilegedExecution::load_user_state() {
  for (unsigned i = 0; i < saved_registers.size(); ++i) {
    state_.*saved_registers[i] = static_cast<u32>(registers[i]);
  }
  find_selectors();
  const std::array<u16, 6>& selectors = selectors_[view()];
  for (unsigned i = 0; i < selectors.size(); ++i) state_.*saved_selectors[i] = selectors[i];
  state_.eip = rip();
  stepping_ = (window_ && field(StateField::interrupt_shadow) != 0) || opened_ != nowhere;
  state_.eflags = static_cast<u32>((field(StateField::rflags) & ~virtual_flags) | rflags::IF | rflags::fixed);
  if (stepping_) state_.eflags |= static_cast<u32>(rflags::TF);
}

// A selector that is not the one we gave was loaded by the guest itself, from the table that stands for its own.
void DeprivilegedExecution::save_segments() {
  const std::array<u16, 6>& given = selectors_[view()];
  for (unsigned i = 0; i < saved_selectors.size(); ++i) {
    const SegmentName name = static_cast<SegmentName>(i);
    u16 selector = static_cast<u16>(state_.*saved_selectors[i]);
    if (selector == given[i]) continue;
    if (name == SegmentName::cs || name == SegmentName::ss) {
      selector = static_cast<u16>((selector & ~u32{DescriptorTables::privilege_mask}) | cpl());
    }
    bool there = false;
    const bool null = (selector & ~u32{DescriptorTables::privilege_mask}) == 0;
    SegmentState state;
    if (null || !read_segment(selector, state, there) || !there) state = {selector, 0, 0, 0};
    change(name) = state;
  }
}

void DeprivilegedExecution::save_user_state() {
  for (unsigned i = 0; i < saved_registers.size(); ++i) registers[i] = state_.*saved_registers[i];
  save_segments();
  if (rip() != state_.eip) field(StateField::interrupt_shadow) = 0;
  field(StateField::rip) = state_.eip;
  u64 kept = virtual_flags;
  if (stepping_) kept |= rflags::TF;
  u64& flags = field(StateField::rflags);
  flags = (flags & kept) | (state_.eflags & ~kept) | rflags::fixed;
}

// What IRET would refuse is the guest's fault and must not be the hypervisor's, which executes it (SDM vol. 2, IRET).
bool DeprivilegedExecution::can_be_entered() {
  const auto null = [this](SegmentName name) {
    return (selectors_[view()][static_cast<unsigned>(name)] & ~u32{DescriptorTables::privilege_mask}) == 0;
  };
  return rip() <= seg(SegmentName::cs).limit && !null(SegmentName::cs) && !null(SegmentName::ss);
}

Exit DeprivilegedExecution::enter() {
  if (pending_) {
    const Event event = pending_;
    pending_ = {};
    Exit exit;
    if (!deliver(event, exit)) return exit;
  }
  refresh_tables();
  if (scan_ && view() == kernel) prepare_code();
  UserSpace space;
  space.root = load_pointers();
  space.area_table = area_table_;
  space.gdt = DescriptorTables::gdt(view());
  space.ldt = DescriptorTables::ldt_selector;
  space.ldt_in_use = tables_.ldt_in_use();
  space.cr0 = static_cast<u32>(field(StateField::cr0)) & static_cast<u32>(cr0::MP | cr0::EM | cr0::TS);
  load_user_state();
  if (!can_be_entered()) {
    Exit exit;
    exit.reason = ExitReason::GeneralProtection;
    exit.number = vector::GP;
    return exit;
  }
  UserStateTime& time = times_[view()];
  const u64 entered_at = hardware_.tsc();
  hardware_.run_user_state(space);
  time.tsc += hardware_.tsc() - entered_at;
  ++time.entries;
  save_user_state();
  return read_exit();
}

}  // namespace bunshin::vmm::deprivileged
