#pragma once

// One logical processor as its own parts see it: state, memory access, pending fault, and what it may ask of the machine
// around it. (core/processor.h is what the machine sees.)

#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>

#include "base/fault.h"
#include "base/time.h"
#include "core/engine/observation.h"
#include "core/jump_cache.h"
#include "core/profile.h"
#include "core/record.h"
#include "core/state.h"
#include "core/virt/virtualization.h"
#include "devices/local_apic.h"
#include "mmu/memory/bus_port.h"
#include "mmu/mmu.h"

namespace bunshin {

/// What a core asks of the loop that runs it.
class CoreEnvironment {
 public:
  /// The platform's time (SystemC's now); the core's own time lies at or after it.
  virtual SimTime platform_time() const = 0;
  /// When the platform's next event is due; may have moved after a device access.
  virtual SimTime next_event() const = 0;
  /// Tells devices that are reached without the bus (the local APIC) the accessing core's time.
  virtual void set_local_time(SimTime now) = 0;
  /// Core `core` executes a mark (core/engine/mark.h); what this stops, stops behind it.
  virtual void marked(unsigned /*core*/, u16 /*code*/) {}
  /// An instruction at a probed page offset (BlockCache::set_probes) is about to be executed. True: the core leaves in front
  /// of it, and executes it without asking again when it next comes to it.
  virtual bool reached(unsigned /*core*/, u64 /*linear*/) { return false; }

 protected:
  ~CoreEnvironment() = default;
};

/// Why a block was left before its end.
enum class Leave : u8 {
  None,
  Fault,          ///< Cpu::fault is to be delivered at the instruction
  DeviceAccess,   ///< the access needs the exact time: run the instruction again, alone
  Repeat,         ///< a repeated string instruction made progress: take events, then run it again
  Unimplemented,  ///< the profile has the instruction, the simulator lacks it
  Debugger,       ///< a breakpoint of the attached debugger
  Probe,          ///< CoreEnvironment::reached() wants the core to stop in front of the block
  Limit,          ///< the block has more instructions than the core may still complete
};

/// The execution mode that decoding depends on; a block is valid for one physical address and one mode.
struct CodeMode {
  u8 bits = 16;                 ///< default operand/address size: 16, 32 or 64
  bool stack32 = false;         ///< SS.B (ignored in 64-bit mode)
  bool flat = false;            ///< 64-bit mode, or all of CS, DS, ES, SS have base 0 and limit 4 GiB in 32-bit mode
  bool protected_mode = false;  ///< CR0.PE and not virtual-8086
  bool fpu = true;              ///< CR0.EM = TS = 0
  bool sse = false;             ///< CR0.EM = TS = 0, CR4.OSFXSR = 1
  bool avx = false;             ///< CR0.TS = 0, Cpu::avx_enabled()
  bool observed = false;        ///< somebody watches (core/engine/observation.h)
  u8 cpl = 0;
  u32 key() const {
    return u32{bits} | u32{stack32} << 8 | u32{flat} << 9 | u32{protected_mode} << 10 | u32{fpu} << 11 |
           u32{sse} << 12 | u32{cpl} << 13 | u32{avx} << 15 | u32{observed} << 16;
  }
};

class Cpu {
 public:
  Cpu(const CpuProfile& profile, const TlbParameters& tlb, unsigned number, PhysicalMemory& memory, BusPort& bus,
      LocalApic& apic, CoreEnvironment& environment);

  CpuState state;
  const CpuProfile& profile;
  const unsigned number;
  PhysicalMemory& memory;
  BusPort& bus;
  LocalApic& apic;
  CoreEnvironment& environment;
  Mmu mmu;
  CodeMode mode;
  JumpCache jumps;
  Observation observation;

  /// --- Virtualization (core/virt) ---
  /// VT-x or AMD-V; null: the profile has neither.
  std::unique_ptr<Virtualization> virt;
  /// `virt` in guest mode, else null: whom instructions ask.
  Virtualization* guest = nullptr;
  /// `virt` while it decides what events are taken (in guest mode, and with GIF clear), else null.
  Virtualization* event_gate = nullptr;
  /// What update_mode() gives to PagingContext besides registers.
  u32 guest_tag = 0;
  bool pdptes_in_memory = false;

  /// --- Leaving a block ---
  Leave leave = Leave::None;
  Fault fault;
  /// Device accesses are allowed: the running instruction is alone in its block, so now() is exact.
  bool alone = false;
  /// The instruction being executed is the one that MOV SS protects (CpuState::debug_shadow until it began).
  bool behind_mov_ss = false;
  /// Where in its block the instruction stands that left it.
  unsigned left_at = 0;
  /// … and its length; 0 if it could not even be fetched.
  u8 left_length = 0;
  /// Set by any device access: deadlines may have moved.
  bool accessed_device = false;

