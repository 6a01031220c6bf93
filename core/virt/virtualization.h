#pragma once

// What the rest of the processor knows of its virtualization extension (core/virt/vmx, core/virt/svm). In guest mode it asks
// before it does what the hypervisor may want to know of, and shows itself to the guest as the hypervisor wishes; what there is to
// do between two instructions the extension decides, too.
//
// How an exit happens: who finds its reason keeps it in the extension and raises Fault::intercepted(). Like any fault that
// leaves the instruction as if it had not begun; where others are delivered (core/events/delivery), this one is leave_guest().

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/fault.h"
#include "base/state_hash.h"
#include "base/stats.h"
#include "core/events/event.h"
#include "core/record.h"
#include "core/virt/exit_cause.h"

namespace bunshin {

class Cpu;
struct CpuProfile;

/// Instructions that a guest may be stopped at. What comes as `detail` with each, where the record does not say it all:
enum class Intercept : u8 {
  Clts,
  Cpuid,
  Hlt,
  Icebp,  ///< INT1
  IntN,   ///< the vector
  Invd,
  Invlpg,   ///< the linear address
  Invpcid,  ///< the descriptor's linear address; record.reg is the type's register
  Io,       ///< IoDetail::packed()
  Iret,
  Lgdt,
  Lidt,
  Lldt,
  Lmsw,  ///< the 16-bit operand
  Ltr,
  Monitor,
  Mwait,  ///< 1: a line is armed
  Pause,
  Popf,
  Pushf,
  Rdmsr,  ///< the index
  Rdpmc,
  Rdrand,
  Rdseed,
  Rdtsc,
  Rdtscp,
  ReadCr,  ///< record.reg is the register's number, record.rm where it goes to
  ReadDr,  ///< the register's number
  Sgdt,
  Sidt,
  Sldt,
  Smsw,
  Str,
  WriteCr,  ///< the value to be written; registers as for ReadCr
  WriteDr,  ///< the register's number
  Wbinvd,
  Wrmsr,   ///< the index
  Xsetbv,  ///< the value to be written
};

/// An access to I/O space, as the exit tells of it.
struct IoDetail {
  u16 port = 0;
  u8 bytes = 1;
  bool input = false;
  bool string = false;
  bool repeated = false;
  bool immediate = false;  ///< the port is in the instruction

  constexpr u64 packed() const {
    return u64{port} | u64{bytes} << 16 | u64{input} << 24 | u64{string} << 25 | u64{repeated} << 26 |
           u64{immediate} << 27;
  }
  static constexpr IoDetail unpacked(u64 v) {
    return {static_cast<u16>(v), static_cast<u8>(v >> 16), (v >> 24 & 1) != 0,
            (v >> 25 & 1) != 0,  (v >> 26 & 1) != 0,       (v >> 27 & 1) != 0};
  }
};

/// A task switch about to happen.
struct TaskSwitchDetail {
  u16 selector = 0;
  TaskSwitchCause cause = TaskSwitchCause::Jump;
  std::optional<u32> error_code;
};

/// What is to be done before the next instruction.
struct DueEvent {
  enum class Kind : u8 {
    None,
    Injected,          ///< what the hypervisor asked the entry to deliver: injected_event()
    Exit,              ///< leave the guest
    Nmi,               ///< deliver the pending NMI
    External,          ///< acknowledge the local APIC's interrupt and deliver it
    VirtualInterrupt,  ///< deliver the hypervisor's: acknowledge_virtual()
    Absorbed,          ///< take_silently(): the extension deals with it, the guest sees nothing of it
  };
  Kind kind = Kind::None;
  /// It comes before the debug traps of the last instruction (SDM vol. 3, 6.9).
  bool before_traps = false;
};

/// What becomes of an INIT.
enum class InitAction : u8 { Take, Hold, Exited };

/// One exit, as observers see it.
struct VmExit {
  u32 reason = 0;       ///< VMX: the basic exit reason with the entry-failure bit; SVM: EXITCODE
  u64 information = 0;  ///< exit qualification; EXITINFO1
  u64 address = 0;      ///< guest-physical address; EXITINFO2
  u64 rip = 0;          ///< the guest's
  u32 cause = reason;   ///< ExitCause::code: of an exception it says which
  /// An entry that failed: what did not hold, in the words of the extension's table of rules; else empty.
  std::string_view broken_rule{};
};

/// VMX: a VMLAUNCH or VMRESUME that failed as an instruction, which is no exit, for what is in its controls or host state.
struct RefusedEntry {
  u32 error = 0;  ///< VM-instruction error
  u64 rip = 0;    ///< the instruction's
  std::string_view broken_rule;
};

/// Sees entries and exits of one core; free when nobody does.
class TransitionListener {
 public:
  virtual void entered(const Cpu& cpu) = 0;
  virtual void left(const Cpu& cpu, const VmExit& exit) = 0;
  virtual void refused(const Cpu& /*cpu*/, const RefusedEntry& /*entry*/) {}

 protected:
  ~TransitionListener() = default;
};

class Virtualization {
 public:
  explicit Virtualization(Cpu& cpu) : cpu_(cpu) {}
  Virtualization(const Virtualization&) = delete;
  Virtualization& operator=(const Virtualization&) = delete;
  virtual ~Virtualization() = default;

  /// Power-on state; INIT leaves what the manual says it leaves.
  virtual void reset() = 0;
  virtual InitAction init_arrived() = 0;
  /// VMX: in wait-for-SIPI as a guest, a SIPI is an exit. True: that happened.
  virtual bool startup_arrived(u8 vector) = 0;
  virtual void hash(StateHash& hash) const = 0;
  virtual void register_stats(StatRegistry& registry, const std::string& prefix) const = 0;

