#pragma once

// Descriptors, and what loading a segment register checks (SDM vol. 3, 3.4, 3.5, 5.6 to 5.8; APM vol. 2, 4.7 to 4.10).

#include "core/cpu.h"

namespace bunshin {

/// System-segment and gate types (SDM vol. 3, table 3-2). In IA-32e mode only Ldt, the two Tss, CallGate, InterruptGate
/// and TrapGate exist, and they are the 64-bit forms.
enum class SystemType : u8 {
  Tss16 = 1,
  Ldt = 2,
  BusyTss16 = 3,
  CallGate16 = 4,
  TaskGate = 5,
  InterruptGate16 = 6,
  TrapGate16 = 7,
  Tss = 9,
  BusyTss = 11,
  CallGate = 12,
  InterruptGate = 14,
  TrapGate = 15,
};

/// A descriptor-table entry as it lies in memory.
struct Descriptor {
  u64 low = 0;
  u64 high = 0;     ///< second half of the 16-byte entries of IA-32e mode
  u64 address = 0;  ///< linear address of the entry

  /// As in Segment::attributes.
  u32 attributes() const { return static_cast<u32>(low >> 40) & 0xf0ff; }
  bool is_system() const { return (attributes() & Segment::code_or_data) == 0; }
  SystemType system_type() const { return static_cast<SystemType>(attributes() & 0xf); }
  unsigned dpl() const { return (attributes() >> 5) & 3; }
  bool present() const { return (attributes() & Segment::present) != 0; }
  /// S set and type 8-15.
  bool is_code() const { return (attributes() & 0x18) == 0x18; }
  bool is_conforming() const { return (attributes() & 0x1c) == 0x1c; }
  bool is_writable_data() const { return (attributes() & 0x1a) == 0x12; }
  bool is_readable() const { return (attributes() & 0x18) == 0x10 || (attributes() & 0x1a) == 0x1a; }
  bool is_long() const { return (attributes() & Segment::long_mode) != 0; }
  bool is_big() const { return (attributes() & Segment::big) != 0; }

  u16 gate_selector() const { return static_cast<u16>(low >> 16); }
  /// Gate offsets are 16, 32 or 64 bits wide; the caller knows which.
  u64 gate_offset() const { return (low & 0xffff) | ((low >> 32) & 0xffff0000) | (high << 32); }
  unsigned gate_parameters() const { return static_cast<unsigned>(low >> 32) & 0x1f; }
  unsigned gate_ist() const { return static_cast<unsigned>(low >> 32) & 7; }

  Segment segment(u16 selector) const;
};

/// Error code that names a selector; bit 0 (EXT) is added by event delivery.
constexpr u32 selector_code(u16 selector) { return selector & 0xfffcu; }
constexpr bool is_null_selector(u16 selector) { return (selector & 0xfffc) == 0; }

/// Canonical for the paging mode's linear-address width.
inline bool canonical(const Cpu& cpu, u64 linear) {
  return is_canonical(linear, (cpu.state.cr4 & cr4::LA57) != 0 ? 57 : 48);
}

/// True if [offset, offset + size) is inside the limit (SDM vol. 3, 5.3).
bool within_limit(const Segment& segment, u64 offset, unsigned size);

/// The descriptor that `selector` (not null) names. Outside its table: `on_error`(selector).
[[nodiscard]] bool read_descriptor(Cpu& cpu, u16 selector, Descriptor& d, Vector on_error);
/// Reads the second half of a 16-byte entry; its type field must be zero: `on_error`(selector).
[[nodiscard]] bool read_descriptor_extension(Cpu& cpu, u16 selector, Descriptor& d, Vector on_error);
/// Sets the accessed bit in memory and in `d` if it is clear.
[[nodiscard]] bool set_accessed(Cpu& cpu, Descriptor& d);
/// Writes the type's busy bit of a TSS descriptor.
[[nodiscard]] bool set_busy(Cpu& cpu, Descriptor& d, bool busy);

/// Rules for SS at privilege `cpl`: RPL = DPL = CPL, writable data, else `on_error`(selector); present, else `if_absent`(selector).
[[nodiscard]] bool check_stack_segment(Cpu& cpu, u16 selector, const Descriptor& d, unsigned cpl, Vector on_error,
                                       Vector if_absent = Vector::SS);
/// Rules for DS, ES, FS and GS: readable, privilege, else `on_error`(selector); present, else #NP.
[[nodiscard]] bool check_data_segment(Cpu& cpu, u16 selector, const Descriptor& d, unsigned cpl, Vector on_error);
/// The target of a far transfer lies in the code segment (or is canonical, if that is 64-bit code): #GP(0).
[[nodiscard]] bool check_target(Cpu& cpu, const Segment& cs, u64 rip);
/// Reads, checks for `cpl` and marks accessed a non-null SS; 64-bit code may also have a null one.
[[nodiscard]] bool fetch_stack_segment(Cpu& cpu, u16 selector, unsigned cpl, Vector on_error, Segment& out,
                                       Vector if_absent = Vector::SS);

/// MOV, POP and LDS-like loads of a segment register but CS, in any mode. False: the fault is raised, nothing changed.
[[nodiscard]] bool load_segment(Cpu& cpu, Seg seg, u16 selector);
/// The real-mode and virtual-8086 form: base = selector * 16.
void load_8086_segment(CpuState& s, Seg seg, u16 selector);
void load_null_segment(Segment& segment, u16 selector);
/// SS after a switch to a more privileged level in IA-32e mode: null, with that level as RPL (SDM vol. 3, 6.14.4).
void load_null_stack(CpuState& s, unsigned cpl);
/// CS of a protected-mode transfer; does not call update_mode().
void commit_code_segment(CpuState& s, const Segment& cs, unsigned cpl, u64 rip);
/// After a return to an outer level: data segments it may not use become null (SDM vol. 3, 5.8.6).
void drop_inner_segments(CpuState& s);

/// LLDT and LTR with their privilege check done.
[[nodiscard]] bool load_ldtr(Cpu& cpu, u16 selector);
[[nodiscard]] bool load_tr(Cpu& cpu, u16 selector);

/// --- Stack pointers in the TSS of the current task (SDM vol. 3, 7.2.1, 7.7) ---
struct InnerStack {
  u16 selector = 0;
  u64 pointer = 0;
};
/// SSn:(E)SPn of a 16- or 32-bit TSS. Beyond its limit: #TS(TR).
[[nodiscard]] bool read_inner_stack(Cpu& cpu, unsigned level, InnerStack& out);
/// RSPn (level 0-2) or ISTn (`ist` 1-7) of a 64-bit TSS. Not canonical: #SS(0).
[[nodiscard]] bool read_inner_stack64(Cpu& cpu, unsigned level, unsigned ist, u64& rsp);

}  // namespace bunshin
