#include "core/virt/virtualization.h"

#include "core/cpu.h"
#include "core/virt/svm/svm.h"
#include "core/virt/vmx/vmx.h"

namespace bunshin {

void Virtualization::entered_guest() {
  cpu_.guest = this;
  cpu_.event_gate = this;
  cpu_.accessed_device = true;  // deadlines may have moved
  entry_untold_ = true;
  cpu_.observation.note(Transition::Entry);
  if (!cpu_.observation.active()) tell_of_entry();
}

void Virtualization::left_guest(const VmExit& exit) {
  cpu_.guest = nullptr;
  tell_of_entry();
  if (cpu_.observation.active()) {
    const ExitTable table = exit_table();
    cpu_.observation.note_exit(table[exit_row(table, exit.cause)].kind);
  }
  if (listener_ != nullptr) listener_->left(cpu_, exit);
}

void Virtualization::refused_entry(u32 error, std::string_view broken_rule) {
  if (listener_ != nullptr) listener_->refused(cpu_, {error, cpu_.state.rip, broken_rule});
}

void Virtualization::translate_for_host() {
  cpu_.guest_tag = 0;
  cpu_.pdptes_in_memory = false;
  cpu_.mmu.set_second_stage(nullptr);
  cpu_.mmu.set_trapped_page(Mmu::no_trapped_page);
}

std::unique_ptr<Virtualization> make_virtualization(Cpu& cpu) {
  if (cpu.profile.has(Feature::Svm)) return std::make_unique<svm::Svm>(cpu);
  if (cpu.profile.has(Feature::Vmx)) return std::make_unique<vmx::Vmx>(cpu);
  return nullptr;
}

}  // namespace bunshin
