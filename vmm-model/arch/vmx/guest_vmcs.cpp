#include "vmm-model/arch/vmx/guest_vmcs.h"

namespace bunshin::vmm::vmx {

u64 GuestVmcs::read(Field field) {
  const unsigned at = slot(field);
  if (!known(at)) {
    make_current();
    keep(at, processor_.instructions().read(field));
  }
  return values_[at];
}

void GuestVmcs::write(Field field, u64 value) {
  const unsigned at = slot(field);
  if (known(at) && values_[at] == value) return;
  make_current();
  processor_.instructions().write(field, value);
  keep(at, value);
}

// Kinds are 0 control, 1 read-only, 2 guest and 3 host, 32 fields each: kinds 1 and 2 are the middle of every pair of words.
void GuestVmcs::guest_has_run() {
  constexpr u64 low = 0xffff'ffff;
  for (unsigned i = 0; i < known_.size(); ++i) known_[i] &= i % 2 == 0 ? low : ~low;
  // VM exit clears the valid bit (27.2.2).
  const unsigned injected = slot(Field::EntryInterruption);
  values_[injected] &= ~u64{interruption::valid};
}

}  // namespace bunshin::vmm::vmx
