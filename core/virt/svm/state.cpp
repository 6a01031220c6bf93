#include "core/virt/svm/state.h"

#include "base/address.h"

namespace bunshin::svm {

namespace {

/// The attribute word has AVL, L, D/B and G next to P; ours leave the room that a descriptor has between them.
constexpr u64 defined_flags = 0x3f'7fd5;
constexpr u32 low_attributes = 0xff, high_attributes = 0xf000;

/// Bases are made canonical as they are loaded (15.5.1).
u64 canonical_form(u64 address, unsigned bits) {
  const unsigned unused = 64 - bits;
  return static_cast<u64>(static_cast<i64>(address << unused) >> unused);
}

TableRegister load_table(const VmcbSegment& t, unsigned linear_bits) {
  return {canonical_form(t.base, linear_bits), static_cast<u16>(t.limit)};
}

VmcbSegment save_table(const TableRegister& t) { return {0, 0, t.limit, t.base}; }

void load_common(CpuState& s, const VmcbSave& v, unsigned linear_bits) {
  s.segment(Seg::ES) = load_nullable_segment(v.es, linear_bits);
  s.segment(Seg::CS) = load_segment(v.cs);
  s.segment(Seg::SS) = load_nullable_segment(v.ss, linear_bits);
  s.segment(Seg::DS) = load_nullable_segment(v.ds, linear_bits);
  s.gdtr = load_table(v.gdtr, linear_bits);
  s.idtr = load_table(v.idtr, linear_bits);
  s.cr0 = (v.cr0 & 0xffff'ffff) | cr0::ET;
  s.cr3 = v.cr3;
  s.cr4 = v.cr4;
  const bool long_mode = (v.efer & efer::LME) != 0 && (v.cr0 & cr0::PG) != 0;
  s.msr.efer = (v.efer & ~efer::LMA) | (long_mode ? efer::LMA : 0);
  // RFLAGS.VM means nothing in long mode (2.5).
  s.flags.set_value((v.rflags & defined_flags & (long_mode ? ~rflags::VM : ~u64{0})) | rflags::fixed);
  s.rip = v.rip;
  s.gpr[RSP] = v.rsp;
  s.gpr[RAX] = v.rax;
}

void save_common(const CpuState& s, VmcbSave& v) {
  v.es = save_segment(s.segment(Seg::ES));
  v.cs = save_segment(s.segment(Seg::CS));
  v.ss = save_segment(s.segment(Seg::SS));
  v.ds = save_segment(s.segment(Seg::DS));
  v.gdtr = save_table(s.gdtr);
  v.idtr = save_table(s.idtr);
  v.cr0 = s.cr0;
  v.cr3 = s.cr3;
  v.cr4 = s.cr4;
  v.efer = s.msr.efer;
  v.rflags = s.flags.value();
  v.rip = s.rip;
  v.rsp = s.gpr[RSP];
  v.rax = s.gpr[RAX];
}

/// The level of privilege is SS's, and SS may say what it likes (15.5.1).
u8 guest_level(const CpuState& s, u8 stated) {
  if (!s.protected_mode()) return 0;
  return s.v86() ? 3 : stated & 3;
}

}  // namespace

Segment load_segment(const VmcbSegment& s) {
  return {s.selector, (s.attributes & low_attributes) | (u32{s.attributes} << 4 & high_attributes), s.limit, s.base};
}

Segment load_nullable_segment(const VmcbSegment& s, unsigned linear_bits) {
  Segment segment = load_segment(s);
  segment.base = canonical_form(segment.base, linear_bits);
  if (!segment.is_present()) segment.attributes |= Segment::null;
  return segment;
}

VmcbSegment save_segment(const Segment& s) {
  u32 attributes = (s.attributes & low_attributes) | (s.attributes & high_attributes) >> 4;
  if (s.is_null()) attributes &= ~u32{Segment::present};
  return {s.selector, static_cast<u16>(attributes), s.limit, s.base};
}

void load_guest_state(CpuState& s, const VmcbSave& v, unsigned linear_bits) {
  load_common(s, v, linear_bits);
  s.cr2 = v.cr2;
  s.dr[6] = v.dr6 | 0xffff'0ff0;
  s.dr[7] = v.dr7 | 0x400;
  s.cpl = guest_level(s, v.cpl);
}

void save_guest_state(const CpuState& s, VmcbSave& v) {
  save_common(s, v);
  v.cr2 = s.cr2;
  v.dr6 = s.dr[6];
  v.dr7 = s.dr[7];
  v.cpl = s.cpl;
}

void load_host_state(CpuState& s, const VmcbSave& v, unsigned linear_bits) {
  load_common(s, v, linear_bits);
  s.cr0 |= cr0::PE;
  s.flags.set_value(s.flags.value() & ~rflags::VM);
  s.dr[7] = 0x400;
  s.cpl = 0;
}

void save_host_state(const CpuState& s, VmcbSave& v) { save_common(s, v); }

void load_branch_state(CpuState& s, const VmcbSave& v) {
  s.msr.debugctl = v.debugctl & 0x3f;
  s.msr.branch_from[0] = v.branch_from;
  s.msr.branch_to[0] = v.branch_to;
  s.msr.exception_from = v.exception_from;
  s.msr.exception_to = v.exception_to;
}

void save_branch_state(const CpuState& s, VmcbSave& v) {
  v.debugctl = s.msr.debugctl;
  v.branch_from = s.msr.branch_from[0];
  v.branch_to = s.msr.branch_to[0];
  v.exception_from = s.msr.exception_from;
  v.exception_to = s.msr.exception_to;
}

void load_hidden_state(CpuState& s, const VmcbSave& v, unsigned linear_bits) {
  s.segment(Seg::FS) = load_nullable_segment(v.fs, linear_bits);
  s.segment(Seg::GS) = load_nullable_segment(v.gs, linear_bits);
  s.ldtr = load_nullable_segment(v.ldtr, linear_bits);
  s.tr = load_nullable_segment(v.tr, linear_bits);
  s.msr.kernel_gs_base = canonical_form(v.kernel_gs_base, linear_bits);
  s.msr.star = v.star;
  s.msr.lstar = canonical_form(v.lstar, linear_bits);
  s.msr.cstar = canonical_form(v.cstar, linear_bits);
  s.msr.sfmask = v.sfmask & 0xffff'ffff;
  s.msr.sysenter_cs = v.sysenter_cs & 0xffff'ffff;
  s.msr.sysenter_esp = canonical_form(v.sysenter_esp, linear_bits);
  s.msr.sysenter_eip = canonical_form(v.sysenter_eip, linear_bits);
}

void save_hidden_state(const CpuState& s, VmcbSave& v) {
  v.fs = save_segment(s.segment(Seg::FS));
  v.gs = save_segment(s.segment(Seg::GS));
  v.ldtr = save_segment(s.ldtr);
  v.tr = save_segment(s.tr);
  v.kernel_gs_base = s.msr.kernel_gs_base;
  v.star = s.msr.star;
  v.lstar = s.msr.lstar;
  v.cstar = s.msr.cstar;
  v.sfmask = s.msr.sfmask;
  v.sysenter_cs = s.msr.sysenter_cs;
  v.sysenter_esp = s.msr.sysenter_esp;
  v.sysenter_eip = s.msr.sysenter_eip;
}

}  // namespace bunshin::svm
