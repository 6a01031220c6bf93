// Exits for hardware task switches (SDM vol. 3, ch. 8; APM vol. 2, ch. 12). VT-x leaves a guest for every one; AMD-V is asked
// to where a shadow is walked, because the incoming task brings a CR3 that no other intercept sees. The hypervisor then does
// what the processor would have done.

#include <array>

#include "vmm-model/guest.h"
#include "vmm-model/segment_descriptor.h"

namespace bunshin::vmm {

namespace {

constexpr unsigned cr3_at = 0x1c, trap_at = 0x64, general_registers = 8;

constexpr u16 null_mask = 0xfffc, local_table = 4, system_type = 0xf | segment::S, busy = 2;
constexpr u64 nested_task = 1 << 14;
constexpr u64 flags_of_task = 0x3f'7fd5;  // all that are defined (SDM vol. 1, figure 3-8)
constexpr u64 task_breakpoints = 0x155;   // local enables and LE of DR7 (SDM vol. 3, 18.2.4)
constexpr u64 dr6_task = 1 << 15;

bool is_null(u16 selector) { return (selector & null_mask) == 0; }

class Switch {
 public:
  Switch(Guest& guest, const Exit& exit, u64 return_rip)
      : guest_(guest),
        execution_(guest.execution()),
        exit_(exit.task),
        external_(exit.interrupted && exit.interrupted.kind != Event::Kind::Software ? 1 : 0),
        return_rip_(return_rip) {}

  /// What is wrong has been injected, into the old task or the new.
  void run();

