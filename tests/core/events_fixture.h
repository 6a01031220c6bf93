#pragma once

// A core with descriptor tables in memory, paging off: what events and far transfers are tested on.

#include "core/events/delivery.h"
#include "core/events/far_transfer.h"
#include "core/events/instructions.h"
#include "core/events/segmentation.h"
#include "system_fixture.h"

namespace bunshin {

/// Attributes as in Segment::attributes.
namespace kind {
inline constexpr u32 code32 = 0xc09b, data32 = 0xc093, code64 = 0xa09b, code16 = 0x009b, data16 = 0x0093;
inline constexpr u32 tss32 = 0x0089, tss16 = 0x0081, ldt = 0x0082;
inline constexpr u32 dpl3 = 0x60, dpl1 = 0x20, conforming = 4, not_accessed = 1;
}  // namespace kind

inline u64 make_descriptor(u64 base, u32 limit, u32 attributes) {
  return (limit & 0xffff) | (base & 0xffffff) << 16 | u64{attributes & 0xf0ff} << 40 | u64{limit & 0xf0000} << 32 |
         (base & 0xff000000) << 32;
}

inline u64 make_gate(u16 selector, u32 offset, u32 type, unsigned dpl, unsigned parameters = 0, bool present = true) {
  return (offset & 0xffff) | u64{selector} << 16 | u64{parameters} << 32 | u64{type} << 40 | u64{dpl} << 45 |
         u64{present} << 47 | u64{offset & 0xffff0000} << 32;
}

inline Record record_of(unsigned operand_bytes) {
  Record r;
  r.prefixes = static_cast<u8>(operand_bytes == 2 ? 1 : operand_bytes == 4 ? 2 : 3);
  return r;
}

struct EventMachine : TestCore {
  static constexpr u64 gdt = 0x2000, idt = 0x3000, tss = 0x4000, ldt = 0x4800, other_tss = 0x5000, handler = 0x6000,
                       kernel_stack = 0x9000, user_stack = 0xb000;
  static constexpr u16 kernel_code = 0x08, kernel_data = 0x10, user_code = 0x1b, user_data = 0x23, task = 0x28,
                       other_task = 0x38, spare = 0x48, second_spare = 0x58, local_table = 0x68;

  explicit EventMachine(CpuProfile cpu_profile = resolved_profile()) : TestCore(std::move(cpu_profile)) {
    CpuState& s = cpu.state;
    s.gdtr = {gdt, 0xff};
    s.idtr = {idt, 0x7ff};
    set_descriptor(kernel_code, make_descriptor(0, 0xfffff, kind::code32));
    set_descriptor(kernel_data, make_descriptor(0, 0xfffff, kind::data32));
    set_descriptor(user_code, make_descriptor(0, 0xfffff, kind::code32 | kind::dpl3));
    set_descriptor(user_data, make_descriptor(0, 0xfffff, kind::data32 | kind::dpl3));
    set_descriptor(task, make_descriptor(tss, 0x67, kind::tss32));
    set_descriptor(other_task, make_descriptor(other_tss, 0x67, kind::tss32));
    poke32(tss + 4, kernel_stack);
    poke32(tss + 8, kernel_data);
  }

  void poke32(u64 address, u32 value) {
    ASSERT_TRUE(memory.write(HostPhysical(address), {reinterpret_cast<const u8*>(&value), 4}));
  }
  void poke16(u64 address, u16 value) {
    ASSERT_TRUE(memory.write(HostPhysical(address), {reinterpret_cast<const u8*>(&value), 2}));
  }
  template <class T = u32>
  T peek(u64 address) const {
    T value = 0;
    EXPECT_TRUE(memory.read(HostPhysical(address), {reinterpret_cast<u8*>(&value), sizeof value}));
    return value;
  }
  void set_descriptor(u16 selector, u64 value) { poke(gdt + (selector & 0xfff8u), value); }
  u64 descriptor(u16 selector) const { return peek<u64>(gdt + (selector & 0xfff8u)); }
  void set_gate(u8 vector, u64 value) { poke(idt + vector * 8u, value); }
  void set_gate64(u8 vector, u16 selector, u64 offset, u32 type, unsigned dpl, unsigned ist = 0) {
    poke(idt + vector * 16u, make_gate(selector, static_cast<u32>(offset), type, dpl, ist));
    poke(idt + vector * 16u + 8, offset >> 32);
  }
  Segment segment_from_table(u16 selector) const {
    Descriptor d;
    d.low = descriptor(selector);
    return d.segment(selector);
  }

  /// Flat 32-bit protected mode at `cpl`, TR loaded.
  void enter_protected(unsigned cpl = 0) {
    CpuState& s = cpu.state;
    s.cr0 = cr0::PE | cr0::ET;
    s.flags.set_value(2);
    use_level(cpl);
    s.tr = segment_from_table(task);
    s.tr.attributes |= 2;
    poke(gdt + task, descriptor(task) | u64{2} << 40);
    s.gpr[RSP] = cpl == 3 ? user_stack : kernel_stack;
    s.rip = 0x1000;
    cpu.update_mode();
  }
  /// The same in 64-bit mode, for event delivery: IDT of 16-byte gates, 64-bit code, paging off below it (a state that
  /// only the simulator can have, and in which linear addresses are physical).
  void enter_long(unsigned cpl = 0) {
    set_descriptor(kernel_code, make_descriptor(0, 0xfffff, kind::code64));
    set_descriptor(user_code, make_descriptor(0, 0xfffff, kind::code64 | kind::dpl3));
    cpu.state.idtr = {idt, 0xfff};
    cpu.state.msr.efer |= efer::LME | efer::LMA | efer::SCE;
    enter_protected(cpl);
    poke(tss + 4, kernel_stack);
  }
  void use_level(unsigned cpl) {
    CpuState& s = cpu.state;
    s.cpl = static_cast<u8>(cpl);
    s.segment(Seg::CS) = segment_from_table(cpl == 3 ? user_code : kernel_code);
    for (const Seg seg : {Seg::SS, Seg::DS, Seg::ES, Seg::FS, Seg::GS}) {
      s.segment(seg) = segment_from_table(cpl == 3 ? user_data : kernel_data);
    }
  }
  void enter_v86(unsigned iopl) {
    enter_protected(3);
    CpuState& s = cpu.state;
    s.flags.system |= rflags::VM | u64{iopl} << 12;
    for (unsigned i = 0; i < 6; ++i) load_8086_segment(s, static_cast<Seg>(i), static_cast<u16>(0x100 * (i + 1)));
    s.gpr[RSP] = 0x800;
    s.rip = 0x10;
    cpu.update_mode();
  }

  u16 selector(Seg seg) const { return cpu.state.segment(seg).selector; }
  /// The `n`th 4-byte word on the stack.
  u32 stacked(unsigned n) const { return peek(cpu.state.gpr[RSP] + 4 * n); }
  u64 stacked64(unsigned n) const { return peek<u64>(cpu.state.gpr[RSP] + 8 * n); }
  void expect_fault(bool completed, Vector vector, u32 error_code) {
    EXPECT_FALSE(completed);
    ASSERT_EQ(cpu.leave, Leave::Fault);
    EXPECT_EQ(cpu.fault.vector, vector);
    EXPECT_EQ(cpu.fault.error_code, error_code);
    clear();
  }
};

}  // namespace bunshin
