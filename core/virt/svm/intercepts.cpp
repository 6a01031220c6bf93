// What leaves the guest (AMD APM vol. 2, 15.9 to 15.14): every question that an instruction or an event asks, answered by the
// VMCB's intercept bits, and the EXITINFO of each exit.

#include <array>

#include "core/engine/dispatch.h"
#include "core/events/debug.h"
#include "core/virt/svm/permission_map.h"
#include "core/virt/svm/svm.h"

namespace bunshin::svm {

bool Svm::intercepted(ExitCode code) const {
  const u64 bit = static_cast<u64>(code);
  return (vmcb_.control.intercepts[bit / 32] >> (bit % 32) & 1) != 0;
}

bool Svm::raise_exit(const ExitReason& reason) {
  pending_exit_ = reason;
  static_cast<void>(cpu_.raise(Fault::intercepted()));
  return true;
}

bool Svm::exit_for(const Record& r, ExitCode code, u64 info_1, u64 info_2) {
  const u64 next = next_rip(cpu_, r);
  return raise_exit({code, info_1, info_2, cpu_.mode.bits == 64 ? next : static_cast<u32>(next)});
}

bool Svm::exit_if(const Record& r, ExitCode code, u64 info_1, u64 info_2) {
  return intercepted(code) && exit_for(r, code, info_1, info_2);
}

bool Svm::intercepts_own(const Record& r, ExitCode code) { return running() && exit_if(r, code); }

namespace {

/// Instructions whose intercept is a bit, and that have nothing to tell. What has is told apart in Svm::intercepts().
struct PlainIntercept {
  Intercept what;
  ExitCode code;
};

// clang-format off
constexpr PlainIntercept plain_intercepts[] = {
    {Intercept::Cpuid, ExitCode::Cpuid},    {Intercept::Hlt, ExitCode::Hlt},        {Intercept::Icebp, ExitCode::Icebp},
    {Intercept::Invd, ExitCode::Invd},      {Intercept::Iret, ExitCode::Iret},
    {Intercept::Lgdt, ExitCode::GdtrWrite}, {Intercept::Lidt, ExitCode::IdtrWrite}, {Intercept::Lldt, ExitCode::LdtrWrite},
    {Intercept::Ltr, ExitCode::TrWrite},    {Intercept::Monitor, ExitCode::Monitor}, {Intercept::Popf, ExitCode::Popf},
    {Intercept::Pushf, ExitCode::Pushf},    {Intercept::Rdpmc, ExitCode::Rdpmc},    {Intercept::Rdtsc, ExitCode::Rdtsc},
    {Intercept::Rdtscp, ExitCode::Rdtscp},  {Intercept::Sgdt, ExitCode::GdtrRead},  {Intercept::Sidt, ExitCode::IdtrRead},
    {Intercept::Sldt, ExitCode::LdtrRead},  {Intercept::Str, ExitCode::TrRead},     {Intercept::Wbinvd, ExitCode::Wbinvd},
    {Intercept::Xsetbv, ExitCode::Xsetbv},
};
// clang-format on

constexpr unsigned plain_count = static_cast<unsigned>(Intercept::Xsetbv) + 1;

constexpr auto plain_codes = [] {
  std::array<ExitCode, plain_count> codes{};
  codes.fill(ExitCode::Invalid);
  for (const PlainIntercept& p : plain_intercepts) codes[static_cast<unsigned>(p.what)] = p.code;
  return codes;
}();

}  // namespace

u64 Svm::decode_assist(u64 value) const { return has_feature(Feature::DecodeAssists) ? value : 0; }

bool Svm::intercepts(const Record& r, Intercept what, u64 detail) {
  if (const ExitCode code = plain_codes[static_cast<unsigned>(what)]; code != ExitCode::Invalid)
    return exit_if(r, code);
  switch (what) {
    case Intercept::ReadCr: return intercepts_cr_access(r, ExitCode::ReadCr0);
    case Intercept::WriteCr:
      return r.reg == 0 ? intercepts_cr0_write(r, detail) : intercepts_cr_access(r, ExitCode::WriteCr0);
    case Intercept::Clts: return exit_if(r, ExitCode::WriteCr0);
    case Intercept::Smsw: return exit_if(r, ExitCode::ReadCr0);
    // The selective intercept takes every LMSW, whatever it writes (15.9).
    case Intercept::Lmsw: return exit_if(r, ExitCode::WriteCr0) || exit_if(r, ExitCode::Cr0SelectiveWrite);
    // DR4 and DR5 have codes of their own, aliases or not.
    case Intercept::ReadDr: return exit_if(r, ExitCode::ReadDr0 + r.reg, decode_assist(register_number(r.rm)));
    case Intercept::WriteDr: return exit_if(r, ExitCode::WriteDr0 + r.reg, decode_assist(register_number(r.rm)));
    case Intercept::IntN: return exit_if(r, ExitCode::SoftwareInterrupt, decode_assist(detail));
    case Intercept::Invlpg: return exit_if(r, ExitCode::Invlpg, decode_assist(detail));
    // Whatever else it has, the processor tells of this instruction's operands (15.9).
    case Intercept::Invpcid: return exit_if(r, ExitCode::Invpcid, detail, cpu_.mode_sized_reg(r.reg));
    case Intercept::Io: return intercepts_io(r, IoDetail::unpacked(detail));
    case Intercept::Rdmsr: return intercepts_msr(r, static_cast<u32>(detail), false);
    case Intercept::Wrmsr: return intercepts_msr(r, static_cast<u32>(detail), true);
    case Intercept::Mwait:
      return exit_if(r, ExitCode::Mwait) || ((detail & 1) != 0 && exit_if(r, ExitCode::MwaitArmed));
    case Intercept::Pause: return intercepts_pause(r);
    default: return false;
  }
}

/// Bit 63 tells MOV from the other instructions that access CR0 (15.32.2).
bool Svm::intercepts_cr_access(const Record& r, ExitCode row) {
  constexpr u64 is_move = u64{1} << 63;
  return exit_if(r, row + r.reg, decode_assist(is_move | register_number(r.rm)));
}

/// The selective intercept wants writes that change more than TS and MP, and gets those that the other leaves it.
bool Svm::intercepts_cr0_write(const Record& r, u64 value) {
  if (intercepts_cr_access(r, ExitCode::WriteCr0)) return true;
  const bool changes = ((value ^ cpu_.state.cr0) & ~u64{cr0::TS | cr0::MP | cr0::ET}) != 0;
  return changes && exit_if(r, ExitCode::Cr0SelectiveWrite);
}

/// 15.14.4: exits only when the count runs out; with a threshold a long time between two PAUSEs begins it anew.
bool Svm::intercepts_pause(const Record& r) {
  if (!intercepted(ExitCode::Pause)) return false;
  const u64 now = cpu_.tsc_at(r);
  const u64 elapsed = now - last_pause_;
  last_pause_ = now;
  const u16 threshold = vmcb_.control.pause_filter_threshold;
  if (has_feature(Feature::Pfthreshold) && threshold != 0 && elapsed > threshold)
    pauses_left_ = vmcb_.control.pause_filter_count;
  if (pauses_left_ == 0) return exit_for(r, ExitCode::Pause);
  --pauses_left_;
  return false;
}

bool Svm::intercepts_task_switch(const TaskSwitchDetail& detail) {
  if (!intercepted(ExitCode::TaskSwitch)) return false;
  constexpr u64 by_iret = u64{1} << 36, by_jump = u64{1} << 38, has_code = u64{1} << 44, resume = u64{1} << 48;
  u64 info = 0;
  if (detail.cause == TaskSwitchCause::Return) info |= by_iret;
  if (detail.cause == TaskSwitchCause::Jump) info |= by_jump;
  if (detail.error_code) info |= has_code | *detail.error_code;
  if ((cpu_.state.flags.system & rflags::RF) != 0) info |= resume;
  return raise_exit({ExitCode::TaskSwitch, detail.selector, info});
}

bool Svm::intercepts_exception(const Event& event) {
  if (event.vector > 31 || !intercepted(ExitCode::Exception0 + event.vector)) return false;
  ExitReason reason{ExitCode::Exception0 + event.vector};
  if (event.has_error_code) reason.info_1 = event.error_code;
  switch (static_cast<Vector>(event.vector)) {
    // The debug registers are as a handler would find them (15.12.2); CR2 is not (15.12.15).
    case Vector::DB: report_debug_exception(cpu_.state); break;
    case Vector::PF:
      reason.info_2 = event.linear;
      reason.shows_instruction = (event.error_code & page_fault::ID) == 0;
      break;
    default: break;
  }
  // INT3, INTO and BOUND are among the instructions that leave nRIP (15.7.1); INT1's #DB is a trap.
  if (event.kind == EventKind::SoftwareException) reason.next_rip = event.return_rip;
  if (event.vector == static_cast<u8>(Vector::BR)) reason.next_rip = cpu_.state.rip + cpu_.left_length;
  if (event.kind == EventKind::PrivilegedSoftwareException) reason.trap_rip = event.return_rip;
  return raise_exit(reason);
}

bool Svm::intercepts_freeze() {
  return registers_.ignne == 0 && intercepted(ExitCode::FerrFreeze) && raise_exit({ExitCode::FerrFreeze});
}

bool Svm::intercepts_shutdown() { return intercepted(ExitCode::Shutdown) && raise_exit({ExitCode::Shutdown}); }

}  // namespace bunshin::svm
