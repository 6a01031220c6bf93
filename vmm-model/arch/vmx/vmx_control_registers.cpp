// Control registers (SDM vol. 3, 24.6.6, 26.3.1.1): what the guest believes, and what the processor has. Masked bits of CR0 and
// CR4 the guest reads from the read shadows, and writes by exits; all others are its own. CR0.PG and with it long mode are
// never the guest's own, as the hypervisor must know of them.

#include "mmu/paging_mode.h"
#include "vmm-model/arch/vmx/vmx_execution.h"

namespace bunshin::vmm::vmx {

namespace {

/// Where the identity map lies for a guest that does not page itself: below 4 GiB, in nobody's way.
constexpr u64 identity_address = 0xfffb'c000;

constexpr u64 cr0_always_free = cr0::TS | cr0::MP | cr0::EM | cr0::AM;
/// VME, PVI, TSD, DE, MCE, PCE, OSFXSR, OSXMMEXCPT, UMIP, FSGSBASE, OSXSAVE.
constexpr u64 cr4_always_free = 0xf4f | 1 << 16 | cr4::OSXSAVE;
constexpr u64 cr4_free_when_nested = cr4::PSE | cr4::PAE | cr4::PGE | cr4::SMEP | cr4::SMAP;
constexpr u64 cr4_never_shadowed =
    cr4::PGE | cr4::PCIDE | cr4::LA57 | cr4::PKE | cr4::PSE;  // formats and tags that shadow tables do not have
constexpr u32 cr3_exits = primary::cr3_load | primary::cr3_store;

}  // namespace

/// What the guest has changed by itself becomes what it believes.
void VmxExecution::adopt_control_registers() {
  cr0_ = get(StateField::cr0);
  cr3_ = get(StateField::cr3);
  cr4_ = get(StateField::cr4);
}

void VmxExecution::load_control_registers() {
  if (shadowed_) {
    load_shadowed();
  } else if (!guest_pages() && !processor_.capabilities().unrestricted_guest) {
    load_unpaged();
  } else {
    load_nested();
  }
  vmcs_.write(Field::Cr0Mask, cr0_mask_);
  vmcs_.write(Field::Cr4Mask, cr4_mask_);
  vmcs_.write(Field::Cr0Shadow, cr0_);
  vmcs_.write(Field::Cr4Shadow, cr4_);
  const u32 exits = (cr3_is_guests_ ? 0 : cr3_exits) | (processor_.capabilities().must.primary & cr3_exits);
  vmcs_.change_bits(Field::PrimaryControls, cr3_exits, false);
  vmcs_.change_bits(Field::PrimaryControls, exits, true);
  vmcs_.change_bits(Field::EntryControls, entry_control::ia32e_guest, long_mode());
}

// As on AMD-V: paging is always on, in a format that has XD, and write protection too.
void VmxExecution::load_shadowed() {
  const Capabilities& c = processor_.capabilities();
  // A guest that does not page has no user pages to be kept from.
  const u64 paging_only = guest_pages() ? 0 : cr4::SMEP | cr4::SMAP;
  cr0_mask_ = ~cr0_always_free;
  cr4_mask_ = ~cr4_always_free;
  cr3_is_guests_ = false;
  vmcs_.write(Field::GuestCr0, (cr0_ & ~(cr0::CD | cr0::NW)) | cr0::PG | cr0::WP | c.cr0_fixed0);
  vmcs_.write(Field::GuestCr3, shadow_root_.value);
  vmcs_.write(Field::GuestCr4,
              (((cr4_ | cr4::PAE) & ~(cr4_never_shadowed | paging_only)) & c.cr4_fixed1) | c.cr4_fixed0);
  processor_efer_ = (efer_ & efer::SCE) | efer::NXE;
  choose_page_faults();
}

// 25.2: with its bit in the exception bitmap clear, a page fault exits if its masked error code is not the match. That a fetch
// has faulted the processor always tells here, and a guest is not told by every processor (4.7).
void VmxExecution::choose_page_faults() {
  const bool tells_fetches =
      ((efer_ & efer::NXE) != 0 && (cr4_ & cr4::PAE) != 0) || (guest_pages() && (cr4_ & cr4::SMEP) != 0);
  vmcs_.change_bits(Field::ExceptionBitmap, 1 << vector::PF, !passes_missing_);
  vmcs_.write(Field::PageFaultMask, passes_missing_ ? page_fault::P | (tells_fetches ? 0 : page_fault::ID) : 0);
}

// Under EPT, on a processor whose guests must page: 32-bit paging through a page directory that maps everything to itself.
void VmxExecution::load_unpaged() {
  const Capabilities& c = processor_.capabilities();
  constexpr u64 paging_only = cr4::PAE | cr4::SMEP | cr4::SMAP | cr4::PGE | cr4::PCIDE | cr4::LA57;
  cr0_mask_ = ~cr0_always_free;
  cr4_mask_ = ~cr4_always_free;
  cr3_is_guests_ = false;
  vmcs_.write(Field::GuestCr0, (cr0_ & ~(cr0::CD | cr0::NW)) | c.cr0_fixed0);
  vmcs_.write(Field::GuestCr3, identity_address);
  vmcs_.write(Field::GuestCr4, (((cr4_ & ~paging_only) | cr4::PSE) & c.cr4_fixed1) | c.cr4_fixed0);
  processor_efer_ = efer_ & (efer::SCE | efer::NXE);
}

void VmxExecution::load_nested() {
  const Capabilities& c = processor_.capabilities();
  const u64 fixed0 = c.unrestricted_guest ? c.cr0_fixed0 & ~(cr0::PE | cr0::PG) : c.cr0_fixed0;
  cr0_mask_ = ~(cr0_always_free | cr0::WP);
  cr4_mask_ = ~(cr4_always_free | cr4_free_when_nested);
  cr3_is_guests_ = true;
  vmcs_.write(Field::GuestCr0, (cr0_ & ~(cr0::CD | cr0::NW)) | fixed0);
  vmcs_.write(Field::GuestCr3, cr3_);
  vmcs_.write(Field::GuestCr4, (cr4_ & c.cr4_fixed1) | c.cr4_fixed0);
  processor_efer_ = efer_ & (efer::SCE | efer::NXE);
}

void VmxExecution::use_shadow(HostPhysical root) {
  adopt_control_registers();
  shadowed_ = true;
  shadow_root_ = root;
  load_control_registers();
  flush_ = true;
}

void VmxExecution::use_second_stage(HostPhysical root) {
  const Capabilities& c = processor_.capabilities();
  adopt_control_registers();
  eptp_ = root.value | eptp::write_back | eptp::four_levels;
  vmcs_.write(Field::EptPointer, eptp_);
  const u32 wanted = secondary::ept | (c.unrestricted_guest ? secondary::unrestricted_guest : 0);
  vmcs_.change_bits(Field::SecondaryControls, wanted, true);
  // Memory types come from the guest's PAT then, and the hypervisor's own must not.
  if (c.load_pat) {
    vmcs_.change_bits(Field::ExitControls, exit_control::load_pat, true);
    vmcs_.change_bits(Field::EntryControls, entry_control::load_pat, true);
    vmcs_.write(Field::HostPat, hardware_.read_msr(msr::pat));
    vmcs_.write(Field::GuestPat, pat_);
  }
  if (!c.unrestricted_guest) build_identity_map();
  load_control_registers();
  flush_ = true;
}

// A page directory of 4 MiB pages, all accessed and dirty so that nobody need write it; and EPT tables that lead to it.
void VmxExecution::build_identity_map() {
  constexpr u64 large_page = pte::P | pte::RW | pte::US | pte::A | pte::D | pte::PS;
  constexpr u64 write_back = u64{6} << ept::type_shift;
  const HostPhysical directory = pages_.identity.back();
  for (u64 i = 0; i < 1024; ++i) hardware_.store(directory + 4 * i, 4, i << 22 | large_page);
  HostPhysical table(eptp_ & entry_address_bits);
  for (unsigned level = 4; level >= 1; --level) {
    const HostPhysical next = pages_.identity[4 - level];
    const u64 index = identity_address >> (page_shift + 9 * (level - 1)) & 511;
    const u64 entry = level == 1 ? next.value | ept::R | write_back : next.value | ept::R | ept::W | ept::X;
    hardware_.store(table + 8 * index, 8, entry);
    table = next;
  }
}

// Under EPT the processor keeps PAE's four entries in the VMCS while the guest does not run (26.3.2.4).
void VmxExecution::load_page_directory_pointers(const std::array<u64, 4>& entries) {
  for (unsigned i = 0; i < entries.size(); ++i) vmcs_.write(Field::GuestPdpte0 + i, entries[i]);
}

u64 VmxExecution::largest_second_stage_page() const {
  return processor_.capabilities().can(ept_vpid::gigabyte_pages) ? u64{1} << 30 : u64{2} << 20;
}

}  // namespace bunshin::vmm::vmx
