#include "tests/core/oracle_guest.h"

#include "core/sse/host_mxcsr.h"

namespace bunshin::oracle {

namespace {

/// Linux's selectors, so that MOV from segment registers reads what it reads on the host.
constexpr u16 kernel_code = 0x10, user_code = 0x33, user_stack = 0x2b;
constexpr u64 page_tables = 0x10'0000;

}  // namespace

GuestProcessor::GuestProcessor(std::string vendor) : machine_(resolved_profile(std::move(vendor))) {
  machine_.enter_long(code_begin);
  build_tables();
  CpuState& s = machine_.state();
  s.cr4 |= cr4::OSXMMEXCPT;
  s.cr0 |= cr0::NE | cr0::MP | cr0::WP;
  s.gdtr = {kernel + gdt, 0xff};
  s.idtr = {kernel + idt, 0x1ff};
  s.tr = {0x40, 0xb | Segment::present, 0x67, kernel + tss};
  enter_user();
}

void GuestProcessor::build_tables() {
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
  m.poke<u64>(gdt + kernel_code, 0x00af9b000000ffff);
  for (u64 vector = 0; vector < 32; ++vector) {
    const u64 handler = kernel + handlers + vector * 16;
    m.poke<u64>(idt + vector * 16,
                (handler & 0xffff) | u64{kernel_code} << 16 | u64{0x8e00} << 32 | (handler >> 16 & 0xffff) << 48);
    m.poke<u64>(idt + vector * 16 + 8, handler >> 32);
  }
  m.poke<u64>(tss + 4, kernel + kernel_stack);
}

void GuestProcessor::enter_user() {
  CpuState& s = machine_.state();
  constexpr u32 flat = Segment::code_or_data | Segment::present | Segment::granularity | 3 << 5;
  s.segment(Seg::CS) = {user_code, flat | Segment::long_mode | 0xb, 0xffffffff, 0};
  s.segment(Seg::SS) = {user_stack, flat | Segment::big | 3, 0xffffffff, 0};
  for (const Seg seg : {Seg::DS, Seg::ES, Seg::FS, Seg::GS}) s.segment(seg) = {0, Segment::null, 0, 0};
  s.cpl = 3;
  machine_.processor.state_changed();
}

void GuestProcessor::load(const Registers& registers) {
  CpuState& s = machine_.state();
  std::copy(registers.gpr.begin(), registers.gpr.end(), s.gpr.begin());
  s.flags.set_value(registers.flags | rflags::fixed | rflags::IF);
  const FxImage& fx = registers.fx;
  for (unsigned i = 0; i < 16; ++i) std::memcpy(s.xmm[i].bytes.data(), fx.bytes.data() + FxImage::xmm0 + i * 16, 16);
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
  if (s.cpl != 3) enter_user();
  load(registers);
  s.rip = rip;
  machine_.processor.run(machine_.processor.cycles() + 1);
  Outcome outcome;
  outcome.registers = store();
  outcome.rip = s.rip;
  if (s.cpl == 3) return outcome;
  const u64 vector = (s.rip - kernel - handlers) / 16;
  // The frame: error code if the vector has one, RIP, CS, RFLAGS, RSP, SS.
  const u64 frame = kernel_stack - 40;
  const bool has_code = s.gpr[RSP] != kernel + frame;
  outcome.trap = Trap{static_cast<u8>(vector), has_code ? machine_.peek<u64>(frame - 8) : 0, s.cr2};
  outcome.rip = machine_.peek<u64>(frame);
  outcome.registers.flags = machine_.peek<u64>(frame + 16);
  outcome.registers.gpr[RSP] = machine_.peek<u64>(frame + 24);
  return outcome;
}

void GuestProcessor::write_code(u64 address, std::span<const u8> bytes) {
  machine_.memory.write(HostPhysical(address), bytes);
}

u8* GuestProcessor::at(u64 address) {
  return machine_.memory.page(HostPhysical(address)).host + HostPhysical(address).page_offset();
}

}  // namespace bunshin::oracle
