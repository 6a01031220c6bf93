#include "vmm-model/paging/guest_paging.h"

#include <algorithm>

namespace bunshin::vmm {

PagingControls PagingContext::controls() const {
  PagingControls c;
  c.cr0 = execution.get(StateField::cr0);
  c.cr3 = execution.get(StateField::cr3);
  c.cr4 = execution.get(StateField::cr4);
  c.efer = execution.get(StateField::efer);
  c.alignment_check = (c.cr4 & cr4::SMAP) != 0 && (execution.get(StateField::rflags) & rflags::AC) != 0;
  c.physical_bits = physical_bits;
  c.gigabyte_pages = gigabyte_pages;
  c.pse36 = pse36;
  return c;
}

PagingControls GuestPaging::controls() const {
  PagingControls c = context_.controls();
  if (pointers_kept_) c.page_directory_pointers = &page_directory_pointers_;
  return c;
}

FaultResult GuestPaging::hand_on(const GuestTranslation& refused) {
  ++counters_.guest_faults;
  return {FaultOutcome::Inject, refused.error_code, {}};
}

void GuestPaging::keep_page_directory_pointers() {
  const PagingControls c = context_.controls();
  pointers_kept_ = c.mode() == PagingMode::Pae;
  if (pointers_kept_) load_page_directory_pointers(context_.memory, c, page_directory_pointers_);
}

HostPhysical GuestPaging::new_table() {
  const HostPhysical table = context_.pool.allocate();
  if (table.value == 0) return table;
  ++counters_.table_pages;
  counters_.most_pages = std::max(counters_.most_pages, counters_.table_pages);
  return table;
}

void GuestPaging::release_table(HostPhysical table) {
  context_.pool.release(table);
  --counters_.table_pages;
}

void GuestPaging::use_shadow(unsigned view, HostPhysical root) {
  if (view == kernel_view) return context_.execution.use_shadow(root);
  context_.execution.software()->use_user_shadow(root);
}

}  // namespace bunshin::vmm
