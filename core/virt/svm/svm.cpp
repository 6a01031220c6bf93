#include "core/virt/svm/svm.h"

#include "core/virt/svm/event_field.h"
#include "core/virt/svm/exit_codes.h"

namespace bunshin::svm {

u32 address_space_count(const CpuProfile& profile) { return profile.family > 0x10 ? 0x8000 : 64; }

Svm::Svm(Cpu& cpu) : Virtualization(cpu), stage_(cpu.memory) {}

ExitTable Svm::exit_table() const { return svm::exit_table(); }

/// VM_CR.SVMDIS keeps EFER.SVME clear (15.30.1).
u64 Svm::efer_extension() const { return (registers_.vm_cr & vm_cr::svm_disable) == 0 ? efer::SVME : 0; }

/// Without SVM, GIF is set.
void Svm::efer_written(u64 before) {
  if ((before & ~cpu_.state.msr.efer & efer::SVME) == 0) return;
  gif_ = true;
  watch_events();
}

void Svm::reset() {
  if (running()) abandon_guest();
  registers_ = {};
  gif_ = true;
  init_held_ = false;
  vmcb_address_.reset();
  vmcb_ = {};
  host_ = {};
  pauses_left_ = 0;
  last_pause_ = 0;
  watch_events();
}

bool Svm::write_vm_cr(u64 value) {
  if ((value & ~vm_cr::defined) != 0) return false;
  u64& current = registers_.vm_cr;
  // Locked, neither the lock nor what it guards can be written (15.31).
  if ((current & vm_cr::lock) != 0) {
    constexpr u64 guarded = vm_cr::lock | vm_cr::svm_disable;
    value = (value & ~guarded) | (current & guarded);
  }
  if (!has_feature(Feature::SvmLock)) value &= ~vm_cr::lock;
  if ((value & vm_cr::svm_disable) != 0 && (cpu_.state.msr.efer & efer::SVME) != 0) return false;
  current = value;
  return true;
}

bool Svm::write_hsave(u64 value) {
  if ((value & (page_size - 1)) != 0 || value >> cpu_.profile.physical_bits != 0) return false;
  registers_.hsave = value;
  return true;
}

bool Svm::write_tsc_ratio(u64 value) {
  if ((value & ~ratio_defined) != 0) return false;
  registers_.tsc_ratio = value;
  return true;
}

bool Svm::write_ignne(u64 value) {
  if (value > 1) return false;
  registers_.ignne = value;
  return true;
}

/// 15.31, SVM_KEY: while locked, the key that was written before the lock opens it; without the lock it is kept. Zero is no key.
bool Svm::write_key(u64 value) {
  if ((registers_.vm_cr & vm_cr::lock) == 0) {
    registers_.key = value;
  } else if (registers_.key != 0 && registers_.key == value) {
    registers_.vm_cr &= ~vm_cr::lock;
  }
  return true;
}

void Svm::hash(StateHash& hash) const {
  for (const u64 v : {registers_.vm_cr, registers_.hsave, registers_.tsc_ratio, registers_.ignne, registers_.key,
                      u64{gif_}, u64{running()}}) {
    hash.add(v);
  }
  if (!running()) return;
  for (const u64 v : {vmcb_address_->value, interrupts(), u64{vmcb_.control.asid}, u64{pauses_left_}, host_.pat,
                      u64{host_.interrupts}, injected_ ? encode_event(*injected_) : 0}) {
    hash.add(v);
  }
}

}  // namespace bunshin::svm