  /// Records a fault; always false, so that semantics can write `return cpu.raise(…)`.
  bool raise(const Fault& f) {
    fault = f;
    leave = Leave::Fault;
    return false;
  }
  bool raise(Vector v) { return raise(Fault::plain(v)); }
  bool raise(Vector v, u32 error_code) { return raise(Fault::with_code(v, error_code)); }

  /// --- Time. The core's cycle counter never stands still: cycle n is the moment Clock{frequency}.at(n). ---
  /// The cycle at which the core must stop, and how many of the cycles before it are not yet given to a block.
  u64 deadline = 0;
  i64 budget = 0;
  /// Instructions of the running block counted as done though they are not: 1 while `alone`.
  u64 in_flight = 0;
  /// The cycle of the instruction being executed; exact if `alone` or between blocks.
  u64 cycles() const { return deadline - static_cast<u64>(budget) - in_flight; }
  /// The time-stamp counter as the running software sees it, and the processor's own.
  u64 tsc() const { return visible_tsc(host_tsc()); }
  u64 host_tsc() const { return cycles() + state.tsc_offset; }
  /// The same at any record of the running block.
  u64 tsc_at(const Record& r) const {
    return visible_tsc(deadline - static_cast<u64>(budget) - (entry->imm - r.position) + state.tsc_offset);
  }
  /// Cycles in which no instruction completes: latencies beyond the one cycle an instruction takes.
  void spend(u64 cycles_spent) {
    budget -= static_cast<i64>(cycles_spent);
    idle_cycles += cycles_spent;
  }
  u64 idle_cycles = 0;
  /// On a scale that begins with the cycle at which Engine::run() began: the instructions completed so far (between blocks;
  /// inside one, all of its), and how many may be.
  u64 completed() const { return deadline - static_cast<u64>(budget) - idle_cycles; }
  u64 completed_limit = ~u64{0};
  SimTime now() const { return Clock{profile.frequency}.at(cycles()); }
  /// Cycles spent waiting for a device, to be taken from the budget when the instruction ends.
  u64 stall_cycles = 0;
  /// Iterations that a repeated string instruction made before it was left to be run again alone.
  u64 iterations_done = 0;
  /// The running block's entry record (core/engine/block_cache.h).
  const Record* entry = nullptr;
  /// RIP of the probe that stopped the core last, and whether its instruction may now run.
  u64 probe_rip = ~u64{0};
  bool probe_passed = false;
  /// The link record that was followed into nothing, for the engine to complete.
  const Record* open_link = nullptr;

  /// --- Registers by byte offset (core/record.h) ---
  template <class T>
  T reg(u8 offset) const {
    T v;
    std::memcpy(&v, reinterpret_cast<const u8*>(state.gpr.data()) + offset, sizeof(T));
    return v;
  }
  /// A 32-bit write clears the upper half, as in 64-bit mode; in other modes nobody can see it.
  template <class T>
  void set_reg(u8 offset, T v) {
    using Wide = std::conditional_t<sizeof(T) == 4, u64, T>;
    const Wide wide = static_cast<std::make_unsigned_t<T>>(v);
    std::memcpy(reinterpret_cast<u8*>(state.gpr.data()) + offset, &wide, sizeof(Wide));
  }

  /// --- Memory. All return false with `leave` set if the access did not happen; nothing has changed then. ---
  /// Offset within the segment of the record's memory operand, truncated to the address size.
  u64 effective_address(const Record& r) const { return part_address(r, 0); }
  /// The same of a part `by` bytes into an operand that is accessed in parts (a far pointer's selector): it wraps around.
  u64 part_address(const Record& r, u64 by) const {
    const u64 base = reg<u64>(r.base);
    const u64 index = reg<u64>(r.index);
    const u64 offset = base + (index << r.scale) + static_cast<u64>(static_cast<i64>(r.disp)) + by;
    const unsigned bytes = r.address_bytes();
    return bytes == 8 ? offset : bytes == 4 ? static_cast<u32>(offset) : static_cast<u16>(offset);
  }
  Seg segment_of(const Record& r) const { return static_cast<Seg>(r.segment); }
  /// The linear address of an offset, with no check, for who only names it.
  u64 unchecked_linear(Seg s, u64 offset) const {
    const u64 base = state.segment(s).base;
    if (mode.bits != 64) return static_cast<u32>(offset + base);
    return s >= Seg::FS ? offset + base : offset;
  }
  u64 unchecked_linear(const Record& r) const { return unchecked_linear(segment_of(r), effective_address(r)); }
  /// A general register as wide as the mode, 32 or 64 bits: operands whose size no prefix changes.
  u64 mode_sized_reg(u8 offset) const { return mode.bits == 64 ? reg<u64>(offset) : reg<u32>(offset); }