 private:
  bool fault(u8 vector, u16 selector) {
    guest_.inject(Event::exception(vector, (selector & null_mask) | external_));
    return false;
  }
  bool nested() const { return exit_.cause == TaskSwitchCause::Call || exit_.cause == TaskSwitchCause::Gate; }
  /// Memory as the processor itself uses it, without regard to CPL.
  bool read(u64 linear, unsigned size, u64& value) {
    return guest_.access_system(linear & 0xffff'ffff, size, false, value);
  }
  bool write(u64 linear, unsigned size, u64 value) {
    return guest_.access_system(linear & 0xffff'ffff, size, true, value);
  }
  bool read_descriptor(u16 selector, u8 on_error, SegmentDescriptor& d);
  bool set_busy(SegmentDescriptor& d, bool wanted);
  bool mark_accessed(SegmentDescriptor& d);
  bool read_new_task();
  bool save_old_task(const TaskLayout& layout, u64 base);
  bool link();
  bool load_registers();
  bool load_segments();
  bool load_8086_segments();
  bool load_ldt();
  bool load_code();
  bool load_stack();
  bool load_data(SegmentName name, u16 selector);
  bool push_error_code();
  u16 selector_of(SegmentName name) const { return selectors_[static_cast<unsigned>(name)]; }

  Guest& guest_;
  GuestExecution& execution_;
  const TaskSwitchExit& exit_;
  const u32 external_;  ///< EXT of an error code (SDM vol. 3, 6.13)
  const u64 return_rip_;
  SegmentDescriptor tss_;
  SegmentState old_tr_, new_tr_;
  const TaskLayout* layout_ = &wide_layout;
  std::array<u64, 2 + general_registers> registers_{};
  std::array<u16, 6> selectors_{};
  u64 ldt_ = 0, cr3_ = 0, trap_ = 0;
};

bool Switch::read_descriptor(u16 selector, u8 on_error, SegmentDescriptor& d) {
  const SegmentState table = execution_.segment((selector & local_table) != 0 ? SegmentName::ldtr : SegmentName::gdtr);
  const bool no_table = (selector & local_table) != 0 && (table.attributes & segment::P) == 0;
  if (no_table || (selector | 7u) > table.limit) return fault(on_error, selector);
  d.address = table.base + (selector & ~u64{7});
  return read(d.address, 8, d.bits);
}

bool Switch::set_busy(SegmentDescriptor& d, bool wanted) {
  constexpr u64 bit = u64{busy} << 40;
  d.bits = wanted ? d.bits | bit : d.bits & ~bit;
  return write(d.address + 5, 1, d.bits >> 40 & 0xff);
}

bool Switch::mark_accessed(SegmentDescriptor& d) {
  constexpr u64 accessed = u64{1} << 40;
  if ((d.bits & accessed) != 0) return true;
  d.bits |= accessed;
  return write(d.address + 5, 1, d.bits >> 40 & 0xff);
}

bool Switch::read_new_task() {
  const u64 base = new_tr_.base;
  const unsigned width = layout_->width;
  for (unsigned i = 0; i < registers_.size(); ++i) {
    if (!read(base + layout_->dynamic + i * width, width, registers_[i])) return false;
  }
  for (unsigned i = 0; i < layout_->selectors; ++i) {
    u64 value = 0;
    if (!read(base + layout_->dynamic + (registers_.size() + i) * width, 2, value)) return false;
    selectors_[i] = static_cast<u16>(value);
  }
  if (!read(base + layout_->ldt, 2, ldt_)) return false;
  return width == 2 || (read(base + cr3_at, 4, cr3_) && read(base + trap_at, 2, trap_));
}

bool Switch::save_old_task(const TaskLayout& layout, u64 base) {
  const unsigned width = layout.width;
  u64 flags = execution_.get(StateField::rflags);
  if (exit_.cause == TaskSwitchCause::Return) flags &= ~nested_task;  // it is not nested when it runs again
  const auto put = [&](unsigned index, unsigned size, u64 value) {
    return write(base + layout.dynamic + index * width, size, value);
  };
  bool good = put(0, width, return_rip_) && put(1, width, flags);
  for (unsigned i = 0; good && i < general_registers; ++i) good = put(2 + i, width, execution_.registers[i]);
  for (unsigned i = 0; good && i < layout.selectors; ++i) {
    good = put(2 + general_registers + i, 2, execution_.segment(static_cast<SegmentName>(i)).selector);
  }
  return good;
}

/// Busy bits and back link (SDM vol. 3, table 8-2).
bool Switch::link() {
  if (nested() && !write(new_tr_.base, 2, old_tr_.selector)) return false;
  if (exit_.cause != TaskSwitchCause::Return && !set_busy(tss_, true)) return false;
  if (nested()) return true;
  SegmentDescriptor old;
  return read_descriptor(old_tr_.selector, vector::TS, old) && set_busy(old, false);
}

bool Switch::load_registers() {
  const bool wide = layout_->width == 4;
  execution_.set(StateField::cr0, execution_.get(StateField::cr0) | cr0::TS);
  new_tr_.attributes |= busy;
  execution_.set_segment(SegmentName::tr, new_tr_);
  const u64 nt = nested() ? nested_task : 0;
  execution_.set(StateField::rip, registers_[0]);
  execution_.set(StateField::rflags, (registers_[1] & flags_of_task) | rflags::fixed | nt);
  for (unsigned i = 0; i < general_registers; ++i) {
    execution_.registers[i] = wide ? registers_[2 + i] : registers_[2 + i] | 0xffff'0000;
  }
  for (unsigned i = 0; i < selectors_.size(); ++i) {
    execution_.set_segment(static_cast<SegmentName>(i), {selectors_[i], 0, 0, 0});
  }
  execution_.set_segment(SegmentName::ldtr, {static_cast<u16>(ldt_), 0, 0, 0});
  execution_.set(StateField::dr7, execution_.get(StateField::dr7) & ~task_breakpoints);
  execution_.set(StateField::interrupt_shadow, 0);
  const bool v86 = (registers_[1] & rflags::VM) != 0 && wide;
  execution_.set(StateField::cpl, v86 ? 3 : selector_of(SegmentName::cs) & 3u);
  if (!wide || (execution_.get(StateField::cr0) & cr0::PG) == 0) return true;
  execution_.set(StateField::cr3, cr3_);
  execution_.flush_translations();
  if (guest_.paging().root_written()) return true;
  guest_.fail("no memory for its tables", {});
  return false;
}

bool Switch::load_ldt() {
  const u16 selector = static_cast<u16>(ldt_);
  if (is_null(selector)) return true;
  SegmentDescriptor d;
  if ((selector & local_table) != 0) return fault(vector::TS, selector);
  if (!read_descriptor(selector, vector::TS, d)) return false;
  if (!d.is(system_type, 2) || !d.present()) return fault(vector::TS, selector);
  execution_.set_segment(SegmentName::ldtr, d.state(selector));
  return true;
}

bool Switch::load_code() {
  constexpr u16 code = segment::S | 8, conforming = 4;
  const u16 selector = selector_of(SegmentName::cs);
  const unsigned cpl = selector & 3u;
  SegmentDescriptor d;
  if (is_null(selector)) return fault(vector::TS, selector);
  if (!read_descriptor(selector, vector::TS, d)) return false;
  const bool privilege = (d.attributes() & conforming) != 0 ? d.dpl() <= cpl : d.dpl() == cpl;
  if (!d.is(code, code) || !privilege) return fault(vector::TS, selector);
  if (!d.present()) return fault(vector::NP, selector);
  if (!mark_accessed(d)) return false;
  execution_.set_segment(SegmentName::cs, d.state(selector));
  return true;
}

bool Switch::load_stack() {
  constexpr u16 kind = segment::S | 8 | 2, writable_data = segment::S | 2;
  const u16 selector = selector_of(SegmentName::ss);
  const unsigned cpl = selector_of(SegmentName::cs) & 3u;
  SegmentDescriptor d;
  if (is_null(selector)) return fault(vector::TS, selector);
  if (!read_descriptor(selector, vector::TS, d)) return false;
  if ((selector & 3u) != cpl || !d.is(kind, writable_data) || d.dpl() != cpl) return fault(vector::TS, selector);
  if (!d.present()) return fault(vector::SS, selector);
  if (!mark_accessed(d)) return false;
  execution_.set_segment(SegmentName::ss, d.state(selector));
  return true;
}

bool Switch::load_data(SegmentName name, u16 selector) {
  constexpr u16 code = 8, readable = 2, conforming = 4;
  if (is_null(selector)) return true;
  const unsigned cpl = selector_of(SegmentName::cs) & 3u, rpl = selector & 3u;
  SegmentDescriptor d;
  if (!read_descriptor(selector, vector::TS, d)) return false;
  const u16 attributes = d.attributes();
  const bool can_be_read = (attributes & segment::S) != 0 && ((attributes & code) == 0 || (attributes & readable) != 0);
  const bool any_level = (attributes & (code | conforming)) == (code | conforming);
  if (!can_be_read || (!any_level && (d.dpl() < cpl || d.dpl() < rpl))) return fault(vector::TS, selector);
  if (!d.present()) return fault(vector::NP, selector);
  if (!mark_accessed(d)) return false;
  execution_.set_segment(name, d.state(selector));
  return true;
}

bool Switch::load_8086_segments() {
  constexpr u16 data = 0xf3;
  for (unsigned i = 0; i < selectors_.size(); ++i) {
    execution_.set_segment(static_cast<SegmentName>(i), {selectors_[i], data, 0xffff, u64{selectors_[i]} << 4});
  }
  return true;
}

/// Descriptors are qualified in the context of the new task (SDM vol. 3, 8.3).
bool Switch::load_segments() {
  if (!load_ldt()) return false;
  if (layout_->width == 4 && (registers_[1] & rflags::VM) != 0) return load_8086_segments();
  if (!load_code() || !load_stack()) return false;
  for (const SegmentName name : {SegmentName::es, SegmentName::ds, SegmentName::fs, SegmentName::gs}) {
    if (!load_data(name, selector_of(name))) return false;
  }
  const SegmentState cs = execution_.segment(SegmentName::cs);
  return registers_[0] <= cs.limit || fault(vector::GP, 0);
}

bool Switch::push_error_code() {
  if (!exit_.has_error_code) return true;
  const SegmentState ss = execution_.segment(SegmentName::ss);
  const bool big = (ss.attributes & segment::DB) != 0;
  u64& rsp_now = execution_.registers[rsp];
  const u64 mask = big ? 0xffff'ffff : 0xffff;
  const u64 at = (rsp_now - layout_->width) & mask;
  if (!write(ss.base + at, layout_->width, exit_.error_code)) return false;
  rsp_now = (rsp_now & ~mask) | at;
  return true;
}

void Switch::run() {
  old_tr_ = execution_.segment(SegmentName::tr);
  if ((exit_.selector & local_table) != 0 || !read_descriptor(exit_.selector, vector::GP, tss_)) return;
  new_tr_ = tss_.state(exit_.selector);
  layout_ = &layout_of(new_tr_.attributes);
  // The processor has looked at the descriptor before the exit; the guest's memory may have changed since.
  constexpr u16 kind = segment::S | 5, available = 1;
  if (!tss_.is(kind, available) || !tss_.present() || new_tr_.limit < layout_->bytes - 1) {
    fault(vector::TS, exit_.selector);
    return;
  }
  const TaskLayout& old_layout = layout_of(old_tr_.attributes);
  if (old_tr_.limit < old_layout.bytes - 1) {
    fault(vector::TS, old_tr_.selector);
    return;
  }
  if (!read_new_task() || !save_old_task(old_layout, old_tr_.base) || !link()) return;
  if (!load_registers() || !load_segments() || !push_error_code()) return;
  if ((trap_ & 1) == 0) return;
  if (const Event trap = execution_.debug_trap(dr6_task)) guest_.inject(trap);
}

/// Where the old task goes on: behind an instruction that has asked for the switch, at one that has faulted.
bool return_address(Guest& guest, const Exit& exit, u64& rip) {
  rip = guest.execution().get(StateField::rip);
  const Event& event = exit.interrupted;
  const bool by_trap =
      event.kind == Event::Kind::Exception && (event.vector == vector::BP || event.vector == vector::OF);
  const bool by_instruction = !event || event.kind == Event::Kind::Software || by_trap;
  if (!by_instruction) return true;
  u64 length = exit.length;
  if (length == 0) {
    Instruction instruction;
    bool fault = false;
    if (!guest.fetch(instruction, fault)) {
      if (!fault) guest.fail("cannot tell the length of the instruction that switches tasks", exit);
      return false;
    }
    length = instruction.length;
  }
  rip += length;
  return true;
}

}  // namespace

void handle_task_switch(Guest& guest, const Exit& exit) {
  u64 rip = 0;
  if (!return_address(guest, exit, rip)) return;
  guest.forget_interrupted_event();
  Switch(guest, exit, rip & 0xffff'ffff).run();
}

}  // namespace bunshin::vmm
