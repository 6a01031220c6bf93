#pragma once

// The local APIC of one processor (SDM vol. 3, ch. 10 "Advanced Programmable Interrupt Controller"; x2APIC 10.12).

#include <array>
#include <bit>

#include "devices/device.h"

namespace bunshin {

/// SDM vol. 3, 10.6.1 "Delivery Mode".
enum class DeliveryMode : u8 { Fixed = 0, LowestPriority = 1, Smi = 2, Nmi = 4, Init = 5, Startup = 6, ExtInt = 7 };

/// One interrupt message: an IPI, an MSI, or what an IOAPIC entry sends.
struct InterruptMessage {
  u32 destination = 0;  ///< APIC id (8 or 32 bits) or logical destination
  bool logical = false;
  DeliveryMode mode = DeliveryMode::Fixed;
  u8 vector = 0;
  bool level_triggered = false;
  bool assert_level = true;
  bool x2apic_destination = false;  ///< destination is 32 bits wide
};

/// Carries messages between local APICs, IOAPICs and MSI writers. Implemented by devices/interrupt_bus.
class InterruptBus {
 public:
  /// `shorthand`: 0 none, 1 self, 2 all including self, 3 all but self; `sender` is the index of the local APIC.
  virtual void send_ipi(unsigned sender, unsigned shorthand, const InterruptMessage& message) = 0;
  /// From an IOAPIC or a memory write to 0xFEExxxxx.
  virtual void send(const InterruptMessage& message) = 0;
  /// The end of a level-triggered interrupt, broadcast to the IOAPICs.
  virtual void end_of_interrupt(u8 vector) = 0;
  /// The interrupt-acknowledge cycle of an ExtINT: the vector that the PIC puts on the bus.
  virtual u8 acknowledge_external() = 0;

 protected:
  ~InterruptBus() = default;
};

/// The processor's pins that interrupts arrive at. Implemented by core/processor.
class ProcessorPins {
 public:
  /// LocalApic::interrupt_pending() may have changed.
  virtual void interrupt_request_changed() = 0;
  virtual void nmi() = 0;
  virtual void smi() = 0;
  virtual void init() = 0;
  virtual void startup(u8 vector) = 0;

 protected:
  ~ProcessorPins() = default;
};

/// One of the 256-bit registers ISR, TMR, IRR: a bit a vector, 32 vectors a word.
class VectorSet {
 public:
  bool test(u8 vector) const { return (words_[vector / 32] >> (vector % 32) & 1) != 0; }
  void set(u8 vector) { words_[vector / 32] |= u32{1} << (vector % 32); }
  void clear(u8 vector) { words_[vector / 32] &= ~(u32{1} << (vector % 32)); }
  void clear_all() { words_ = {}; }
  /// The highest vector in the set, -1 if it is empty.
  int highest() const {
    for (int word = 7; word >= 0; --word) {
      const u32 bits = words_[static_cast<unsigned>(word)];
      if (bits != 0) return word * 32 + 31 - std::countl_zero(bits);
    }
    return -1;
  }
  u32 word(unsigned index) const { return words_[index % 8]; }