  /// Segmented data access with the current privilege.
  template <class T>
  [[nodiscard]] bool load(Seg s, u64 offset, T& out) {
    u64 linear = 0;
    return to_linear(s, offset, sizeof(T), AccessKind::Read, linear) && load_linear(linear, out);
  }
  template <class T>
  [[nodiscard]] bool store(Seg s, u64 offset, const T& value) {
    u64 linear = 0;
    return to_linear(s, offset, sizeof(T), AccessKind::Write, linear) && store_linear(linear, value);
  }
  /// The record's memory operand.
  template <class T>
  [[nodiscard]] bool load(const Record& r, T& out) {
    return load(segment_of(r), effective_address(r), out);
  }
  template <class T>
  [[nodiscard]] bool store(const Record& r, const T& value) {
    return store(segment_of(r), effective_address(r), value);
  }

  /// Access by linear address with the current privilege (segmentation done).
  template <class T>
  [[nodiscard]] bool load_linear(u64 linear, T& out) {
    if (const u8* host = mmu.fast().read(linear, sizeof(T))) {
      std::memcpy(&out, host, sizeof(T));
      return true;
    }
    return load_missed(linear, out);
  }
  template <class T>
  [[nodiscard]] bool store_linear(u64 linear, const T& value) {
    if (u8* host = mmu.fast().write(linear, sizeof(T))) {
      std::memcpy(host, &value, sizeof(T));
      return true;
    }
    return store_missed(linear, value);
  }
  /// Implicit supervisor accesses: descriptor tables, TSS, stacks being switched to (SDM vol. 3, 4.6).
  template <class T>
  [[nodiscard]] bool load_system(u64 linear, T& out) {
    if (state.cpl != 3 && !mmu.context().access_override) return load_linear(linear, out);
    return read_slow(linear, &out, sizeof(T), Privilege::System);
  }
  template <class T>
  [[nodiscard]] bool store_system(u64 linear, const T& value) {
    if (state.cpl != 3 && !mmu.context().access_override) return store_linear(linear, value);
    return write_slow(linear, &value, sizeof(T), Privilege::System);
  }
  /// Checks that [linear, +size) could be written (sets A/D, faults as a write would) without writing: the first half of a
  /// read-modify-write and of anything that must not fault half-way.
  [[nodiscard]] bool probe_write(Seg s, u64 offset, unsigned size);
  [[nodiscard]] bool probe_write_linear(u64 linear, unsigned size);

  /// Segment checks and base (SDM vol. 3, 5.3): limit, type, null, canonical, alignment. #GP or #SS.
  [[nodiscard]] bool to_linear(Seg s, u64 offset, unsigned size, AccessKind kind, u64& linear) {
    if (mode.bits == 64 && s < Seg::FS && is_canonical(offset, 48) && is_canonical(offset + size - 1, 48)) [[likely]] {
      linear = offset;
      return true;
    }
    return to_linear_slow(s, offset, size, kind, linear);
  }

  /// Bytes of one page that a string instruction has accessed at once, for the log of an observed core: a reference a line.
  void log_run(u64 linear, const u8* host, u64 bytes, MemoryReference::Kind kind);

  /// Any size up to 64 bytes, any alignment, page crossings and devices included.
  enum class Privilege : u8 { Current, System };
  [[nodiscard]] bool read_slow(u64 linear, void* out, unsigned size, Privilege privilege);
  [[nodiscard]] bool write_slow(u64 linear, const void* data, unsigned size, Privilege privilege);

  /// I/O space, after the permission check; charges the device's latency.
  [[nodiscard]] bool port_read(u16 port, unsigned size, u32& value);
  [[nodiscard]] bool port_write(u16 port, unsigned size, u32 value);
  /// CPL <= IOPL or TSS bitmap (SDM vol. 1, 18.5.2); #GP(0).
  [[nodiscard]] bool check_port_permission(u16 port, unsigned size);

  /// --- MONITOR (SDM vol. 3, 8.10.3). One line at a time; memory that is not RAM cannot be watched. ---
  void arm_monitor(HostPhysical address);
  void disarm_monitor();
  /// Somebody writes there: a wait for that line is over.
  void note_store(HostPhysical address, u64 size);
  /// An event ends HLT or MWAIT; a line that was waited for is not watched any longer.
  void end_wait() {
    if (state.activity == Activity::Monitoring) disarm_monitor();
    state.activity = Activity::Active;
  }
  /// Cycles before now() in which the core did not execute; what IA32_MPERF leaves out.
  u64 waited_cycles = 0;

