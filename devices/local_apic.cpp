// The register file of the local APIC: the xAPIC page, the x2APIC MSRs, IA32_APIC_BASE and the resets.

#include "devices/local_apic.h"

namespace bunshin {

namespace {

// Version 14H (Pentium 4 and later), max LVT entry 5 (no CMCI), EOI-broadcast suppression (10.4.8).
constexpr u32 version_value = 0x01050014;
constexpr u32 dfr_reset = 0xffffffff;
constexpr u32 spurious_reset = 0xff;
constexpr u64 default_base = 0xfee00000;

}  // namespace

LocalApic::LocalApic(unsigned index, u32 apic_id, bool bootstrap, DeviceHost& host, InterruptBus& bus,
                     ProcessorPins& pins, Clock timer_clock, LocalApicFeatures features)
    : index_(index),
      initial_id_(apic_id),
      bootstrap_(bootstrap),
      host_(host),
      bus_(bus),
      pins_(pins),
      timer_clock_(timer_clock),
      features_(features),
      base_(default_base | base_enable | (bootstrap ? base_bootstrap : 0)) {
  reset_registers();
}

void LocalApic::reset() {
  base_ = default_base | base_enable | (bootstrap_ ? base_bootstrap : 0);
  reset_registers();
  host_.set_alarm(SimTime::never());
  update();
}

void LocalApic::init_reset() {
  reset_registers();
  host_.set_alarm(SimTime::never());
  update();
}

// Table of values after power-up in 10.4.7.1. In x2APIC mode the LDR is derived from the ID and survives (10.12.5).
void LocalApic::reset_registers() {
  id_ = initial_id_;
  tpr_ = 0;
  ldr_ = x2apic_enabled() ? logical_x2apic_id() : 0;
  dfr_ = dfr_reset;
  svr_ = spurious_reset;
  esr_ = esr_detected_ = 0;
  icr_ = 0;
  lvt_.fill(lvt_masked);
  isr_.clear_all();
  tmr_.clear_all();
  irr_.clear_all();
  external_message_ = false;
  initial_count_ = divide_ = 0;
  stop_timer();
}

void LocalApic::set_virtual_wire() {
  svr_ = spurious_reset | svr_enable;
  lvt_[lvt_lint0] = static_cast<u32>(DeliveryMode::ExtInt) << 8;
  lvt_[lvt_lint1] = static_cast<u32>(DeliveryMode::Nmi) << 8;
  update();
}

// Figure 10-27: disabled -> xAPIC -> x2APIC -> disabled, and xAPIC -> disabled; every other change is a #GP.
bool LocalApic::set_base_msr(u64 value) {
  const u64 address_bits = (u64{1} << (features_.physical_address_bits & 63)) - 1;
  const u64 writable =
      (address_bits & ~u64{0xfff}) | base_bootstrap | base_enable | (features_.x2apic ? base_x2apic : 0);
  if ((value & ~writable) != 0) return false;
  const bool enable = (value & base_enable) != 0;
  const bool x2apic = (value & base_x2apic) != 0;
  if (x2apic && !enable) return false;
  if (x2apic_enabled() && enable && !x2apic) return false;
  if (!globally_enabled() && x2apic) return false;

  const bool was_enabled = globally_enabled();
  const bool was_x2apic = x2apic_enabled();
  base_ = value;
  if (was_enabled && !enable) {
    // 10.4.3: when enabled again it starts from its power-up state.
    reset_registers();
    host_.set_alarm(SimTime::never());
  } else if (!was_x2apic && x2apic) {
    // 10.12.5.1: the ID registers are loaded, the upper half of ICR is cleared, the rest is kept.
    id_ = initial_id_;
    ldr_ = logical_x2apic_id();
    icr_ &= 0xffffffff;
  }
  update();
  return true;
}

void LocalApic::set_task_priority_class(u8 priority_class) {
  tpr_ = static_cast<u8>((priority_class & 15) << 4);
  update();
}

// 10.4.1: registers are 32 bits wide at 16-byte steps and want aligned 32-bit accesses. Other reads return the bytes
// they touch, other writes do nothing.
u64 LocalApic::read(unsigned /*region*/, u64 offset, unsigned size) {
  if (!mmio_enabled()) return ~u64{0} >> (64 - 8 * size);
  const u32 address = static_cast<u32>(offset & 0xff0);
  const unsigned byte = offset & 15;
  if (byte >= 4) return 0;
  if (!register_exists(address)) {
    raise_error(illegal_register);
    return 0;
  }
  const u64 value = read_register(address) >> (8 * byte);
  return size >= 4 ? value : value & ((u64{1} << (8 * size)) - 1);
}

void LocalApic::write(unsigned /*region*/, u64 offset, unsigned size, u64 value) {
  if (!mmio_enabled() || size != 4 || (offset & 15) != 0) return;
  const u32 address = static_cast<u32>(offset & 0xff0);
  if (!register_exists(address)) {
    raise_error(illegal_register);
    return;
  }
  write_register(address, static_cast<u32>(value));
}

// Table 10-1. SELF IPI exists in x2APIC mode only, CMCI not at all; APR, RRD, DFR and the high half of ICR in xAPIC
// mode only.
bool LocalApic::register_exists(u32 offset) const {
  if (offset >= isr_register && offset < esr_register) return true;
  if (offset >= lvt_timer_register && offset <= current_count_register) return true;
  switch (offset) {
    case id_register:
    case version_register:
    case tpr_register:
    case ppr_register:
    case eoi_register:
    case ldr_register:
    case svr_register:
    case esr_register:
    case icr_register:
    case divide_register: return true;
    case apr_register:
    case rrd_register:
    case dfr_register:
    case icr_high_register: return !x2apic_enabled();
    case self_ipi_register: return x2apic_enabled();
    default: return false;
  }
}

u32 LocalApic::read_register(u32 offset) {
  if (offset >= isr_register && offset < tmr_register) return isr_.word((offset - isr_register) >> 4);
  if (offset >= tmr_register && offset < irr_register) return tmr_.word((offset - tmr_register) >> 4);
  if (offset >= irr_register && offset < esr_register) return irr_.word((offset - irr_register) >> 4);
  if (offset >= lvt_timer_register && offset <= lvt_error_register) return lvt_[(offset - lvt_timer_register) >> 4];
  switch (offset) {
    case id_register: return x2apic_enabled() ? id_ : id_ << 24;
    case version_register: return version_value;
    case tpr_register: return tpr_;
    case apr_register: return arbitration_priority();
    case ppr_register: return processor_priority();
    case ldr_register: return ldr_;
    case dfr_register: return dfr_;
    case svr_register: return svr_;
    case esr_register: return esr_;
    case icr_register: return static_cast<u32>(icr_);
    case icr_high_register: return static_cast<u32>(icr_ >> 32);
    case initial_count_register: return initial_count_;
    case current_count_register: return current_count();
    case divide_register: return divide_;
    default: return 0;
  }
}

void LocalApic::write_register(u32 offset, u32 value) {
  if (offset == lvt_timer_register) return write_timer_lvt(value);
  if (offset > lvt_timer_register && offset <= lvt_error_register) {
    return write_lvt(static_cast<Lvt>((offset - lvt_timer_register) >> 4), value);
  }
  switch (offset) {
    case tpr_register: tpr_ = static_cast<u8>(value); return update();
    case eoi_register: return end_of_interrupt();
    case ldr_register:
      if (!x2apic_enabled()) ldr_ = value & 0xff000000;
      return;
    case dfr_register: dfr_ = value | 0x0fffffff; return;
    case svr_register: return write_svr(value);
    case esr_register:
      // 10.5.3: a write makes what was detected readable and arms the error interrupt again.
      esr_ = esr_detected_;
      esr_detected_ = 0;
      return;
    case icr_register: icr_ = (icr_ & ~u64{0xffffffff}) | (value & 0x000ccfff); return send_icr(value);
    case icr_high_register: icr_ = (icr_ & 0xffffffff) | u64{value & 0xff000000} << 32; return;
    case initial_count_register: return write_initial_count(value);
    case divide_register: return write_divide(value);
    case self_ipi_register: return send_icr((value & 0xff) | 1 << 18);
    default: return;  // read-only; the xAPIC ID too, as on processors since Nehalem
  }
}

// 10.4.7.2: while disabled by software every LVT mask bit is set and stays set; pending interrupts are kept.
void LocalApic::write_svr(u32 value) {
  service_timer();
  svr_ = value & (0xff | svr_enable | svr_suppress_eoi_broadcast);
  if (!software_enabled()) {
    for (u32& entry : lvt_) entry |= lvt_masked;
  }
  schedule_timer();
  update();
}

// Figure 10-8.
u32 LocalApic::lvt_writable(Lvt entry) const {
  switch (entry) {
    case lvt_timer: return lvt_masked | 0xff | 1 << 17 | (features_.tsc_deadline ? 1 << 18 : 0);
    case lvt_lint0:
    case lvt_lint1: return lvt_masked | lvt_level | 1 << 13 | 0x7ff;
    case lvt_error: return lvt_masked | 0xff;
    default: return lvt_masked | 0x7ff;
  }
}

void LocalApic::write_lvt(Lvt entry, u32 value) {
  const bool lint = entry == lvt_lint0 || entry == lvt_lint1;
  const u32 remote_irr = lint && (value & lvt_level) != 0 ? lvt_[entry] & lvt_remote_irr : 0;
  lvt_[entry] = (value & lvt_writable(entry)) | remote_irr | (software_enabled() ? 0 : lvt_masked);
  if (lint) evaluate_level_input(entry);
  update();
}

// 10.12.1.2, table 10-6: what may be written through an MSR without #GP. Read-only status bits are ignored.
u32 LocalApic::x2apic_writable(u32 offset) const {
  if (offset >= lvt_timer_register && offset <= lvt_error_register) {
    return lvt_writable(static_cast<Lvt>((offset - lvt_timer_register) >> 4)) | lvt_remote_irr | 1 << 12;
  }
  switch (offset) {
    case tpr_register:
    case self_ipi_register: return 0xff;
    case svr_register: return 0xff | svr_enable | svr_suppress_eoi_broadcast | 1 << 9;
    case icr_register: return 0x000cdfff;
    case initial_count_register: return 0xffffffff;
    case divide_register: return 0xb;
    default: return 0;  // EOI and ESR take only zero
  }
}

bool LocalApic::read_msr(u32 msr, u64& value) {
  if (!x2apic_enabled() || msr < 0x800 || msr > 0x8ff) return false;
  const u32 offset = (msr - 0x800) << 4;
  if (!register_exists(offset) || offset == eoi_register || offset == self_ipi_register) return false;
  value = offset == icr_register ? icr_ : read_register(offset);
  return true;
}

bool LocalApic::write_msr(u32 msr, u64 value) {
  if (!x2apic_enabled() || msr < 0x800 || msr > 0x8ff) return false;
  const u32 offset = (msr - 0x800) << 4;
  if (!register_exists(offset)) return false;
  if (offset >= isr_register && offset < esr_register) return false;
  switch (offset) {
    case id_register:
    case version_register:
    case ppr_register:
    case ldr_register:
    case current_count_register: return false;
    default: break;
  }
  const u64 writable = x2apic_writable(offset) | (offset == icr_register ? u64{0xffffffff} << 32 : 0);
  if ((value & ~writable) != 0) return false;
  if (offset == icr_register) icr_ = value & ~u64{0xffffffff};
  write_register(offset, static_cast<u32>(value));
  return true;
}

void LocalApic::hash(StateHash& hash) const {
  for (const u64 word : {base_, u64{id_}, u64{tpr_}, u64{ldr_}, u64{dfr_}, u64{svr_}, u64{esr_}, u64{esr_detected_},
                         icr_, u64{initial_count_}, u64{divide_}, u64{timer_running_}, origin_tick_, u64{origin_count_},
                         deadline_, u64{lint_[0]}, u64{lint_[1]}, u64{external_message_}}) {
    hash.add(word);
  }
  for (const u32 entry : lvt_) hash.add(entry);
  for (unsigned word = 0; word < 8; ++word) {
    hash.add(isr_.word(word));
    hash.add(tmr_.word(word));
    hash.add(irr_.word(word));
  }
}

}  // namespace bunshin
