// Checks on the host-state area (SDM vol. 3, 26.2.2 to 26.2.4).

#include "core/virt/vmx/entry_checks.h"

namespace bunshin::vmx {
namespace {

using C = EntryContext;

bool fixed(u64 value, u64 ones, u64 allowed) { return (value & ones) == ones && (value & ~allowed) == 0; }
bool host64(const C& x) { return x.c.on_exit(exit_control::host_address_space); }

bool efer_is_valid(const C& x) {
  if (!x.c.on_exit(exit_control::load_efer)) return true;
  const u64 value = x.vmcs.read(Field::HostEfer);
  const u64 modes = efer::LMA | efer::LME;
  return (value & ~(x.efer_writable | efer::LMA)) == 0 && (value & modes) == (host64(x) ? modes : 0);
}

/// RPL and TI are 0 in all seven.
bool selectors_are_plain(const C& x) {
  for (unsigned i = 0; i < 7; ++i) {
    if ((x.vmcs.read(Field::HostEs + i) & 7) != 0) return false;
  }
  return true;
}

bool bases_are_canonical(const C& x) {
  for (unsigned i = 0; i < 5; ++i) {
    if (!x.canonical(x.vmcs.read(Field::HostFsBase + i))) return false;
  }
  return true;
}

// clang-format off
constexpr EntryRule rules[] = {
    {"CR0 must not set a bit to a value not supported in VMX operation",
     [](const C& x) {
       return fixed(x.vmcs.read(Field::HostCr0), x.capabilities.cr0_fixed0, x.capabilities.cr0_fixed1);
     }},
    {"CR4 must not set a bit to a value not supported in VMX operation",
     [](const C& x) {
       return fixed(x.vmcs.read(Field::HostCr4), x.capabilities.cr4_fixed0, x.capabilities.cr4_fixed1);
     }},
    {"CR3 must be within the physical-address width", [](const C& x) { return x.physical(x.vmcs.read(Field::HostCr3)); }},
    {"IA32_SYSENTER_ESP and IA32_SYSENTER_EIP must be canonical",
     [](const C& x) {
       return x.canonical(x.vmcs.read(Field::HostSysenterEsp)) && x.canonical(x.vmcs.read(Field::HostSysenterEip));
     }},
    {"load IA32_PAT: the value must be one that WRMSR could write",
     [](const C& x) { return !x.c.on_exit(exit_control::load_pat) || is_pat(x.vmcs.read(Field::HostPat)); }},
    {"load IA32_EFER: reserved bits must be 0, LMA and LME as host address-space size", efer_is_valid},
    {"RPL and TI must be 0 in the selectors", selectors_are_plain},
    {"CS and TR cannot be 0000H",
     [](const C& x) { return x.vmcs.read(Field::HostCs) != 0 && x.vmcs.read(Field::HostTr) != 0; }},
    {"SS cannot be 0000H if host address-space size is 0",
     [](const C& x) { return host64(x) || x.vmcs.read(Field::HostSs) != 0; }},
    {"The bases of FS, GS, TR, GDTR and IDTR must be canonical", bases_are_canonical},
    {"Outside IA-32e mode, IA-32e mode guest and host address-space size must be 0",
     [](const C& x) { return x.long_mode || (!x.c.on_entry(entry_control::ia32e_guest) && !host64(x)); }},
    {"In IA-32e mode, host address-space size must be 1", [](const C& x) { return !x.long_mode || host64(x); }},
    {"Without host address-space size: no IA-32e mode guest, CR4.PCIDE 0, bits 63:32 of RIP 0",
     [](const C& x) {
       return host64(x) || (!x.c.on_entry(entry_control::ia32e_guest) &&
                            (x.vmcs.read(Field::HostCr4) & cr4::PCIDE) == 0 && x.vmcs.read(Field::HostRip) >> 32 == 0);
     }},
    {"With host address-space size: CR4.PAE 1, RIP canonical",
     [](const C& x) {
       return !host64(x) ||
              ((x.vmcs.read(Field::HostCr4) & cr4::PAE) != 0 && x.canonical(x.vmcs.read(Field::HostRip)));
     }},
};
// clang-format on

}  // namespace

std::span<const EntryRule> host_rules() { return rules; }

bool is_pat(u64 value) {
  for (unsigned shift = 0; shift < 64; shift += 8) {
    const u64 type = value >> shift & 0xff;
    if (type > 7 || type == 2 || type == 3) return false;
  }
  return true;
}

}  // namespace bunshin::vmx
