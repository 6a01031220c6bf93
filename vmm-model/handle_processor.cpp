// Exits for what the processor does beside memory and devices.

#include "vmm-model/guest.h"
#include "vmm-model/guest_cpuid.h"
#include "vmm-model/message.h"

namespace bunshin::vmm {

// The timer goes off once, and by its own clock: what it was for may not be due yet by the time-stamp counter.
void handle_interrupt(Guest& guest, const Exit&) {
  guest.hardware().take_interrupts();
  guest.forget_timer();
}

// Guest::run() delivers what waits before the next entry.
void handle_interrupt_window(Guest&, const Exit&) {}

void handle_invalid_opcode(Guest& guest, const Exit&) { guest.inject(Event::exception(vector::UD)); }

void handle_exception(Guest& guest, const Exit& exit) {
  const bool coded = exit.number == vector::DF || (exit.number >= 10 && exit.number <= 14) || exit.number == 17;
  guest.inject(coded ? Event::exception(exit.number, exit.error_code) : Event::exception(exit.number));
}

void handle_nothing_to_do(Guest& guest, const Exit& exit) { guest.skip_instruction(exit); }

// CPUID shows no performance counters (SDM vol. 2, RDPMC).
void handle_read_counter(Guest& guest, const Exit&) { guest.inject(Event::exception(vector::GP, 0)); }

void handle_performed(Guest&, const Exit&) {}

void handle_in_back_end(Guest& guest, const Exit& exit) {
  if (const Event fault = guest.execution().software()->complete(exit)) guest.inject(fault);
}

void handle_shutdown(Guest& guest, const Exit& exit) { guest.fail("triple fault", exit); }

void handle_unexpected(Guest& guest, const Exit& exit) { guest.fail("an exit that should not happen", exit); }

void handle_hlt(Guest& guest, const Exit& exit) {
  guest.skip_instruction(exit);
  guest.halt();
}

namespace {

/// What this guest sees: its back end may have less than the processor.
CpuidResult shown_cpuid(Guest& guest, u32 leaf, u32 subleaf) {
  const bool os_xsave = (guest.execution().get(StateField::cr4) & cr4::OSXSAVE) != 0;
  CpuidResult result = guest_cpuid(guest.hardware(), leaf, subleaf, os_xsave);
  if (const SoftwareProcessor* software = guest.execution().software()) {
    software->restrict_cpuid(leaf, result);
  }
  return result;
}

}  // namespace

void handle_cpuid(Guest& guest, const Exit& exit) {
  GeneralRegisters& r = guest.execution().registers;
  const CpuidResult result = shown_cpuid(guest, static_cast<u32>(r[rax]), static_cast<u32>(r[rcx]));
  r[rax] = result.eax;
  r[rbx] = result.ebx;
  r[rcx] = result.ecx;
  r[rdx] = result.edx;
  guest.skip_instruction(exit);
}

// SDM vol. 1, 13.3: x87 always, AVX only with SSE, nothing that CPUID.0DH does not list.
void handle_set_extended_control(Guest& guest, const Exit& exit) {
  constexpr u64 x87 = 1, sse = 2, avx = 4;
  GeneralRegisters& r = guest.execution().registers;
  const u64 value = (r[rdx] & 0xffff'ffff) << 32 | (r[rax] & 0xffff'ffff);
  const CpuidResult leaf = guest_cpuid(guest.hardware(), 0xd, 0, true);
  const u64 supported = u64{leaf.edx} << 32 | leaf.eax;
  const bool good = static_cast<u32>(r[rcx]) == 0 && guest.execution().get(StateField::cpl) == 0 &&
                    (value & x87) != 0 && (value & ~supported) == 0 && ((value & avx) == 0 || (value & sse) != 0);
  if (!good) return guest.inject(Event::exception(vector::GP, 0));
  guest.xcr0() = value;
  guest.hardware().set_xcr0(value);
  guest.skip_instruction(exit);
}

namespace {

constexpr u32 first_x2apic_msr = 0x800, last_x2apic_msr = 0x8ff;

bool is_apic_msr(u32 number) {
  return number == msr::tsc_deadline || (number >= first_x2apic_msr && number <= last_x2apic_msr);
}

/// MSRs that are part of a guest's processor. Back ends let the guest have them without an exit, if the hardware can.
struct StateMsr {
  u32 number;
  StateField field;
  bool address;  ///< must be canonical
};
constexpr StateMsr state_msrs[] = {
    {msr::star, StateField::star, false},
    {msr::lstar, StateField::lstar, true},
    {msr::cstar, StateField::cstar, true},
    {msr::sfmask, StateField::sfmask, false},
    {msr::kernel_gs_base, StateField::kernel_gs_base, true},
    {msr::sysenter_cs, StateField::sysenter_cs, false},
    {msr::sysenter_esp, StateField::sysenter_esp, true},
    {msr::sysenter_eip, StateField::sysenter_eip, true},
};

/// False: not one of them.
bool read_state_msr(GuestExecution& execution, u32 number, u64& value) {
  if (number == msr::fs_base || number == msr::gs_base) {
    value = execution.segment_base(number == msr::fs_base ? SegmentName::fs : SegmentName::gs);
    return true;
  }
  for (const StateMsr& row : state_msrs) {
    if (row.number != number) continue;
    value = execution.get(row.field);
    return true;
  }
  return false;
}

bool write_state_msr(GuestExecution& execution, u32 number, u64 value) {
  if (number == msr::fs_base || number == msr::gs_base) {
    const SegmentName name = number == msr::fs_base ? SegmentName::fs : SegmentName::gs;
    SegmentState state = execution.segment(name);
    state.base = value;
    if (is_canonical(value, guest_linear_bits)) execution.set_segment(name, state);
    return is_canonical(value, guest_linear_bits);
  }
  for (const StateMsr& row : state_msrs) {
    if (row.number != number || (row.address && !is_canonical(value, guest_linear_bits))) continue;
    execution.set(row.field, value);
    return true;
  }
  return false;
}

/// The bits of EFER that CPUID shows a feature for; none: there is no such register.
u64 efer_bits(Guest& guest) {
  constexpr u32 leaf = 0x8000'0001;
  if (shown_cpuid(guest, 0x8000'0000, 0).eax < leaf) return 0;
  const CpuidResult r = shown_cpuid(guest, leaf, 0);
  const auto when = [](u32 features, unsigned bit, u64 control) { return (features >> bit & 1) != 0 ? control : 0; };
  return when(r.edx, 11, efer::SCE) | when(r.edx, 29, efer::LME) | when(r.edx, 20, efer::NXE) |
         when(r.edx, 25, efer::FFXSR) | when(r.ecx, 17, efer::TCE);
}

/// Which updates of microcode are for this processor: Intel's have it (SDM vol. 3, 9.11.4).
bool read_platform_id(Hardware& hardware, u64& value) {
  constexpr u32 genuine_intel = 0x756e'6547;  // "Genu"
  if (hardware.cpuid(0, 0).ebx != genuine_intel) return false;
  value = hardware.read_msr(msr::platform_id);
  return true;
}

bool read_msr(Guest& guest, u32 number, u64& value) {
  GuestExecution& execution = guest.execution();
  switch (number) {
    case msr::efer: value = execution.get(StateField::efer); return efer_bits(guest) != 0;
    case msr::pat: value = execution.get(StateField::pat); return true;
    case msr::tsc: value = guest.hardware().tsc(); return true;
    // The microcode is the machine's: kernels look there for whether it mends an erratum of the model that CPUID names.
    case msr::bios_signature: value = guest.hardware().read_msr(number); return true;
    case msr::platform_id: return read_platform_id(guest.hardware(), value);
    case msr::apic_base: value = guest.pc().apic().base_msr(); return true;
    default: break;
  }
  if (is_apic_msr(number)) return guest.pc().read_apic_msr(number, value);
  return read_state_msr(execution, number, value) || guest.msrs().read(number, value);
}

// LMA follows CR0.PG and LME cannot change while the guest pages (SDM vol. 3, 2.2.1).
bool write_efer(Guest& guest, u64 value) {
  const u64 writable = efer_bits(guest);
  GuestExecution& execution = guest.execution();
  const u64 old = execution.get(StateField::efer);
  if (writable == 0 || (value & ~(writable | efer::LMA)) != 0) return false;
  const bool paging = (execution.get(StateField::cr0) & cr0::PG) != 0;
  if (paging && ((value ^ old) & efer::LME) != 0) return false;
  execution.set(StateField::efer, (value & writable) | (old & efer::LMA));
  if (((value ^ old) & efer::NXE) != 0 && !guest.paging().controls_written())
    guest.fail("no memory for its tables", {});
  return true;
}

bool valid_pat(u64 value) {
  for (unsigned i = 0; i < 8; ++i, value >>= 8) {
    const u64 type = value & 0xff;
    if (type > 7 || type == 2 || type == 3) return false;
  }
  return true;
}

bool write_msr(Guest& guest, u32 number, u64 value) {
  GuestExecution& execution = guest.execution();
  switch (number) {
    case msr::efer: return write_efer(guest, value);
    case msr::pat:
      if (!valid_pat(value)) return false;
      execution.set(StateField::pat, value);
      return true;
    case msr::tsc: return true;  // guests share the machine's counter
    case msr::apic_base: return guest.pc().apic().set_base_msr(value);
    case msr::tsc_aux:
      if (!guest.msrs().write(number, value)) return false;
      guest.hardware().write_msr(msr::tsc_aux, value);
      return true;
    default: break;
  }
  if (is_apic_msr(number)) return guest.pc().write_apic_msr(number, value);
  return write_state_msr(execution, number, value) || guest.msrs().write(number, value);
}

}  // namespace

void handle_read_msr(Guest& guest, const Exit& exit) {
  GeneralRegisters& r = guest.execution().registers;
  u64 value = 0;
  if (!read_msr(guest, static_cast<u32>(r[rcx]), value)) return guest.inject(Event::exception(vector::GP, 0));
  r[rax] = value & 0xffff'ffff;
  r[rdx] = value >> 32;
  guest.skip_instruction(exit);
}

void handle_write_msr(Guest& guest, const Exit& exit) {
  GeneralRegisters& r = guest.execution().registers;
  const u64 value = (r[rdx] & 0xffff'ffff) << 32 | (r[rax] & 0xffff'ffff);
  if (!write_msr(guest, static_cast<u32>(r[rcx]), value)) return guest.inject(Event::exception(vector::GP, 0));
  guest.skip_instruction(exit);
}

}  // namespace bunshin::vmm
