#include "tests/core/oracle_guest.h"

#include "core/sse/host_mxcsr.h"
#include "tests/core/oracle_profile.h"
#include "tests/core/oracle_segments.h"

namespace bunshin::oracle {

namespace {

constexpr u64 page_tables = 0x10'0000;
constexpr unsigned vectors = 256;

}  // namespace

GuestProcessor::GuestProcessor(CodeKind kind, std::string vendor, bool with_ldt)
    : kind_(kind), with_ldt_(with_ldt), machine_(full_profile(std::move(vendor))) {
  machine_.enter_long(code_begin);
  build_page_tables();
  build_descriptor_tables();
  CpuState& s = machine_.state();
  s.cr4 |= cr4::OSXMMEXCPT | cr4::OSXSAVE | cr4::FSGSBASE;
  s.cr0 |= cr0::NE | cr0::MP | cr0::WP | cr0::AM;
  s.xcr0 = FxImage::components;
  s.msr.efer |= efer::SCE;
  machine_.processor.state_changed();
}

void GuestProcessor::build_page_tables() {
  TestMachine& m = machine_;
  // The lower half has only the oracle's pages, the upper one the first 2 MiB for the supervisor.
  for (u64 i = 0; i < 512; ++i) m.poke<u64>(page_tables + 0x2000 + i * 8, 0);
  m.poke<u64>(page_tables + 0x800, (page_tables + 0x4000) | 3);
  m.poke<u64>(page_tables + 0x4000, (page_tables + 0x5000) | 3);
  m.poke<u64>(page_tables + 0x5000, 0x83);
  m.poke<u64>(page_tables + 0x2008, (page_tables + 0x3000) | 7);
  const auto map = [&m](u64 begin, u64 end, u64 rights) {
    for (u64 a = begin; a < end; a += page_size) m.poke<u64>(page_tables + 0x3000 + (a >> 12) % 512 * 8, a | rights);
  };
  map(data_begin, data_end, 7);
  map(data_end, read_only_end, 5);
  map(code_begin, code_end, 7);
}

void GuestProcessor::build_descriptor_tables() {
  TestMachine& m = machine_;
  for (unsigned i = 0; i < gdt_image.size(); ++i) m.poke<u64>(gdt + i * 8, gdt_image[i]);
  for (unsigned i = 0; i < local_segments.size(); ++i) m.poke<u64>(ldt + i * 8, local_descriptor(i));
  // As Linux has them: users may reach the gates of INT3 and INTO only.
  constexpr u64 kernel_code = 0x10;
  for (u64 vector = 0; vector < vectors; ++vector) {
    const u64 handler = kernel + handlers + vector * 16;
    const u64 rights = vector == 3 || vector == 4 ? 0xee00 : 0x8e00;
    m.poke<u64>(idt + vector * 16,
                (handler & 0xffff) | kernel_code << 16 | rights << 32 | (handler >> 16 & 0xffff) << 48);
    m.poke<u64>(idt + vector * 16 + 8, handler >> 32);
  }
  m.poke<u64>(tss + 4, kernel + kernel_stack);
  // The I/O permission bitmap lies behind the limit: no ports.
  m.poke<u16>(tss + 0x66, 0x68);
  CpuState& s = m.state();
  s.gdtr = {kernel + gdt, gdt_image.size() * 8 - 1};
  s.idtr = {kernel + idt, vectors * 16 - 1};
  s.tr = {0x40, 0xb | Segment::present, 0x67, kernel + tss};
  s.ldtr = {0, Segment::null, 0, 0};
  if (with_ldt_) s.ldtr = {0x50, 2 | Segment::present, local_segments.size() * 8 - 1, kernel + ldt};
}

void GuestProcessor::enter_user(const Registers& registers) {
  CpuState& s = machine_.state();
  constexpr u32 flat = Segment::code_or_data | Segment::present | Segment::granularity | 3 << 5 | 0xb;
  if (kind_ == CodeKind::Compatibility16)
    s.segment(Seg::CS) = data_segment(code16_selector, with_ldt_);
  else if (kind_ == CodeKind::Long)
    s.segment(Seg::CS) = {code64_selector, flat | Segment::long_mode, 0xffffffff, 0};
  else
    s.segment(Seg::CS) = {code32_selector, flat | Segment::big, 0xffffffff, 0};
  for (const Seg seg : {Seg::ES, Seg::SS, Seg::DS, Seg::FS, Seg::GS})
    s.segment(seg) = data_segment(registers.selectors[static_cast<unsigned>(seg)], with_ldt_);
  s.cpl = 3;
}

void GuestProcessor::load(const Registers& registers) {
  CpuState& s = machine_.state();
  std::copy(registers.gpr.begin(), registers.gpr.end(), s.gpr.begin());
  s.flags.set_value(registers.flags | rflags::fixed | rflags::IF);
  const FxImage& fx = registers.fx;
  for (unsigned i = 0; i < 16; ++i) std::memcpy(s.xmm[i].bytes.data(), fx.bytes.data() + FxImage::xmm0 + i * 16, 16);
  for (unsigned i = 0; i < 16; ++i)
    std::memcpy(s.ymm_high[i].bytes.data(), fx.bytes.data() + FxImage::upper0 + i * 16, 16);
  s.mxcsr = fx.get<u32>(FxImage::mxcsr);
  s.x87.control = fx.get<u16>(FxImage::control);
  const u16 status = fx.get<u16>(FxImage::status);
  s.x87.top = (status >> 11) & 7;
  s.x87.status = static_cast<u16>(status & ~0x3800);
  s.x87.empty = static_cast<u8>(~fx.get<u8>(FxImage::tags));
  for (unsigned i = 0; i < 8; ++i) {
    X87Register& r = s.x87.registers[(s.x87.top + i) & 7];
    r.mantissa = fx.get<u64>(FxImage::st0 + i * 16);
    r.sign_exponent = fx.get<u16>(FxImage::st0 + i * 16 + 8);
  }
}

Registers GuestProcessor::store() const {
  const CpuState& s = machine_.processor.state();
  Registers out;
  std::copy_n(s.gpr.begin(), 16, out.gpr.begin());
  out.flags = s.flags.value();
  for (unsigned i = 0; i < 16; ++i)
    std::memcpy(out.fx.bytes.data() + FxImage::xmm0 + i * 16, s.xmm[i].bytes.data(), 16);
  for (unsigned i = 0; i < 16; ++i)
    std::memcpy(out.fx.bytes.data() + FxImage::upper0 + i * 16, s.ymm_high[i].bytes.data(), 16);
  for (unsigned i = 0; i < 6; ++i) out.selectors[i] = s.seg[i].selector;
  out.fs_base = s.segment(Seg::FS).base;
  out.gs_base = s.segment(Seg::GS).base;
  out.fx.set<u32>(FxImage::mxcsr, s.mxcsr);
  out.fx.set<u16>(FxImage::control, s.x87.control);
  out.fx.set<u16>(FxImage::status, static_cast<u16>(s.x87.status | s.x87.top << 11));
  out.fx.set<u8>(FxImage::tags, static_cast<u8>(~s.x87.empty));
  for (unsigned i = 0; i < 8; ++i) {
    const X87Register& r = s.x87.registers[(s.x87.top + i) & 7];
    out.fx.set<u64>(FxImage::st0 + i * 16, r.mantissa);
    out.fx.set<u16>(FxImage::st0 + i * 16 + 8, r.sign_exponent);
  }
  return out;
}

Outcome GuestProcessor::run(const Registers& registers, u64 rip) {
  CpuState& s = machine_.state();
  enter_user(registers);
  s.segment(Seg::FS).base = registers.fs_base;
  s.segment(Seg::GS).base = registers.gs_base;
  load(registers);
  s.interrupt_shadow = s.debug_shadow = false;
  machine_.processor.cpu().update_mode();
  s.rip = rip - code_base(kind_);
  machine_.processor.run(machine_.processor.cycles() + 1);
  Outcome outcome;
  outcome.registers = store();
  outcome.rip = s.rip + code_base(kind_);
  if (s.cpl == 3) return outcome;
  const u64 vector = (s.rip - kernel - handlers) / 16;
  // The frame: error code if the vector has one, RIP, CS, RFLAGS, RSP, SS.
  const u64 frame = kernel_stack - 40;
  const bool has_code = s.gpr[RSP] != kernel + frame;
  outcome.trap = Trap{static_cast<u8>(vector), has_code ? machine_.peek<u64>(frame - 8) : 0, s.cr2};
  outcome.rip = machine_.peek<u64>(frame) + code_base(kind_);
  outcome.registers.flags = machine_.peek<u64>(frame + 16);
  outcome.registers.gpr[RSP] = machine_.peek<u64>(frame + 24);
  outcome.registers.selectors[static_cast<unsigned>(Seg::CS)] = machine_.peek<u16>(frame + 8);
  outcome.registers.selectors[static_cast<unsigned>(Seg::SS)] = machine_.peek<u16>(frame + 32);
  return outcome;
}

void GuestProcessor::write_code(u64 address, std::span<const u8> bytes) {
  machine_.memory.write(HostPhysical(address), bytes);
}

u8* GuestProcessor::at(u64 address) {
  return machine_.memory.page(HostPhysical(address)).host + HostPhysical(address).page_offset();
}

}  // namespace bunshin::oracle