 private:
  std::array<u32, 8> words_{};
};

/// What CPUID and the processor's profile say of the APIC.
struct LocalApicFeatures {
  bool x2apic = true;
  bool tsc_deadline = true;
  unsigned physical_address_bits = 52;  ///< MAXPHYADDR; bits of IA32_APIC_BASE above it are reserved
};

/// xAPIC and x2APIC of one processor.
///
/// Region 0: the 4 KiB register page (table 10-1); aligned 32-bit accesses. The owner routes accesses to mmio_base()
/// here while mmio_enabled(). Inputs: 0 = LINT0, 1 = LINT1, as assertion levels (the LVT's polarity bit is stored
/// only). No output pins: interrupts go to ProcessorPins.
class LocalApic final : public Device {
 public:
  enum Register : u32 {
    id_register = 0x020,
    version_register = 0x030,
    tpr_register = 0x080,
    apr_register = 0x090,
    ppr_register = 0x0a0,
    eoi_register = 0x0b0,
    rrd_register = 0x0c0,
    ldr_register = 0x0d0,
    dfr_register = 0x0e0,
    svr_register = 0x0f0,
    isr_register = 0x100,
    tmr_register = 0x180,
    irr_register = 0x200,
    esr_register = 0x280,
    icr_register = 0x300,
    icr_high_register = 0x310,
    lvt_timer_register = 0x320,
    lvt_error_register = 0x370,
    initial_count_register = 0x380,
    current_count_register = 0x390,
    divide_register = 0x3e0,
    self_ipi_register = 0x3f0,
  };
  /// Error status register, 10.5.3.
  enum Error : u32 { send_illegal_vector = 1 << 5, receive_illegal_vector = 1 << 6, illegal_register = 1 << 7 };

  /// `index`: this APIC's number on the bus; `timer_clock`: what the timer divides (the core crystal or bus clock).
  LocalApic(unsigned index, u32 apic_id, bool bootstrap, DeviceHost& host, InterruptBus& bus, ProcessorPins& pins,
            Clock timer_clock, LocalApicFeatures features = {});

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void alarm() override;
  void set_input(unsigned pin, bool level) override;
  void reset() override;
  void hash(StateHash& hash) const override;

  /// What INIT leaves (10.4.7.3): everything as after power-up but the ID and IA32_APIC_BASE. The processor calls it
  /// when it takes the INIT that ProcessorPins::init() announced.
  void init_reset();
  /// Virtual wire mode as firmware leaves it on the bootstrap processor (MP specification 3.6.2.1): enabled, LINT0
  /// ExtINT, LINT1 NMI.
  void set_virtual_wire();

  /// IA32_APIC_BASE (MSR 1BH). A write that returns false is a #GP and changes nothing (10.12.5).
  u64 base_msr() const { return base_; }
  bool set_base_msr(u64 value);
  bool mmio_enabled() const { return (base_ & (base_enable | base_x2apic)) == base_enable; }
  u64 mmio_base() const { return base_ & ~u64{0xfff}; }
  bool globally_enabled() const { return (base_ & base_enable) != 0; }
  bool x2apic_enabled() const { return (base_ & base_x2apic) != 0; }
  u32 id() const { return id_; }

  /// MSRs 800H..8FFH. False is a #GP.
  bool read_msr(u32 msr, u64& value);
  bool write_msr(u32 msr, u64 value);

  /// IA32_TSC_DEADLINE: `at` is when the TSC reaches `tsc_value`; 0 disarms. Ignored unless the LVT selects this mode.
  void set_tsc_deadline(u64 tsc_value, SimTime at);
  u64 tsc_deadline() const { return deadline_; }

  /// The timer is periodic and its last interrupt has not been taken: the next would be lost in it.
  bool timer_tick_waits() const;
  /// The timer's interrupt once more.
  void repeat_timer_tick() { deliver_local(lvt_timer); }
  /// The vector has been asked for and not been taken.
  bool requested(u8 vector) const { return irr_.test(vector); }

  /// CR8.
  u8 task_priority_class() const { return static_cast<u8>(tpr_ >> 4); }
  void set_task_priority_class(u8 priority_class);

  /// Something waits that the processor would take with EFLAGS.IF set.
  bool interrupt_pending() const { return pending_; }
  /// Class of the request that only the task priority holds back, which the processor would take if CR8 fell below it. 0: none.
  u8 held_back_class() const;
  /// The processor takes an interrupt: its vector, from the PIC for an ExtINT, the spurious vector if none is left.
  u8 acknowledge();
  /// A performance counter overflowed; delivering it masks its LVT entry (10.5.1).
  void performance_interrupt();

