#include "core/virt/virtualization.h"

#include "core/cpu.h"
#include "core/virt/svm/svm.h"

namespace bunshin {

void Virtualization::entered_guest() {
  cpu_.guest = this;
  cpu_.event_gate = this;
  cpu_.accessed_device = true;  // deadlines may have moved
  if (listener_ != nullptr) listener_->entered(cpu_);
}

void Virtualization::left_guest(const VmExit& exit) {
  cpu_.guest = nullptr;
  if (listener_ != nullptr) listener_->left(cpu_, exit);
}

std::unique_ptr<Virtualization> make_virtualization(Cpu& cpu) {
  if (cpu.profile.has(Feature::Svm)) return std::make_unique<svm::Svm>(cpu);
  return nullptr;
}

}  // namespace bunshin
