#pragma once

// Registers to and from the state-save area (AMD APM vol. 2, 15.5.1, 15.5.2 and 15.6). What a group costs is for whoever calls it.

#include "core/state.h"
#include "core/virt/svm/vmcb.h"

namespace bunshin::svm {

Segment load_segment(const VmcbSegment& s);
/// The same for a register in which a null selector may be, and reads as not present.
Segment load_nullable_segment(const VmcbSegment& s, unsigned linear_bits);
VmcbSegment save_segment(const Segment& s);

/// --- VMRUN and #VMEXIT: ES, CS, SS, DS, tables, control and debug registers, RFLAGS, RIP, RSP, RAX, CPL ---
/// EFER.LMA follows from LME and CR0.PG; a CPL that the mode does not leave open is the mode's.
void load_guest_state(CpuState& s, const VmcbSave& v, unsigned linear_bits);
void save_guest_state(const CpuState& s, VmcbSave& v);

/// --- VMRUN and #VMEXIT: the host's, in its save area. CPL is 0, DR7 is not kept (15.6) ---
void load_host_state(CpuState& s, const VmcbSave& v, unsigned linear_bits);
void save_host_state(const CpuState& s, VmcbSave& v);

/// --- LBR virtualization (15.23) ---
void load_branch_state(CpuState& s, const VmcbSave& v);
void save_branch_state(const CpuState& s, VmcbSave& v);

/// --- VMLOAD and VMSAVE ---
void load_hidden_state(CpuState& s, const VmcbSave& v, unsigned linear_bits);
void save_hidden_state(const CpuState& s, VmcbSave& v);

}  // namespace bunshin::svm