  /// Destination matching (10.6.2). Says nothing of whether the APIC is enabled by software.
  bool accepts(const InterruptMessage& message) const;
  /// Takes a message addressed to this APIC.
  void deliver(const InterruptMessage& message);
  /// Takes part in the arbitration for a lowest-priority message.
  bool arbitrates() const { return globally_enabled() && software_enabled(); }
  /// APR: the lower, the sooner a lowest-priority message comes here (10.6.2.4).
  u8 arbitration_priority() const;

 private:
  enum Lvt : unsigned { lvt_timer, lvt_thermal, lvt_performance, lvt_lint0, lvt_lint1, lvt_error, lvt_count };
  enum class TimerMode : u8 { OneShot = 0, Periodic = 1, TscDeadline = 2, Reserved = 3 };

  static constexpr u64 base_bootstrap = 1 << 8, base_x2apic = 1 << 10, base_enable = 1 << 11;
  static constexpr u32 lvt_masked = 1 << 16, lvt_level = 1 << 15, lvt_remote_irr = 1 << 14;
  static constexpr u32 svr_enable = 1 << 8, svr_suppress_eoi_broadcast = 1 << 12;

  // Registers (local_apic.cpp).
  void reset_registers();
  bool register_exists(u32 offset) const;
  u32 read_register(u32 offset);
  void write_register(u32 offset, u32 value);
  void write_svr(u32 value);
  void write_lvt(Lvt entry, u32 value);
  u32 lvt_writable(Lvt entry) const;
  u32 x2apic_writable(u32 offset) const;
  u32 logical_x2apic_id() const { return (id_ >> 4) << 16 | u32{1} << (id_ & 15); }
  bool software_enabled() const { return (svr_ & svr_enable) != 0; }

  // Interrupts (local_apic_interrupts.cpp).
  u8 processor_priority() const;
  bool external_pending() const;
  void update();
  void accept(u8 vector, bool level_triggered);
  void end_of_interrupt();
  void send_icr(u32 low);
  void raise_error(u32 error);
  void deliver_local(Lvt entry, bool level_triggered = false);
  void evaluate_level_input(Lvt entry);
  static DeliveryMode mode_of(u32 entry) { return static_cast<DeliveryMode>(entry >> 8 & 7); }

  // Timer (local_apic_timer.cpp).
  TimerMode timer_mode() const { return static_cast<TimerMode>(lvt_[lvt_timer] >> 17 & 3); }
  u64 timer_divisor() const;
  u32 current_count() const;
  bool timer_expired();
  void service_timer();
  void schedule_timer();
  void stop_timer();
  void write_timer_lvt(u32 value);
  void write_initial_count(u32 value);
  void write_divide(u32 value);

  const unsigned index_;
  const u32 initial_id_;
  const bool bootstrap_;
  DeviceHost& host_;
  InterruptBus& bus_;
  ProcessorPins& pins_;
  const Clock timer_clock_;
  const LocalApicFeatures features_;

  u64 base_ = 0;
  u32 id_ = 0;
  u8 tpr_ = 0;
  u32 ldr_ = 0;
  u32 dfr_ = 0;
  u32 svr_ = 0;
  u32 esr_ = 0;
  u32 esr_detected_ = 0;  ///< errors since the last write to ESR, which makes them readable
  u64 icr_ = 0;
  std::array<u32, lvt_count> lvt_{};
  VectorSet isr_, tmr_, irr_;
  std::array<bool, 2> lint_{};
  bool external_message_ = false;  ///< an ExtINT message waits for its acknowledge cycle
  bool pending_ = false;

  u32 initial_count_ = 0;
  u32 divide_ = 0;
  bool timer_running_ = false;
  u64 origin_tick_ = 0;  ///< timer_clock_ tick at which the count was origin_count_
  u32 origin_count_ = 0;
  u64 deadline_ = 0;
  SimTime deadline_at_ = SimTime::never();
};

}  // namespace bunshin
