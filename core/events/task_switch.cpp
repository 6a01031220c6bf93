#include "core/events/task_switch.h"

#include <array>
#include <cstring>

#include "core/events/debug.h"
#include "core/events/delivery.h"
#include "core/events/stack.h"
#include "core/virt/intercept.h"

namespace bunshin {

namespace {

/// Where a TSS keeps what (SDM vol. 3, figures 7-2 and 7-10).
struct TssLayout {
  unsigned size;       ///< smallest legal limit + 1
  unsigned width;      ///< of a saved register
  unsigned dynamic;    ///< IP, FLAGS, eight general registers, then the segment selectors: all that is saved
  unsigned selectors;  ///< how many
  unsigned ldt;
  unsigned dynamic_bytes() const { return (10 + selectors) * width; }
};
constexpr TssLayout layout32{0x68, 4, 0x20, 6, 0x60};
constexpr TssLayout layout16{0x2c, 2, 0x0e, 4, 0x2a};

const TssLayout& layout_of(u32 attributes) { return (attributes & 8) != 0 ? layout32 : layout16; }

/// The image of a TSS, long enough for both layouts.
class TssImage {
 public:
  explicit TssImage(const TssLayout& layout) : layout_(layout) {}
  u32 get(unsigned offset, unsigned width) const {
    u32 v = 0;
    std::memcpy(&v, bytes_.data() + offset, width);
    return v;
  }
  void set(unsigned offset, unsigned width, u64 value) { std::memcpy(bytes_.data() + offset, &value, width); }
  u32 reg(unsigned i) const { return get(layout_.dynamic + i * layout_.width, layout_.width); }
  void set_reg(unsigned i, u64 value) { set(layout_.dynamic + i * layout_.width, layout_.width, value); }
  u16 selector(unsigned i) const { return static_cast<u16>(get(layout_.dynamic + (10 + i) * layout_.width, 2)); }
  void set_selector(unsigned i, u16 value) { set(layout_.dynamic + (10 + i) * layout_.width, 2, value); }

  bool read(Cpu& cpu, u64 base, unsigned first, unsigned bytes) {
    for (unsigned done = 0; done < bytes;) {
      const unsigned step = bytes - done < 64 ? bytes - done : 64;
      const u64 linear = static_cast<u32>(base + first + done);
      if (!cpu.read_slow(linear, bytes_.data() + first + done, step, Cpu::Privilege::System)) return false;
      done += step;
    }
    return true;
  }
  /// What is saved fits one access, so it is written whole or not at all.
  bool write_dynamic(Cpu& cpu, u64 base) const {
    return cpu.write_slow(static_cast<u32>(base + layout_.dynamic), bytes_.data() + layout_.dynamic,
                          layout_.dynamic_bytes(), Cpu::Privilege::System);
  }
  const TssLayout& layout() const { return layout_; }

