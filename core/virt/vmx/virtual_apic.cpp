// The virtual-APIC page and virtual interrupts (SDM vol. 3, 29.1 and 29.2, 29.6).

#include "core/virt/vmx/vmx.h"

namespace bunshin::vmx {
namespace {

/// Registers of the page, by offset (29.1.1).
constexpr u32 vtpr = 0x80, vppr = 0xa0, visr = 0x100, virr = 0x200;
constexpr unsigned vector_words = 8;
constexpr u32 class_mask = 0xf0;

}  // namespace

u32 Vmx::virtual_register(u32 offset) { return read_physical<u32>(cpu_, HostPhysical(c_.virtual_apic + offset)); }

void Vmx::set_virtual_register(u32 offset, u32 value) {
  write_physical(cpu_, HostPhysical(c_.virtual_apic + offset), value);
}

u8 Vmx::read_virtual_tpr() { return static_cast<u8>(virtual_register(vtpr) >> 4 & 0xf); }

void Vmx::write_virtual_tpr(u8 priority_class) {
  set_virtual_register(vtpr, u32{priority_class} << 4);
  virtualize_tpr();
}

/// 29.1.2.
void Vmx::virtualize_tpr() {
  if (c_.also(secondary::interrupt_delivery)) {
    virtualize_ppr();
    evaluate_pending();
    return;
  }
  if ((virtual_register(vtpr) >> 4 & 0xf) < (c_.tpr_threshold & 0xf))
    trap_exit_ = ExitInformation{.reason = Reason::TprBelowThreshold, .keeps_debug = true};
}

/// 29.1.3.
void Vmx::virtualize_ppr() {
  const u32 tpr = virtual_register(vtpr) & 0xff;
  const u32 in_service = interrupt_status_ >> 8;
  set_virtual_register(vppr, (tpr & class_mask) >= (in_service & class_mask) ? tpr : in_service & class_mask);
}

/// 29.2.1.
void Vmx::evaluate_pending() {
  const u32 requesting = interrupt_status_ & 0xff;
  virtual_interrupt_pending_ = (requesting & class_mask) > (virtual_register(vppr) & class_mask);
}

/// The highest vector in VISR or VIRR, -1: none.
int Vmx::highest_vector(u32 base) {
  for (unsigned word = vector_words; word-- != 0;) {
    const u32 bits = virtual_register(base + word * 16);
    if (bits != 0) return static_cast<int>(word * 32 + 31 - static_cast<unsigned>(std::countl_zero(bits)));
  }
  return -1;
}

void Vmx::change_vector(u32 base, u8 vector, bool on) {
  const u32 offset = base + vector / 32u * 16;
  const u32 bit = u32{1} << vector % 32;
  const u32 bits = virtual_register(offset);
  set_virtual_register(offset, on ? bits | bit : bits & ~bit);
}

namespace {

u16 status_of(int in_service, int requesting) {
  const auto byte = [](int vector) { return static_cast<u16>(vector < 0 ? 0 : vector); };
  return static_cast<u16>(byte(in_service) << 8 | byte(requesting));
}

}  // namespace

/// 29.2.2.
u8 Vmx::acknowledge_virtual() {
  const auto vector = static_cast<u8>(interrupt_status_);
  change_vector(visr, vector, true);
  set_virtual_register(vppr, vector & class_mask);
  change_vector(virr, vector, false);
  interrupt_status_ = status_of(vector, highest_vector(virr));
  virtual_interrupt_pending_ = false;
  return vector;
}

/// 29.1.4.
void Vmx::virtualize_eoi() {
  const auto vector = static_cast<u8>(interrupt_status_ >> 8);
  change_vector(visr, vector, false);
  interrupt_status_ = status_of(highest_vector(visr), interrupt_status_ & 0xff);
  virtualize_ppr();
  if ((c_.eoi_exit_bitmap[vector / 64u] >> vector % 64 & 1) != 0) {
    trap_exit_ = ExitInformation{.reason = Reason::VirtualizedEoi, .qualification = vector, .keeps_debug = true};
  } else {
    evaluate_pending();
  }
}

/// 29.1.5.
void Vmx::virtualize_self_ipi(u8 vector) {
  change_vector(virr, vector, true);
  const u16 requesting = std::max<u16>(interrupt_status_ & 0xff, vector);
  interrupt_status_ = static_cast<u16>((interrupt_status_ & 0xff00) | requesting);
  evaluate_pending();
}

/// 29.6: the requests in the posted-interrupt descriptor go to VIRR. False: there were none.
bool Vmx::process_posted_interrupts() {
  constexpr u64 notification_word = 32;
  const HostPhysical descriptor(c_.posted_descriptor);
  const HostPhysical control = descriptor + notification_word;
  write_physical(cpu_, control, read_physical<u64>(cpu_, control) & ~u64{1});
  int highest = -1;
  for (u32 word = 0; word < vector_words; ++word) {
    const HostPhysical at = descriptor + word * u64{4};
    const u32 bits = read_physical<u32>(cpu_, at);
    if (bits == 0) continue;
    write_physical(cpu_, at, u32{0});
    set_virtual_register(virr + word * 16, virtual_register(virr + word * 16) | bits);
    highest = static_cast<int>(word * 32 + 31 - static_cast<unsigned>(std::countl_zero(bits)));
  }
  if (highest < 0) return false;
  const int requesting = std::max(interrupt_status_ & 0xff, highest);
  interrupt_status_ = status_of(interrupt_status_ >> 8, requesting);
  evaluate_pending();
  return true;
}

}  // namespace bunshin::vmx
