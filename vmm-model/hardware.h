#pragma once

// What a hypervisor may ask of the machine it runs on. Two bindings: bare (vmm-model/bare, its own instructions do it) and
// hosted (inside the simulator). Nothing here knows guests; nothing above here knows the machine.

#include <span>
#include <string_view>

#include "base/address.h"
#include "base/time.h"
#include "vmm-model/exit.h"
#include "vmm-model/registers.h"
#include "vmm-model/user_state.h"

namespace bunshin::vmm {

struct CpuidResult {
  u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
};

/// What guests may have beside general registers (SDM vol. 1, 13.1): x87, SSE, AVX, AVX-512.
inline constexpr u32 guest_states = 0x7 | 0xe0;

/// Computing that no reference to memory tells of: an instruction performed for a guest, an element of the hypervisor's own tables
/// visited with all the others.
enum class Work : u8 { Instruction, Element };
inline constexpr unsigned work_kinds = 2;

class Hardware {
 public:
  // --- Memory. Addresses are of RAM that the boot loader reported; `size` is 1, 2, 4 or 8. ---
  virtual u64 load(HostPhysical address, unsigned size) = 0;
  virtual void store(HostPhysical address, unsigned size, u64 value) = 0;
  virtual void read(HostPhysical address, std::span<u8> bytes) = 0;
  virtual void write(HostPhysical address, std::span<const u8> bytes) = 0;
  virtual void clear(HostPhysical address, u64 bytes) = 0;
  /// The hypervisor's own objects: zeroed, aligned to a page, never given back. Null: no memory left.
  virtual void* allocate_object(std::size_t bytes) = 0;

  // --- Time ---
  /// Since boot. Monotonic, and a fixed function of tsc().
  virtual SimTime now() = 0;
  virtual u64 tsc() = 0;
  virtual u64 tsc_hertz() const = 0;
  /// When the time-stamp counter will read `tsc`.
  virtual SimTime time_of_tsc(u64 tsc) = 0;
  /// What the time-stamp counter reads as soon as now() has reached `time`; all ones for never.
  virtual u64 tsc_at(SimTime time) = 0;
  /// A guest is left, and wait_for_interrupt() returns, at `at` at the latest. Replaces the earlier time.
  virtual void set_timer(SimTime at) = 0;

  // --- Interrupts of the machine ---
  /// Takes what made a guest exit for an external interrupt.
  virtual void take_interrupts() = 0;
  virtual void wait_for_interrupt() = 0;

  // --- Processor ---
  virtual CpuidResult cpuid(u32 leaf, u32 subleaf) = 0;
  virtual u64 read_msr(u32 number) = 0;
  virtual void write_msr(u32 number, u64 value) = 0;
  /// x87 to AVX registers and XCR0, which no control block holds. `area` is a page of the pool. All of guest_states, whatever XCR0
  /// enables: SSE works without it, for a guest that does not know XSAVE.
  virtual void save_extended_state(HostPhysical area, u64 xcr0) = 0;
  virtual void load_extended_state(HostPhysical area, u64 xcr0) = 0;
  /// XSETBV(0). The caller has checked the value.
  virtual void set_xcr0(u64 value) = 0;
  /// AMD-V's world switch (APM vol. 2, 15.5): guest registers in, VMRUN, guest registers out.
  virtual void run_vmcb(HostPhysical vmcb, HostPhysical host_state, GeneralRegisters& registers) = 0;
  virtual void invalidate_guest_page(Linear address, u32 asid) = 0;

  // --- Guests in user state (user_state.h). Bindings of 64-bit code cannot. ---
  /// The area's shared pages, filled. False: this binding cannot, or there is no memory left.
  virtual bool switch_pages(std::array<HostPhysical, switch_area::shared_pages>& /*pages*/) { return false; }
  /// The registers that run_user_state() begins with, and those that it has left; null: this binding cannot. One for all guests.
  virtual UserState* user_state() { return nullptr; }
  /// Into the guest and back at its next event, which is user_state()'s `vector`.
  virtual void run_user_state(const UserSpace& /*space*/) {}
  /// CR2, as the last page fault has left it.
  virtual u32 fault_address() { return 0; }

  // --- Computing ---
  // For a binding whose computing takes no time by itself: a guest with this GuestPaging is worked for, all guests are set up, an
  // exit's handler is done.
  virtual void working_for(std::string_view /*paging*/) {}
  virtual void guests_ready() {}
  virtual void exit_handled(ExitReason /*reason*/) {}
  virtual void worked(Work /*work*/, u64 /*times*/) {}

  // --- Consoles ---
  /// The hypervisor's own: what it says of itself.
  virtual void log(std::string_view text) = 0;
  /// The line that guests' serial ports end at.
  virtual void guest_output(std::span<const char> text) = 0;
  /// A byte typed for the guests, -1 if there is none.
  virtual int guest_input() = 0;

  /// All guests are done: ends the machine.
  virtual void power_off(bool success) = 0;

 protected:
  ~Hardware() = default;
};

}  // namespace bunshin::vmm
