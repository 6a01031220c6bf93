// Checks on the guest-state area: registers, and what is not in registers (SDM vol. 3, 26.3.1.1, 26.3.1.3 to 26.3.1.5).

#include "core/events/debug.h"
#include "core/virt/vmx/entry_checks.h"

namespace bunshin::vmx {
namespace {

using C = EntryContext;

bool unrestricted(const C& x) { return x.c.also(secondary::unrestricted_guest); }
bool ia32e(const C& x) { return x.c.on_entry(entry_control::ia32e_guest); }

bool cr0_is_supported(const C& x) {
  const u64 free = unrestricted(x) ? cr0::PE | cr0::PG : 0;
  const u64 ones = x.capabilities.cr0_fixed0 & ~free;
  return (x.g.cr0 & ones) == ones && (x.g.cr0 & ~x.capabilities.cr0_fixed1) == 0;
}

bool cr4_is_supported(const C& x) {
  const u64 ones = x.capabilities.cr4_fixed0;
  return (x.g.cr4 & ones) == ones && (x.g.cr4 & ~x.capabilities.cr4_fixed1) == 0;
}

bool efer_is_valid(const C& x) {
  if (!x.c.on_entry(entry_control::load_efer)) return true;
  const u64 value = x.g.efer;
  const bool lma = (value & efer::LMA) != 0;
  if ((value & ~(x.efer_writable | efer::LMA)) != 0 || lma != ia32e(x)) return false;
  return (x.g.cr0 & cr0::PG) == 0 || lma == ((value & efer::LME) != 0);
}

bool rip_is_valid(const C& x) {
  if (!ia32e(x) || !x.g.segment(Seg::CS).is_long()) return x.g.rip >> 32 == 0;
  return x.canonical(x.g.rip);
}

// clang-format off
constexpr EntryRule register_rules[] = {
    {"CR0 must not set a bit to a value not supported in VMX operation", cr0_is_supported},
    {"CR0.PG needs CR0.PE", [](const C& x) { return (x.g.cr0 & cr0::PG) == 0 || (x.g.cr0 & cr0::PE) != 0; }},
    {"CR4 must not set a bit to a value not supported in VMX operation", cr4_is_supported},
    {"load debug controls: reserved bits of IA32_DEBUGCTL must be 0",
     [](const C& x) { return !x.c.on_entry(entry_control::load_debug) || (x.g.debugctl & ~x.debugctl_writable) == 0; }},
    {"IA-32e mode guest needs CR0.PG and CR4.PAE",
     [](const C& x) { return !ia32e(x) || ((x.g.cr0 & cr0::PG) != 0 && (x.g.cr4 & cr4::PAE) != 0); }},
    {"CR4.PCIDE needs IA-32e mode guest", [](const C& x) { return ia32e(x) || (x.g.cr4 & cr4::PCIDE) == 0; }},
    {"CR3 must be within the physical-address width", [](const C& x) { return x.physical(x.g.cr3); }},
    {"load debug controls: bits 63:32 of DR7 must be 0",
     [](const C& x) { return !x.c.on_entry(entry_control::load_debug) || x.g.dr7 >> 32 == 0; }},
    {"IA32_SYSENTER_ESP and IA32_SYSENTER_EIP must be canonical",
     [](const C& x) { return x.canonical(x.g.sysenter_esp) && x.canonical(x.g.sysenter_eip); }},
    {"load IA32_PAT: the value must be one that WRMSR could write",
     [](const C& x) { return !x.c.on_entry(entry_control::load_pat) || is_pat(x.g.pat); }},
    {"load IA32_EFER: reserved bits must be 0, LMA as IA-32e mode guest, and as LME with paging", efer_is_valid},
    {"The bases of GDTR and IDTR must be canonical",
     [](const C& x) { return x.canonical(x.g.gdtr_base) && x.canonical(x.g.idtr_base); }},
    {"Bits 31:16 of the limits of GDTR and IDTR must be 0",
     [](const C& x) { return x.g.gdtr_limit >> 16 == 0 && x.g.idtr_limit >> 16 == 0; }},
    {"RIP: bits 63:32 are 0 outside 64-bit mode, else it is canonical", rip_is_valid},
    {"Reserved bits of RFLAGS must be 0, and bit 1 must be 1",
     [](const C& x) { return (x.g.rflags & ~u64{0x3f'7fd7}) == 0 && (x.g.rflags & rflags::fixed) != 0; }},
    {"RFLAGS.VM must be 0 in IA-32e mode and without CR0.PE",
     [](const C& x) { return !x.g.v86() || (!ia32e(x) && (x.g.cr0 & cr0::PE) != 0); }},
    {"RFLAGS.IF must be 1 if an external interrupt is injected",
     [](const C& x) {
       const bool external = (x.g.interruption & interruption::valid) != 0 &&
                             interruption::type_of(x.g.interruption) == interruption::external;
       return !external || (x.g.rflags & rflags::IF) != 0;
     }},
};
// clang-format on

constexpr u32 shadows = interruptibility::sti | interruptibility::mov_ss;

bool injects(const C& x) { return (x.g.interruption & interruption::valid) != 0; }
bool injects(const C& x, u32 type) { return injects(x) && interruption::type_of(x.g.interruption) == type; }

/// What may be delivered to a processor in this activity state (26.3.1.5).
bool event_fits_activity(const C& x) {
  if (!injects(x)) return true;
  constexpr u32 debug = 1, machine_check = 18;
  const u32 vector = x.g.interruption & 0xff;
  const u32 type = interruption::type_of(x.g.interruption);
  const bool nmi = type == interruption::nmi;
  switch (static_cast<ActivityField>(x.g.activity)) {
    case ActivityField::Active: return true;
    case ActivityField::Hlt:
      return nmi || type == interruption::external || type == interruption::other ||
             (type == interruption::hardware && (vector == debug || vector == machine_check));
    case ActivityField::Shutdown: return nmi || (type == interruption::hardware && vector == machine_check);
    default: return false;
  }
}

/// A single step that waits behind a blocking, or in HLT, is pending exactly if it would be.
bool pending_step_is_consistent(const C& x) {
  const bool waits = (x.g.interruptibility & shadows) != 0 || x.g.activity == static_cast<u32>(ActivityField::Hlt);
  if (!waits) return true;
  const u64 control = x.c.on_entry(entry_control::load_debug) ? x.g.debugctl : 0;
  const bool steps = (x.g.rflags & rflags::TF) != 0 && (control & debugctl::BTF) == 0;
  return ((x.g.pending_debug & dr6::BS) != 0) == steps;
}

bool link_pointer_is_valid(const C& x) {
  if (x.g.link_pointer == no_vmcs) return true;
  if (!x.page(x.g.link_pointer) || x.g.link_pointer == x.vmcs.address()) return false;
  const u32 wanted = x.capabilities.revision() | (x.c.also(secondary::shadow_vmcs) ? shadow_indicator : 0);
  return x.vmcs.at(x.g.link_pointer).revision() == wanted;
}

constexpr u8 bad_link_pointer = 4;

// clang-format off
constexpr EntryRule state_rules[] = {
    {"The activity state must be one that is supported", [](const C& x) { return x.g.activity <= 3; }},
    {"The activity state HLT needs SS.DPL 0",
     [](const C& x) {
       return x.g.activity != static_cast<u32>(ActivityField::Hlt) || x.g.segment(Seg::SS).dpl() == 0;
     }},
    {"Blocking by STI or by MOV SS needs the active state",
     [](const C& x) { return x.g.activity == 0 || (x.g.interruptibility & shadows) == 0; }},
    {"The event to inject must fit the activity state", event_fits_activity},
    {"Reserved bits of the interruptibility state must be 0",
     [](const C& x) { return x.g.interruptibility >> 5 == 0; }},
    {"Not both blocking by STI and by MOV SS",
     [](const C& x) { return (x.g.interruptibility & shadows) != shadows; }},
    {"Blocking by STI needs RFLAGS.IF",
     [](const C& x) { return (x.g.interruptibility & interruptibility::sti) == 0 || (x.g.rflags & rflags::IF) != 0; }},
    {"An external interrupt cannot be injected while blocked",
     [](const C& x) { return !injects(x, interruption::external) || (x.g.interruptibility & shadows) == 0; }},
    {"An NMI cannot be injected while blocked by MOV SS",
     [](const C& x) {
       return !injects(x, interruption::nmi) || (x.g.interruptibility & interruptibility::mov_ss) == 0;
     }},
    {"Blocking by SMI must be 0 outside SMM",
     [](const C& x) { return (x.g.interruptibility & interruptibility::smi) == 0; }},
    {"A virtual NMI cannot be injected while virtual NMIs are blocked",
     [](const C& x) {
       return !x.c.has_pin(pin::virtual_nmis) || !injects(x, interruption::nmi) ||
              (x.g.interruptibility & interruptibility::nmi) == 0;
     }},
    {"Enclave interruption must be 0",
     [](const C& x) { return (x.g.interruptibility & interruptibility::enclave) == 0; }},
    {"Reserved bits of the pending debug exceptions must be 0",
     [](const C& x) { return (x.g.pending_debug & ~u64{0x500f}) == 0; }},
    {"The pending single step must be as RFLAGS.TF and IA32_DEBUGCTL.BTF have it", pending_step_is_consistent},
    {"The VMCS link pointer", link_pointer_is_valid, bad_link_pointer},
};
// clang-format on

}  // namespace

std::span<const EntryRule> guest_register_rules() { return register_rules; }
std::span<const EntryRule> guest_state_rules() { return state_rules; }

const EntryRule* first_broken_of_guest(const EntryContext& context) {
  for (const auto rules : {guest_register_rules(), guest_segment_rules(), guest_state_rules()}) {
    if (const EntryRule* rule = first_broken(rules, context)) return rule;
  }
  return nullptr;
}

bool are_pdptes(const std::array<u64, 4>& pdptes, unsigned physical_bits) {
  const u64 reserved = u64{0b1'1110'0110} | (~u64{0} << physical_bits);
  for (const u64 entry : pdptes) {
    if ((entry & 1) != 0 && (entry & reserved) != 0) return false;
  }
  return true;
}

}  // namespace bunshin::vmx
