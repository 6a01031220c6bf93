// Instructions and exceptions that cause VM exits (SDM vol. 3, 25.1 to 25.3), control registers, I/O and MSRs apart.

#include "core/events/debug.h"
#include "core/system/semantics.h"
#include "core/virt/vmx/vmx.h"

namespace bunshin::vmx {
namespace {

enum TableInstruction : u32 { sgdt = 0, sidt = 1, lgdt = 2, lidt = 3 };
enum SelectorInstruction : u32 { sldt = 0, str = 1, lldt = 2, ltr = 3 };

}  // namespace

bool Vmx::exits(const Record& r, Reason reason, u64 qualification) {
  return exit_with({.reason = reason, .qualification = qualification, .instruction_length = r.length});
}

/// 25.1.3 "PAUSE" and 25.4 "PAUSE-loop exiting".
bool Vmx::intercepts_pause(const Record& r) {
  if (c_.has(primary::pause)) return exits(r, Reason::Pause);
  if (!c_.also(secondary::pause_loop) || cpu_.state.cpl != 0) return false;
  const u64 now = cpu_.host_tsc();
  const bool first = now - last_pause_ > c_.ple_gap || first_pause_ == 0;
  last_pause_ = now;
  if (first) first_pause_ = now;
  if (first || now - first_pause_ <= c_.ple_window) return false;
  first_pause_ = 0;
  return exits(r, Reason::Pause);
}

bool Vmx::intercepts(const Record& r, Intercept what, u64 detail) {
  const auto table = [&](u32 instruction) {
    return c_.also(secondary::descriptor_tables) &&
           exit_with({.reason = Reason::GdtrOrIdtr,
                      .qualification = displacement(cpu_, r),
                      .instruction_length = r.length,
                      .instruction_information = table_information(r, cpu_, instruction)});
  };
  const auto selector = [&](u32 instruction) {
    return c_.also(secondary::descriptor_tables) &&
           exit_with({.reason = Reason::LdtrOrTr,
                      .qualification = displacement(cpu_, r),
                      .instruction_length = r.length,
                      .instruction_information = selector_information(r, instruction)});
  };
  const auto random = [&](u32 control, Reason reason) {
    return c_.also(control) &&
           exit_with(
               {.reason = reason, .instruction_length = r.length, .instruction_information = random_information(r)});
  };
  switch (what) {
    case Intercept::Clts:
      if ((c_.cr0_mask & c_.cr0_shadow & cr0::TS) == 0) return false;
      return exits(r, Reason::ControlRegister, 2u << 4);
    case Intercept::Cpuid: return exits(r, Reason::Cpuid);
    case Intercept::Hlt: return c_.has(primary::hlt) && exits(r, Reason::Hlt);
    case Intercept::Icebp:
    case Intercept::IntN:
    case Intercept::Iret:
    case Intercept::Popf:
    case Intercept::Pushf: return false;
    case Intercept::Invd: return exits(r, Reason::Invd);
    case Intercept::Invlpg: return c_.has(primary::invlpg) && exits(r, Reason::Invlpg, detail);
    case Intercept::Invpcid:
      return c_.has(primary::invlpg) && exit_with({.reason = Reason::Invpcid,
                                                   .qualification = displacement(cpu_, r),
                                                   .instruction_length = r.length,
                                                   .instruction_information = invalidation_information(r)});
    case Intercept::Io: return intercepts_io(r, IoDetail::unpacked(detail));
    case Intercept::Sgdt: return table(sgdt);
    case Intercept::Sidt: return table(sidt);
    case Intercept::Lgdt: return table(lgdt);
    case Intercept::Lidt: return table(lidt);
    case Intercept::Sldt: return selector(sldt);
    case Intercept::Str: return selector(str);
    case Intercept::Lldt: return selector(lldt);
    case Intercept::Ltr: return selector(ltr);
    case Intercept::Lmsw: return intercepts_lmsw(r, detail);
    case Intercept::Smsw: return false;
    case Intercept::Monitor: return c_.has(primary::monitor) && exits(r, Reason::Monitor);
    case Intercept::Mwait: return c_.has(primary::mwait) && exits(r, Reason::Mwait, detail);
    case Intercept::Pause: return intercepts_pause(r);
    case Intercept::Rdmsr: return intercepts_msr(r, static_cast<u32>(detail), false);
    case Intercept::Wrmsr: return intercepts_msr(r, static_cast<u32>(detail), true);
    case Intercept::Rdpmc: return c_.has(primary::rdpmc) && exits(r, Reason::Rdpmc);
    case Intercept::Rdrand: return random(secondary::rdrand, Reason::Rdrand);
    case Intercept::Rdseed: return random(secondary::rdseed, Reason::Rdseed);
    case Intercept::Rdtsc: return c_.has(primary::rdtsc) && exits(r, Reason::Rdtsc);
    case Intercept::Rdtscp: return c_.has(primary::rdtsc) && exits(r, Reason::Rdtscp);
    case Intercept::ReadCr: return intercepts_control_register_read(r);
    case Intercept::WriteCr: return intercepts_control_register_write(r, detail);
    case Intercept::ReadDr:
    case Intercept::WriteDr: {
      constexpr u64 from_register = 1u << 4;
      const u64 direction = what == Intercept::ReadDr ? from_register : 0;
      return c_.has(primary::mov_dr) &&
             exits(r, Reason::DebugRegister, detail | direction | u64{register_number(r.rm)} << 8);
    }
    case Intercept::Wbinvd: return c_.also(secondary::wbinvd) && exits(r, Reason::Wbinvd);
    case Intercept::Xsetbv: return exits(r, Reason::Xsetbv);
    default: return false;
  }
}

/// 25.3: what secondary controls must enable.
bool Vmx::has(Intercept what) const {
  switch (what) {
    case Intercept::Rdtscp: return c_.also(secondary::rdtscp);
    case Intercept::Invpcid: return c_.also(secondary::invpcid);
    default: return true;
  }
}

/// 25.4.2. The causes are numbered as in the qualification (table 27-2).
bool Vmx::intercepts_task_switch(const TaskSwitchDetail& detail) {
  return exit_with(
      {.reason = Reason::TaskSwitch, .qualification = detail.selector | static_cast<u64>(detail.cause) << 30});
}

/// 25.2 "Exceptions", and the qualification of 27.2.1.
bool Vmx::intercepts_exception(const Event& event) {
  if (event.kind == EventKind::SoftwareInterrupt || event.vector > 31) return false;
  bool exiting = (c_.exception_bitmap >> event.vector & 1) != 0;
  if (event.vector == static_cast<u8>(Vector::PF)) {
    const bool matches = (event.error_code & c_.page_fault_mask) == c_.page_fault_match;
    if (!matches) exiting = !exiting;
  }
  if (!exiting) return false;
  ExitInformation exit{.reason = Reason::ExceptionOrNmi,
                       .instruction_length = event.instruction_length,
                       .interruption = interruption_information(event),
                       .error_code = event.error_code};
  if (event.vector == static_cast<u8>(Vector::PF)) exit.qualification = event.linear;
  if (event.vector == static_cast<u8>(Vector::DB) && !event.by_instruction()) {
    exit.qualification = cpu_.state.pending_debug & (dr6::breakpoints | dr6::BD | dr6::BS);
  }
  exit.sets_rf = (event.flags & rflags::RF) != 0;
  pending_ = exit;
  return true;
}

bool Vmx::intercepts_shutdown() {
  pending_ = ExitInformation{.reason = Reason::TripleFault};
  return true;
}

}  // namespace bunshin::vmx
