#include "vmm-model/paging/software_tlb.h"

#include "mmu/software_fill_registers.h"
#include "vmm-model/paging/shadow_table.h"

namespace bunshin::vmm {

namespace {

constexpr unsigned large_shift = 21;
constexpr u64 large_bytes = u64{1} << large_shift;

}  // namespace

bool SoftwareTlb::supported(Hardware& hardware) {
  const CpuidResult r = hardware.cpuid(software_fill_leaf, 0);
  return std::array{r.ebx, r.ecx, r.edx} == software_fill_name;
}

// One such page serves all guests: the TLB tells them apart.
bool SoftwareTlb::start() {
  root_ = HostPhysical(context_.hardware.read_msr(fill_msr::root));
  if (root_.value == 0) {
    root_ = new_table();
    if (root_.value == 0) return false;
    context_.hardware.write_msr(fill_msr::root, root_.value);
  }
  context_.execution.intercept_invlpg(true);
  return controls_written();
}

bool SoftwareTlb::controls_written() {
  context_.execution.use_shadow(root_);
  return root_written();
}

bool SoftwareTlb::root_written() {
  ++counters_.flushes;
  pieces_ = false;
  keep_page_directory_pointers();
  context_.execution.flush_translations();
  return true;
}

FaultResult SoftwareTlb::fault(const Exit& exit) {
  const PagingControls c = controls();
  const WalkAccess access = faulting_access(exit.error_code);
  const GuestTranslation t = walk_guest(context_.memory, c, Linear(exit.address), access, true);
  if (t.fault) return hand_on(t);
  const GuestPhysical page = t.address.page();
  if (!context_.memory.contains(page, page_size) || shadow::hidden_from_smap(t, c, access)) {
    return {FaultOutcome::Emulate, 0, t.address};
  }
  ++counters_.fills;
  fill(Linear(exit.address), t, shadow::leaf_entry(context_.memory.host(page), t, c, access));
  return {FaultOutcome::Resume, 0, t.address};
}

/// A page of 2 MiB where the guest has one that is, and its memory lies so.
void SoftwareTlb::fill(Linear address, const GuestTranslation& found, u64 leaf) {
  const GuestPhysical base(found.address.value & ~(large_bytes - 1));
  const bool large = found.shift >= large_shift && context_.memory.adjacent(base, large_bytes) &&
                     context_.memory.host(base).value % large_bytes == 0;
  pieces_ = pieces_ || found.shift > (large ? large_shift : page_shift);
  if (large) leaf = (leaf & ~entry_address_bits) | context_.memory.host(base).value;
  context_.hardware.write_msr(fill_msr::address, address.value);
  context_.hardware.write_msr(large ? fill_msr::large_entry : fill_msr::entry, leaf);
}

// INVLPG drops a large page as a whole (SDM vol. 3, 4.10.4.1). The page itself the caller drops.
void SoftwareTlb::invalidate(Linear) {
  if (!pieces_) return;
  pieces_ = false;
  context_.execution.flush_translations();
}

}  // namespace bunshin::vmm