 private:
  const TssLayout& layout_;
  std::array<u8, 0x68> bytes_{};
};

/// Step 9 of SDM vol. 3, 7.3. The upper halves of selector fields keep what they held.
bool save_old_task(Cpu& cpu, const TaskSwitch& request) {
  const CpuState& s = cpu.state;
  TssImage image(layout_of(s.tr.attributes));
  const TssLayout& layout = image.layout();
  if (!image.read(cpu, s.tr.base, layout.dynamic, layout.dynamic_bytes())) return false;
  // A task that IRET ends is not nested any more when it runs again.
  const u64 flags = request.cause == TaskSwitchCause::Return ? request.flags & ~rflags::NT : request.flags;
  image.set_reg(0, request.return_rip);
  image.set_reg(1, flags);
  for (unsigned i = 0; i < 8; ++i) image.set_reg(2 + i, s.gpr[i]);
  for (unsigned i = 0; i < layout.selectors; ++i) image.set_selector(i, s.seg[i].selector);
  return image.write_dynamic(cpu, s.tr.base);
}

/// Busy bits and back link (SDM vol. 3, table 7-2).
bool link_tasks(Cpu& cpu, TaskSwitch& request, const Segment& new_tr) {
  const CpuState& s = cpu.state;
  const bool nested = request.cause == TaskSwitchCause::Call || request.cause == TaskSwitchCause::Interrupt;
  if (nested && !cpu.store_system(static_cast<u32>(new_tr.base), s.tr.selector)) return false;
  if (request.cause != TaskSwitchCause::Return && !set_busy(cpu, request.tss, true)) return false;
  if (nested) return true;
  Descriptor old;
  if (!read_descriptor(cpu, s.tr.selector, old, Vector::TS)) return false;
  return set_busy(cpu, old, false);
}

/// CR3 of a 32-bit TSS. A PAE table with reserved bits set leaves the old page-directory pointers: #GP in the new task.
bool load_page_tables(Cpu& cpu, u32 new_cr3) {
  CpuState& s = cpu.state;
  s.cr3 = new_cr3;
  cpu.mmu.flush_non_global();
  if ((s.cr4 & cr4::PAE) == 0) return true;
  return cpu.mmu.load_pdptes(new_cr3, s.pdpte) || cpu.raise(Vector::GP, 0);
}

/// Steps 10 to 13: registers of the new task; segment registers hold selectors without descriptors yet.
bool load_registers(Cpu& cpu, const TssImage& image, const TaskSwitch& request, const Segment& new_tr) {
  CpuState& s = cpu.state;
  const bool wide = image.layout().width == 4;
  const bool nested = request.cause == TaskSwitchCause::Call || request.cause == TaskSwitchCause::Interrupt;
  s.cr0 |= cr0::TS;
  s.tr = new_tr;
  s.tr.attributes |= 2;
  const bool tables_loaded = !wide || !s.paging() || load_page_tables(cpu, image.get(0x1c, 4));
  constexpr u64 defined = rflags::status | rflags::TF | rflags::IF | rflags::DF | rflags::IOPL | rflags::NT |
                          rflags::RF | rflags::VM | rflags::AC | rflags::VIF | rflags::VIP | rflags::ID;
  s.flags.set_value((image.reg(1) & defined) | (nested ? rflags::NT : 0));
  s.rip = image.reg(0);
  for (unsigned i = 0; i < 8; ++i) s.gpr[i] = wide ? image.reg(2 + i) : image.reg(2 + i) | 0xffff'0000;
  for (unsigned i = 0; i < 6; ++i) {
    load_null_segment(s.seg[i], i < image.layout().selectors ? image.selector(i) : u16{0});
  }
  load_null_segment(s.ldtr, static_cast<u16>(image.get(image.layout().ldt, 2)));
  // Breakpoints of the old task alone end (SDM vol. 3, 17.2.4).
  s.dr[7] &= ~u64{0x155};
  s.cpl = s.v86() ? u8{3} : static_cast<u8>(s.segment(Seg::CS).rpl());
  s.interrupt_shadow = s.debug_shadow = false;
  cpu.update_mode();
  return tables_loaded;
}

bool load_task_ldt(Cpu& cpu) {
  const u16 selector = cpu.state.ldtr.selector;
  if (is_null_selector(selector)) return true;
  if ((selector & 4) != 0) return cpu.raise(Vector::TS, selector_code(selector));
  Descriptor d;
  if (!read_descriptor(cpu, selector, d, Vector::TS)) return false;
  if (!d.is_system() || d.system_type() != SystemType::Ldt || !d.present()) {
    return cpu.raise(Vector::TS, selector_code(selector));
  }
  cpu.state.ldtr = d.segment(selector);
  return true;
}

bool load_task_code(Cpu& cpu) {
  CpuState& s = cpu.state;
  const u16 selector = s.segment(Seg::CS).selector;
  if (is_null_selector(selector)) return cpu.raise(Vector::TS, selector_code(selector));
  Descriptor d;
  if (!read_descriptor(cpu, selector, d, Vector::TS)) return false;
  const bool privilege = d.is_conforming() ? d.dpl() <= s.cpl : d.dpl() == s.cpl;
  if (!d.is_code() || !privilege) return cpu.raise(Vector::TS, selector_code(selector));
  if (!d.present()) return cpu.raise(Vector::NP, selector_code(selector));
  if (!set_accessed(cpu, d)) return false;
  s.segment(Seg::CS) = d.segment(selector);
  return true;
}

bool load_task_stack(Cpu& cpu) {
  CpuState& s = cpu.state;
  const u16 selector = s.segment(Seg::SS).selector;
  if (is_null_selector(selector)) return cpu.raise(Vector::TS, selector_code(selector));
  Segment ss;
  if (!fetch_stack_segment(cpu, selector, s.cpl, Vector::TS, ss)) return false;
  s.segment(Seg::SS) = ss;
  return true;
}

bool load_task_data(Cpu& cpu, Seg seg) {
  CpuState& s = cpu.state;
  const u16 selector = s.segment(seg).selector;
  if (is_null_selector(selector)) return true;
  Descriptor d;
  if (!read_descriptor(cpu, selector, d, Vector::TS) || !check_data_segment(cpu, selector, d, s.cpl, Vector::TS) ||
      !set_accessed(cpu, d)) {
    return false;
  }
  s.segment(seg) = d.segment(selector);
  return true;
}

/// Step 14 and what follows: descriptors are qualified in the context of the new task.
bool load_segments(Cpu& cpu) {
  CpuState& s = cpu.state;
  if (!load_task_ldt(cpu)) return false;
  if (s.v86()) {
    for (unsigned i = 0; i < 6; ++i) load_8086_segment(s, static_cast<Seg>(i), s.seg[i].selector);
    return true;
  }
  if (!load_task_code(cpu) || !load_task_stack(cpu)) return false;
  for (const Seg seg : {Seg::ES, Seg::DS, Seg::FS, Seg::GS}) {
    if (!load_task_data(cpu, seg)) return false;
  }
  return true;
}

bool begin_new_task(Cpu& cpu, const TaskSwitch& request, bool trap, unsigned width) {
  CpuState& s = cpu.state;
  const bool loaded = load_segments(cpu);
  cpu.update_mode();
  if (!loaded || !check_target(cpu, s.segment(Seg::CS), s.rip)) return false;
  if (request.error_code) {
    Stack stack(cpu);
    if (!stack.push(width, *request.error_code)) return false;
    stack.commit();
  }
  if (trap) s.pending_debug |= dr6::BT;
  return true;
}

}  // namespace

bool read_available_tss(Cpu& cpu, u16 selector, Descriptor& d) {
  if (is_null_selector(selector) || (selector & 4) != 0) return cpu.raise(Vector::GP, selector_code(selector));
  if (!read_descriptor(cpu, selector, d, Vector::GP)) return false;
  const SystemType type = d.system_type();
  if (!d.is_system() || (type != SystemType::Tss && type != SystemType::Tss16)) {
    return cpu.raise(Vector::GP, selector_code(selector));
  }
  return d.present() || cpu.raise(Vector::NP, selector_code(selector));
}

namespace {

/// A guest's task switches always leave it under VMX, and may under SVM: behind the checks of the descriptor, before those of
/// the two TSS (SDM vol. 3, 25.4.2).
bool intercepted_switch(Cpu& cpu, const TaskSwitch& request) {
  if (cpu.guest == nullptr) return false;
  return cpu.guest->intercepts_task_switch({request.selector, request.cause, request.error_code});
}

}  // namespace

TaskSwitchResult switch_task(Cpu& cpu, TaskSwitch& request) {
  if (intercepted_switch(cpu, request)) return TaskSwitchResult::Refused;
  const Segment new_tr = request.tss.segment(request.selector);
  TssImage image(layout_of(new_tr.attributes));
  const TssLayout& layout = image.layout();
  if (new_tr.limit < layout.size - 1) {
    cpu.raise(Vector::TS, selector_code(request.selector));
    return TaskSwitchResult::Refused;
  }
  const Segment& old_tr = cpu.state.tr;
  if (old_tr.is_null() || old_tr.limit < layout_of(old_tr.attributes).size - 1) {
    cpu.raise(Vector::TS, selector_code(old_tr.selector));
    return TaskSwitchResult::Refused;
  }
  if (!image.read(cpu, new_tr.base, 0, layout.size) || !save_old_task(cpu, request) ||
      !link_tasks(cpu, request, new_tr)) {
    return TaskSwitchResult::Refused;
  }
  const bool trap = layout.width == 4 && (image.get(0x64, 2) & 1) != 0;
  if (!load_registers(cpu, image, request, new_tr) || !begin_new_task(cpu, request, trap, layout.width)) {
    return TaskSwitchResult::FaultInNewTask;
  }
  return TaskSwitchResult::Done;
}

bool complete_task_switch(Cpu& cpu, TaskSwitch& request) {
  const TaskSwitchResult result = switch_task(cpu, request);
  if (result == TaskSwitchResult::FaultInNewTask) deliver_exception(cpu, Fault(cpu.fault));
  return result != TaskSwitchResult::Refused;
}

}  // namespace bunshin
