#include "core/events/segmentation.h"

namespace bunshin {

namespace {

/// Linear addresses are 32 bits wide outside IA-32e mode.
u64 table_address(const CpuState& s, u64 address) { return s.long_mode_active() ? address : static_cast<u32>(address); }

bool fits_table(const CpuState& s, u16 selector, unsigned size) {
  const u32 last = (selector & 0xfff8u) + size - 1;
  if ((selector & 4) == 0) return last <= s.gdtr.limit;
  return !s.ldtr.is_null() && last <= s.ldtr.limit;
}

}  // namespace

Segment Descriptor::segment(u16 selector) const {
  Segment s;
  s.selector = selector;
  s.attributes = attributes();
  s.limit = static_cast<u32>((low & 0xffff) | ((low >> 32) & 0xf0000));
  if ((s.attributes & Segment::granularity) != 0) s.limit = s.limit << 12 | 0xfff;
  s.base = ((low >> 16) & 0xffffff) | ((low >> 32) & 0xff000000) | (high << 32);
  return s;
}

bool within_limit(const Segment& segment, u64 offset, unsigned size) {
  const u64 last = offset + size - 1;
  if (!segment.is_code() && segment.is_expand_down()) {
    return offset > segment.limit && last <= (segment.is_big() ? 0xffff'ffff : 0xffff);
  }
  // A segment of 4 GiB wraps (SDM vol. 3, 22.34).
  return last <= segment.limit || segment.limit == 0xffff'ffff;
}

bool read_descriptor(Cpu& cpu, u16 selector, Descriptor& d, Vector on_error) {
  const CpuState& s = cpu.state;
  if (!fits_table(s, selector, 8)) return cpu.raise(on_error, selector_code(selector));
  const u64 base = (selector & 4) != 0 ? s.ldtr.base : s.gdtr.base;
  d.address = table_address(s, base + (selector & 0xfff8u));
  d.high = 0;
  return cpu.load_system(d.address, d.low);
}

bool read_descriptor_extension(Cpu& cpu, u16 selector, Descriptor& d, Vector on_error) {
  if (!fits_table(cpu.state, selector, 16)) return cpu.raise(on_error, selector_code(selector));
  if (!cpu.load_system(d.address + 8, d.high)) return false;
  return ((d.high >> 40) & 0x1f) == 0 || cpu.raise(on_error, selector_code(selector));
}

bool set_accessed(Cpu& cpu, Descriptor& d) {
  if ((d.attributes() & 1) != 0) return true;
  d.low |= u64{1} << 40;
  return cpu.store_system(d.address + 5, static_cast<u8>(d.low >> 40));
}

bool set_busy(Cpu& cpu, Descriptor& d, bool busy) {
  const u64 bit = u64{2} << 40;
  d.low = busy ? d.low | bit : d.low & ~bit;
  return cpu.store_system(d.address + 5, static_cast<u8>(d.low >> 40));
}

bool check_stack_segment(Cpu& cpu, u16 selector, const Descriptor& d, unsigned cpl, Vector on_error, Vector if_absent) {
  if ((selector & 3u) != cpl || !d.is_writable_data() || d.dpl() != cpl) {
    return cpu.raise(on_error, selector_code(selector));
  }
  return d.present() || cpu.raise(if_absent, selector_code(selector));
}

bool check_data_segment(Cpu& cpu, u16 selector, const Descriptor& d, unsigned cpl, Vector on_error) {
  const bool too_privileged = !d.is_conforming() && ((selector & 3u) > d.dpl() || cpl > d.dpl());
  if (!d.is_readable() || too_privileged) return cpu.raise(on_error, selector_code(selector));
  return d.present() || cpu.raise(Vector::NP, selector_code(selector));
}

bool check_target(Cpu& cpu, const Segment& cs, u64 rip) {
  const bool code64 = cpu.state.long_mode_active() && cs.is_long();
  const bool fits = code64 ? canonical(cpu, rip) : rip <= cs.limit;
  return fits || cpu.raise(Vector::GP, 0);
}

bool fetch_stack_segment(Cpu& cpu, u16 selector, unsigned cpl, Vector on_error, Segment& out, Vector if_absent) {
  Descriptor d;
  if (!read_descriptor(cpu, selector, d, on_error) ||
      !check_stack_segment(cpu, selector, d, cpl, on_error, if_absent) || !set_accessed(cpu, d)) {
    return false;
  }
  out = d.segment(selector);
  return true;
}

void load_8086_segment(CpuState& s, Seg seg, u16 selector) {
  Segment& segment = s.segment(seg);
  // Real mode leaves the hidden limit alone (what "unreal" mode lives from); virtual-8086 mode has 64 KiB segments.
  constexpr u32 kept = Segment::avl | Segment::big | Segment::granularity;
  if (s.v86()) {
    segment.attributes = 0xf3;
    segment.limit = 0xffff;
  } else {
    if (segment.is_null()) segment.limit = 0xffff;
    segment.attributes = (segment.is_null() ? 0 : segment.attributes & kept) | 0x93;
  }
  segment.selector = selector;
  segment.base = u64{selector} << 4;
}

void load_null_segment(Segment& segment, u16 selector) {
  segment = Segment();
  segment.selector = selector;
  segment.attributes = Segment::null;
}

void load_null_stack(CpuState& s, unsigned cpl) {
  Segment& ss = s.segment(Seg::SS);
  load_null_segment(ss, static_cast<u16>(cpl));
  ss.attributes |= static_cast<u32>(cpl) << 5;
}

namespace {

bool load_stack_register(Cpu& cpu, u16 selector) {
  CpuState& s = cpu.state;
  if (is_null_selector(selector)) {
    if (cpu.mode.bits != 64 || s.cpl == 3 || (selector & 3) != s.cpl) return cpu.raise(Vector::GP, 0);
    load_null_stack(s, s.cpl);
    return true;
  }
  Segment segment;
  if (!fetch_stack_segment(cpu, selector, s.cpl, Vector::GP, segment)) return false;
  s.segment(Seg::SS) = segment;
  return true;
}

bool load_data_register(Cpu& cpu, Seg seg, u16 selector) {
  if (is_null_selector(selector)) {
    load_null_segment(cpu.state.segment(seg), selector);
    return true;
  }
  Descriptor d;
  if (!read_descriptor(cpu, selector, d, Vector::GP) ||
      !check_data_segment(cpu, selector, d, cpu.state.cpl, Vector::GP) || !set_accessed(cpu, d)) {
    return false;
  }
  cpu.state.segment(seg) = d.segment(selector);
  return true;
}

}  // namespace

bool load_segment(Cpu& cpu, Seg seg, u16 selector) {
  CpuState& s = cpu.state;
  if (!cpu.mode.protected_mode) {
    load_8086_segment(s, seg, selector);
  } else if (!(seg == Seg::SS ? load_stack_register(cpu, selector) : load_data_register(cpu, seg, selector))) {
    return false;
  }
  // 64-bit code neither knows the stack's size nor flatness, and FS and GS never count.
  if (cpu.mode.bits != 64 && seg < Seg::FS) cpu.update_mode();
  return true;
}

void commit_code_segment(CpuState& s, const Segment& cs, unsigned cpl, u64 rip) {
  s.segment(Seg::CS) = cs;
  s.segment(Seg::CS).selector = static_cast<u16>((cs.selector & ~3u) | cpl);
  s.cpl = static_cast<u8>(cpl);
  s.rip = rip;
}

void drop_inner_segments(CpuState& s) {
  for (const Seg seg : {Seg::ES, Seg::DS, Seg::FS, Seg::GS}) {
    Segment& segment = s.segment(seg);
    if (segment.is_null() || (segment.is_code() && segment.is_conforming()) || segment.dpl() >= s.cpl) continue;
    segment.selector = 0;
    segment.attributes |= Segment::null;
  }
}

namespace {

/// The LDT and TSS descriptors that LLDT and LTR accept lie in the GDT.
bool read_system_descriptor(Cpu& cpu, u16 selector, Descriptor& d) {
  if ((selector & 4) != 0) return cpu.raise(Vector::GP, selector_code(selector));
  if (!read_descriptor(cpu, selector, d, Vector::GP)) return false;
  return !cpu.state.long_mode_active() || read_descriptor_extension(cpu, selector, d, Vector::GP);
}

bool check_system_base(Cpu& cpu, const Segment& segment) {
  return !cpu.state.long_mode_active() || is_canonical(segment.base, cpu.profile.linear_bits()) ||
         cpu.raise(Vector::GP, selector_code(segment.selector));
}

}  // namespace

bool load_ldtr(Cpu& cpu, u16 selector) {
  if (is_null_selector(selector)) {
    load_null_segment(cpu.state.ldtr, selector);
    return true;
  }
  Descriptor d;
  if (!read_system_descriptor(cpu, selector, d)) return false;
  if (!d.is_system() || d.system_type() != SystemType::Ldt) return cpu.raise(Vector::GP, selector_code(selector));
  if (!d.present()) return cpu.raise(Vector::NP, selector_code(selector));
  const Segment segment = d.segment(selector);
  if (!check_system_base(cpu, segment)) return false;
  cpu.state.ldtr = segment;
  return true;
}

bool load_tr(Cpu& cpu, u16 selector) {
  if (is_null_selector(selector)) return cpu.raise(Vector::GP, 0);
  Descriptor d;
  if (!read_system_descriptor(cpu, selector, d)) return false;
  const bool available = d.is_system() && (d.system_type() == SystemType::Tss ||
                                           (d.system_type() == SystemType::Tss16 && !cpu.state.long_mode_active()));
  if (!available) return cpu.raise(Vector::GP, selector_code(selector));
  if (!d.present()) return cpu.raise(Vector::NP, selector_code(selector));
  if (!check_system_base(cpu, d.segment(selector)) || !set_busy(cpu, d, true)) return false;
  cpu.state.tr = d.segment(selector);
  return true;
}

bool read_inner_stack(Cpu& cpu, unsigned level, InnerStack& out) {
  const Segment& tr = cpu.state.tr;
  const bool wide = (tr.type() & 8) != 0;
  const u32 offset = wide ? 4 + 8 * level : 2 + 4 * level;
  if (tr.is_null() || offset + (wide ? 5 : 3) > tr.limit) return cpu.raise(Vector::TS, selector_code(tr.selector));
  const u64 address = static_cast<u32>(tr.base + offset);
  if (wide) {
    u32 pointer = 0;
    if (!cpu.load_system(address, pointer)) return false;
    out.pointer = pointer;
    return cpu.load_system(address + 4, out.selector);
  }
  u16 pointer = 0;
  if (!cpu.load_system(address, pointer)) return false;
  out.pointer = pointer;
  return cpu.load_system(address + 2, out.selector);
}

bool read_inner_stack64(Cpu& cpu, unsigned level, unsigned ist, u64& rsp) {
  const Segment& tr = cpu.state.tr;
  const u32 offset = ist != 0 ? 0x24 + 8 * (ist - 1) : 4 + 8 * level;
  if (tr.is_null() || offset + 7 > tr.limit) return cpu.raise(Vector::TS, selector_code(tr.selector));
  if (!cpu.load_system(tr.base + offset, rsp)) return false;
  return canonical(cpu, rsp) || cpu.raise(Vector::SS, 0);
}

}  // namespace bunshin
