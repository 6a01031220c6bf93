#include "core/timing/transition_parameters.h"

namespace bunshin {

namespace {

constexpr Range cycle_range{0, 100'000};

struct ExitText {
  std::string_view name, text;
};
constexpr std::array<ExitText, exit_kinds> exit_texts{{
    {"exception", "Page faults, other exceptions, NMI."},
    {"interrupt", "External interrupts, and windows in which one may be delivered."},
    {"cr_access", "Accesses to control registers."},
    {"msr", "RDMSR and WRMSR."},
    {"io", "IN, OUT, INS, OUTS."},
    {"hlt", "HLT."},
    {"hypercall", "VMCALL, VMMCALL."},
    {"cpuid", "CPUID."},
    {"second_stage", "EPT violations and misconfigurations, nested page faults."},
    {"other", "Everything else."},
}};

}  // namespace

void TransitionParameters::describe(ParameterVisitor& v) {
  const auto cost = [&v](std::string_view name, u64& value, std::string_view text) {
    v.integer(name, value, cycle_range, "cycles", text);
  };
  cost("entry", entry, "VMLAUNCH, VMRESUME, VMRUN, up to the guest's first instruction.");
  cost("state_save", state_save,
       "Of AMD-V: the host's state by VMRUN, the guest's by an exit, beside `entry` and `exit`.");
  cost("state_load", state_load, "The same for loading the guest's, or the host's.");
  v.begin_group("exit", "Exits by cause, up to the host's first instruction.");
  for (unsigned i = 0; i < exit_kinds; ++i) cost(exit_texts[i].name, exit[i], exit_texts[i].text);
  v.end_group();
  cost("vmread", vmread, "VMREAD.");
  cost("vmwrite", vmwrite, "VMWRITE.");
  cost("vmptrld", vmptrld, "VMPTRLD.");
  cost("vmclear", vmclear, "VMCLEAR.");
  cost("invept", invept, "INVEPT.");
  cost("invvpid", invvpid, "INVVPID.");
  cost("vmload", vmload, "VMLOAD.");
  cost("vmsave", vmsave, "VMSAVE.");
  cost("stgi", stgi, "STGI.");
  cost("clgi", clgi, "CLGI.");
  cost("invlpga", invlpga, "INVLPGA.");
  cost("other", other, "VMXON, VMXOFF, VMPTRST, VMFUNC, SKINIT.");
}

u64 TransitionParameters::cycles(Transition t) const {
  if (is_exit(t)) {
    return exit[static_cast<unsigned>(t) - static_cast<unsigned>(Transition::Exit)] + state_save + state_load;
  }
  switch (t) {
    case Transition::Entry: return entry + state_save + state_load;
    case Transition::VmRead: return vmread;
    case Transition::VmWrite: return vmwrite;
    case Transition::VmPtrld: return vmptrld;
    case Transition::VmClear: return vmclear;
    case Transition::InvEpt: return invept;
    case Transition::InvVpid: return invvpid;
    case Transition::InvLpga: return invlpga;
    case Transition::VmLoad: return vmload;
    case Transition::VmSave: return vmsave;
    case Transition::Stgi: return stgi;
    case Transition::Clgi: return clgi;
    default: return other;
  }
}

u64 TransitionParameters::cycles(const TransitionCounts& work) const {
  u64 sum = 0;
  for (unsigned i = 0; i < transitions; ++i) {
    if (work.counts[i] != 0) sum += work.counts[i] * cycles(static_cast<Transition>(i));
  }
  return sum;
}

}  // namespace bunshin