  /// --- In or out of guest mode: what may be in the control registers, the general rules apart (SDM vol. 3, 23.8). ---
  virtual bool cr0_allowed(u64 value) const = 0;
  virtual bool cr4_allowed(u64 value) const = 0;
  /// Bits of EFER that are the extension's own; and it has been written, `before` being what it held.
  virtual u64 efer_extension() const { return 0; }
  virtual void efer_written(u64 /*before*/) {}

  /// --- Cpu::guest only: asked by instructions. True: an exit is raised, the instruction must not happen. ---
  [[nodiscard]] virtual bool intercepts(const Record& r, Intercept what, u64 detail) = 0;
  [[nodiscard]] virtual bool intercepts_task_switch(const TaskSwitchDetail& detail) = 0;
  /// Before an exception is delivered, or a software exception: `event` as it would be. DR6's bits are in
  /// CpuState::pending_debug.
  [[nodiscard]] virtual bool intercepts_exception(const Event& event) = 0;
  /// The processor would wait for the platform to deal with a floating-point error (CR0.NE is clear). True: an exit is raised.
  [[nodiscard]] virtual bool intercepts_freeze() { return false; }
  /// A triple fault. True: it has been raised as an exit.
  [[nodiscard]] virtual bool intercepts_shutdown() = 0;

  /// --- Cpu::guest only: what the guest sees ---
  virtual u64 visible_cr0() const = 0;
  virtual u64 visible_cr4() const = 0;
  /// What a write of `value` that does not exit leaves in the register.
  virtual u64 merged_cr0(u64 value) const = 0;
  virtual u64 merged_cr4(u64 value) const = 0;
  /// CR8 is the hypervisor's TPR in memory or VMCB, not the local APIC's.
  virtual bool virtualizes_tpr() const = 0;
  virtual u8 read_virtual_tpr() = 0;  ///< bits 7:4 of the TPR
  virtual void write_virtual_tpr(u8 priority_class) = 0;
  /// Registers of a virtual APIC or other ones that do not reach the processor's own. Empty: not virtualized.
  virtual std::optional<bool> read_virtual_msr(u32 index, u64& value) = 0;  ///< false: #GP(0)
  virtual std::optional<bool> write_virtual_msr(u32 index, u64 value) = 0;
  /// The guest's time-stamp counter when the host's is `host`.
  virtual u64 guest_tsc(u64 host) const = 0;
  /// An instruction exists for this guest (SDM vol. 3, 25.3: RDTSCP, INVPCID, XSAVES … may be disabled).
  virtual bool has(Intercept what) const = 0;
  /// An access to Mmu::trapped_page(), the APIC-access page. False: an exit is raised.
  [[nodiscard]] virtual bool read_apic_page(u64 linear, u64 offset, unsigned size, bool fetch, void* data) = 0;
  [[nodiscard]] virtual bool write_apic_page(u64 linear, u64 offset, unsigned size, const void* data) = 0;
  /// IRET is about to unblock NMIs (SVM with virtual NMIs, VMX with NMI exiting and without virtual ones, differ).
  virtual void unblock_nmi() = 0;
  /// An NMI is injected.
  virtual void block_nmi() = 0;

  /// --- Cpu::event_gate: between instructions ---
  virtual DueEvent due() const = 0;
  /// due() is to be asked again behind the next instruction (the monitor trap flag), and that has happened, or an event was
  /// delivered in its place.
  virtual bool steps() const { return false; }
  virtual void stepped() {}
  virtual void take_silently() = 0;
  /// Breakpoints of the debug registers are not to be noticed.
  virtual bool discards_breakpoints() const { return false; }
  virtual Event injected_event() = 0;
  virtual u8 acknowledge_virtual() = 0;
  /// Whether an interrupt ends a wait in HLT or MWAIT that it will not be taken from is due()'s business, too.
  /// The cycle at which due() changes by itself (the VMX-preemption timer); ~0: never.
  virtual u64 next_cycle() const { return ~u64{0}; }

  /// --- The world switch: `why` is Fault::intercepted(), or the second stage's refusal, or (DueEvent::Exit) intercepted; while
  /// `delivering`, if not null, was being delivered. Afterwards the host runs: CpuState is its own. ---
  virtual void leave_guest(const Fault& why, const Event* delivering) = 0;

  /// A software interrupt's delivery ended in the fault that is about to be dealt with.
  void note_interrupted(const Event& event) { interrupted_ = event; }
  std::optional<Event> take_interrupted() { return std::exchange(interrupted_, std::nullopt); }

  /// A timed entry is told of when its cycles have been charged: behind the block that made it.
  void tell_of_entry() {
    if (!entry_untold_) return;
    entry_untold_ = false;
    if (listener_ != nullptr) listener_->entered(cpu_);
  }
  /// What exits are called, and what they cost alike.
  virtual ExitTable exit_table() const = 0;

  /// Null: none. Must outlive its use.
  void set_listener(TransitionListener* listener) { listener_ = listener; }

 protected:
  /// The vendor's world switches end with one of these: Cpu::guest follows, listeners hear of it. Cpu::event_gate is set by the
  /// first; afterwards it is the vendor's business.
  void entered_guest();
  void left_guest(const VmExit& exit);
  /// A guest was not entered, and nothing was left.
  void refused_entry(u32 error, std::string_view broken_rule);
  /// Addresses are the host's again, from the next update_mode() on.
  void translate_for_host();

  Cpu& cpu_;

 private:
  std::optional<Event> interrupted_;
  TransitionListener* listener_ = nullptr;
  bool entry_untold_ = false;
};

/// The extension that the profile says; null: none.
std::unique_ptr<Virtualization> make_virtualization(Cpu& cpu);

}  // namespace bunshin
