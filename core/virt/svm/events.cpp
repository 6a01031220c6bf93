// The global interrupt flag, which interrupts a guest takes and which take the guest, virtual interrupts, and event injection
// (AMD APM vol. 2, 15.17, 15.13, 15.20, 15.21, "Virtual GIF").

#include <utility>

#include "core/events/debug.h"
#include "core/events/delivery.h"
#include "core/virt/svm/event_field.h"
#include "core/virt/svm/svm.h"

namespace bunshin::svm {

namespace field = virtual_interrupt;

/// A guest with a GIF of its own leaves the processor's alone (Virtual GIF).
void Svm::set_global_interrupts(bool enabled) {
  u64& control = vmcb_.control.virtual_interrupt;
  if (running() && has_feature(Feature::Vgif) && (control & field::gif_enable) != 0) {
    control = enabled ? control | field::gif : control & ~u64{field::gif};
    return;
  }
  gif_ = enabled;
  watch_events();
  // What was held may be due now, and what comes from outside is looked at between slices.
  cpu_.accessed_device = true;
}

bool Svm::global_interrupts_of_guest() const {
  const u64 control = interrupts();
  return !has_feature(Feature::Vgif) || (control & field::gif_enable) == 0 || (control & field::gif) != 0;
}

/// With V_INTR_MASKING the host's RFLAGS.IF decides, and no interrupt shadow of the guest's (15.21.1).
bool Svm::physical_interrupt_open() const {
  if (virtualizes_tpr()) return host_.interrupts;
  return (cpu_.state.flags.system & rflags::IF) != 0 && !cpu_.state.interrupt_shadow;
}

bool Svm::virtual_interrupt_ready() const {
  const u64 control = interrupts();
  if ((control & field::irq) == 0 || !global_interrupts_of_guest()) return false;
  if ((cpu_.state.flags.system & rflags::IF) == 0 || cpu_.state.interrupt_shadow) return false;
  return (control & field::ignore_tpr) != 0 || (control >> field::priority_shift & 0xf) > (control & 0xf);
}

/// In the order of priority (8.5, 15.21.4): INIT, NMI, physical interrupt, virtual interrupt.
std::optional<ExitCode> Svm::due_exit() const {
  const CpuState& s = cpu_.state;
  if (init_held_ && intercepted(ExitCode::Init)) return ExitCode::Init;
  if (s.nmi_pending && !s.nmi_blocked && intercepted(ExitCode::Nmi)) return ExitCode::Nmi;
  if (cpu_.apic.interrupt_pending() && physical_interrupt_open() && intercepted(ExitCode::Intr)) return ExitCode::Intr;
  if (virtual_interrupt_ready() && intercepted(ExitCode::Vintr)) return ExitCode::Vintr;
  return std::nullopt;
}

DueEvent Svm::due() const {
  using Kind = DueEvent::Kind;
  const CpuState& s = cpu_.state;
  if (injected_) return {Kind::Injected, true};
  if (!gif_) {
    // Breakpoints are discarded while GIF is clear; a single step is not (15.17).
    return (s.pending_debug & dr6::breakpoints) != 0 ? DueEvent{Kind::Absorbed, true} : DueEvent{};
  }
  if (init_held_) return {running() && intercepted(ExitCode::Init) ? Kind::Exit : Kind::Absorbed, true};
  if (s.activity == Activity::Shutdown) return {};
  const bool nmi = s.nmi_pending && !s.nmi_blocked && (!s.interrupt_shadow || intercepted(ExitCode::Nmi));
  if (nmi) return {intercepted(ExitCode::Nmi) ? Kind::Exit : Kind::Nmi};
  const bool interrupt = cpu_.apic.interrupt_pending();
  if (interrupt && physical_interrupt_open()) return {intercepted(ExitCode::Intr) ? Kind::Exit : Kind::External};
  if (virtual_interrupt_ready()) return {intercepted(ExitCode::Vintr) ? Kind::Exit : Kind::VirtualInterrupt};
  // MWAIT with ECX[0] ends for an interrupt that is not taken.
  const bool waits = s.activity == Activity::Monitoring && s.masked_interrupts_wake;
  return waits && (interrupt || (interrupts() & field::irq) != 0) ? DueEvent{Kind::Absorbed} : DueEvent{};
}

void Svm::take_silently() {
  if (!gif_) {
    cpu_.state.pending_debug &= ~dr6::breakpoints;
  } else if (std::exchange(init_held_, false)) {
    // The slice ends here: between two of them INIT arrives again.
    cpu_.deadline -= static_cast<u64>(cpu_.budget);
    cpu_.budget = 0;
    watch_events();
  } else {
    cpu_.end_wait();
  }
}

/// With nRIP the field says where software's own events return to, which need not have been executed (15.20).
Event Svm::injected_event() {
  Event event = injected_.value_or(Event{});
  injected_.reset();
  const CpuState& s = cpu_.state;
  event.return_rip = event.by_software() && has_feature(Feature::NripSave) ? vmcb_.control.next_rip : s.rip;
  event.flags = s.flags.value();
  // #PF finds its address in the guest's CR2, which the hypervisor has set.
  event.linear = s.cr2;
  return event;
}

u8 Svm::acknowledge_virtual() {
  u64& control = vmcb_.control.virtual_interrupt;
  control &= ~u64{field::irq};
  return static_cast<u8>(control >> field::vector_shift);
}

void Svm::write_virtual_tpr(u8 priority_class) {
  u64& control = vmcb_.control.virtual_interrupt;
  control = (control & ~u64{0xff}) | (priority_class & 0xf);
}

u64 Svm::guest_tsc(u64 host) const {
  const u64 scaled = static_cast<u64>(u128{host} * registers_.tsc_ratio >> 32);
  return scaled + vmcb_.control.tsc_offset;
}

/// INIT waits for GIF; intercepted, it waits on, for the host (15.13, INIT); redirected, it is #SX (15.28).
InitAction Svm::init_arrived() {
  init_held_ = !gif_ || (running() && intercepted(ExitCode::Init));
  if (init_held_) {
    if (gif_) exit_guest({ExitCode::Init}, nullptr);
    return InitAction::Hold;
  }
  if ((registers_.vm_cr & vm_cr::redirect_init) != 0) {
    constexpr u32 init_was_redirected = 1;
    cpu_.end_wait();
    deliver_exception(cpu_, Fault::with_code(Vector::SX, init_was_redirected));
    return InitAction::Exited;
  }
  if (running()) abandon_guest();
  return InitAction::Take;
}

}  // namespace bunshin::svm