  /// --- After a change of mode-bearing state (CR0, CR4, EFER, CS, SS, DS, ES, CPL, AC, PKRU, CR3) ---
  /// Re-derives `mode` and the MMU's context. The instruction that called it must end its block.
  void update_mode();
  /// CodeMode::key(): what a block, and a jump to it, is found by besides its address.
  u32 mode_key = 0;
  /// CR4.OSXSAVE, and SSE and AVX state in XCR0 (SDM vol. 2, 2.4): without, VEX-encoded vector instructions are #UD.
  bool avx_enabled() const { return (state.cr4 & cr4::OSXSAVE) != 0 && (state.xcr0 & 6) == 6; }
  u64 jump_key() const { return u64{mode_key} << 44 ^ mmu.epoch(); }

  /// An instruction fetch, faults included. The bytes of the trapped page cannot be executed.
  [[nodiscard]] bool translate_fetch(u64 linear, HostPhysical& physical);

 private:
  /// What the MMU's context was last derived from, privilege apart.
  struct TranslationRegisters {
    u64 cr0 = ~u64{0}, cr3 = 0, cr4 = 0, efer = 0;
    u32 pkru = 0;
    std::array<u64, 4> pdpte{};
    u32 guest_tag = 0;
    bool pdptes_in_memory = false;
    bool operator==(const TranslationRegisters&) const = default;
  };
  TranslationRegisters translation_registers_;

  /// The fast cache has not served: an observed core's never does, and what it holds is logged.
  template <class T>
  [[gnu::noinline]] bool load_missed(u64 linear, T& out) {
    if (observation.active()) {
      if (const u8* host = mmu.lines().read(linear, sizeof(T))) {
        observation.log().add_hit(linear, false);
        std::memcpy(&out, host, sizeof(T));
        return true;
      }
      if (const u8* host = mmu.held().read(linear, sizeof(T))) {
        note_held(linear, host, sizeof(T), MemoryReference::Kind::Load);
        std::memcpy(&out, host, sizeof(T));
        return true;
      }
    }
    return read_slow(linear, &out, sizeof(T), Privilege::Current);
  }
  template <class T>
  [[gnu::noinline]] bool store_missed(u64 linear, const T& value) {
    if (observation.active()) {
      if (u8* host = mmu.lines().write(linear, sizeof(T))) {
        observation.log().add_hit(linear, true);
        std::memcpy(host, &value, sizeof(T));
        return true;
      }
      if (u8* host = mmu.held().write(linear, sizeof(T))) {
        note_held(linear, host, sizeof(T), MemoryReference::Kind::Store);
        std::memcpy(host, &value, sizeof(T));
        return true;
      }
    }
    return write_slow(linear, &value, sizeof(T), Privilege::Current);
  }
  void log_held(u64 linear, const u8* host, unsigned size, MemoryReference::Kind kind, TlbOutcome outcome) {
    observation.log().add({linear, memory.address_of(host), static_cast<u16>(size), kind, true, 0, 0, outcome});
  }
  /// The line filter has not served, the fast cache has. A plain hit in the L1D needs no record, unless there is a reference
  /// before it that the pipeline has yet to see: until then nobody knows what the cache will have.
  void note_held(u64 linear, const u8* host, unsigned size, MemoryReference::Kind kind) {
    const bool store = kind == MemoryReference::Kind::Store;
    const TlbOutcome outcome = mmu.held_outcome(linear);
    if (outcome == TlbOutcome::FirstLevel && observation.log().size() == 0 && mmu.hit_line(linear, host, size, store)) {
      observation.log().add_hit(linear, store);
    } else {
      log_held(linear, host, size, kind, outcome);
    }
  }
  u64 visible_tsc(u64 host) const { return guest == nullptr ? host : guest->guest_tsc(host); }
  Access data_access(AccessKind kind, Privilege privilege) const;
  /// The write must be alone in its block: a device, or bytes that are also decoded instructions.
  bool needs_alone(HostPhysical address, u64 size) const;
  bool is_apic_page(HostPhysical address) const;
  bool is_trapped(HostPhysical address) const { return address.page() == mmu.trapped_page(); }
  [[nodiscard]] bool trapped_read(u64 linear, HostPhysical address, unsigned size, void* data);
  [[nodiscard]] bool device_read(HostPhysical address, std::span<u8> data);
  void device_write(HostPhysical address, std::span<const u8> data);
  /// Splits a device access into naturally aligned ones and charges what they take.
  template <class Transfer>
  void on_device(HostPhysical address, unsigned size, Transfer transfer);
  [[nodiscard]] bool to_linear_slow(Seg s, u64 offset, unsigned size, AccessKind kind, u64& linear);
};

}  // namespace bunshin
