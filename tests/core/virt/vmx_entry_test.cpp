// Every rule of VM entry, broken one at a time.

#include "tests/core/virt/vmx_fixture.h"

namespace bunshin::vmx {
namespace {

struct Broken {
  const char* rule;  ///< a part of its text
  void (*breaks)(VmxMachine&);
};

constexpr u64 beyond = u64{1} << 52;
constexpr u32 injected(u32 type, u32 vector, u32 more = 0) { return interruption::valid | type << 8 | vector | more; }

void inject(VmxMachine& m, u32 information, u32 length = 1) {
  m.set(Field::EntryInterruption, information);
  m.set(Field::EntryInstructionLength, length);
}

const Broken controls[] = {
    {"Reserved bits in the pin-based", [](VmxMachine& m) { m.set(Field::PinControls, 0); }},
    {"Reserved bits in the primary", [](VmxMachine& m) { m.remove(Field::PrimaryControls, 1u << 1); }},
    {"Reserved bits in the secondary", [](VmxMachine& m) { m.activate_secondary(1u << 31); }},
    {"CR3-target count", [](VmxMachine& m) { m.set(Field::Cr3TargetCount, 5); }},
    {"use I/O bitmaps",
     [](VmxMachine& m) {
       m.add(Field::PrimaryControls, primary::io_bitmaps);
       m.set(Field::IoBitmapB, 0x1001);
     }},
    {"use MSR bitmaps",
     [](VmxMachine& m) {
       m.add(Field::PrimaryControls, primary::msr_bitmaps);
       m.set(Field::MsrBitmaps, beyond);
     }},
    {"use TPR shadow: the virtual-APIC address",
     [](VmxMachine& m) {
       m.add(Field::PrimaryControls, primary::tpr_shadow);
       m.set(Field::VirtualApicAddress, 8);
     }},
    {"bits 31:4 of the TPR threshold",
     [](VmxMachine& m) {
       m.add(Field::PrimaryControls, primary::tpr_shadow);
       m.set(Field::VirtualApicAddress, VmxMachine::virtual_apic);
       m.set(Field::TprThreshold, 0x10);
     }},
    {"must not be greater than bits 7:4 of VTPR",
     [](VmxMachine& m) {
       m.add(Field::PrimaryControls, primary::tpr_shadow);
       m.set(Field::VirtualApicAddress, VmxMachine::virtual_apic);
       m.set(Field::TprThreshold, 1);
     }},
    {"virtual NMIs needs", [](VmxMachine& m) { m.add(Field::PinControls, pin::virtual_nmis); }},
    {"NMI-window exiting needs", [](VmxMachine& m) { m.add(Field::PrimaryControls, primary::nmi_window); }},
    {"virtualize APIC accesses: the APIC-access",
     [](VmxMachine& m) {
       m.activate_secondary(secondary::apic_accesses);
       m.set(Field::ApicAccessAddress, 1);
     }},
    {"need use TPR shadow", [](VmxMachine& m) { m.activate_secondary(secondary::x2apic); }},
    {"virtualize x2APIC mode excludes",
     [](VmxMachine& m) {
       m.add(Field::PrimaryControls, primary::tpr_shadow);
       m.set(Field::VirtualApicAddress, VmxMachine::virtual_apic);
       m.activate_secondary(secondary::x2apic | secondary::apic_accesses);
     }},
    {"virtual-interrupt delivery needs",
     [](VmxMachine& m) {
       m.add(Field::PrimaryControls, primary::tpr_shadow);
       m.set(Field::VirtualApicAddress, VmxMachine::virtual_apic);
       m.activate_secondary(secondary::interrupt_delivery);
     }},
    {"process posted interrupts needs", [](VmxMachine& m) { m.add(Field::PinControls, pin::posted_interrupts); }},
    {"enable VPID", [](VmxMachine& m) { m.activate_secondary(secondary::vpid); }},
    {"enable EPT: the EPTP", [](VmxMachine& m) { m.activate_secondary(secondary::ept); }},
    {"enable PML needs", [](VmxMachine& m) { m.activate_secondary(secondary::pml); }},
    {"unrestricted guest and mode-based", [](VmxMachine& m) { m.activate_secondary(secondary::unrestricted_guest); }},
    {"reserved bits of the VM-function",
     [](VmxMachine& m) {
       m.activate_secondary(secondary::vm_functions);
       m.set(Field::VmFunctionControls, 2);
     }},
    {"EPTP switching needs",
     [](VmxMachine& m) {
       m.activate_secondary(secondary::vm_functions);
       m.set(Field::VmFunctionControls, 1);
     }},
    {"VMCS shadowing",
     [](VmxMachine& m) {
       m.activate_secondary(secondary::shadow_vmcs);
       m.set(Field::VmwriteBitmap, 4);
     }},
    {"use TSC scaling", [](VmxMachine& m) { m.activate_secondary(secondary::tsc_scaling); }},
    {"EPT-violation #VE",
     [](VmxMachine& m) {
       m.activate_secondary(secondary::virtualization_exception);
       m.set(Field::VirtualizationExceptionInformation, 4);
     }},
    {"Reserved bits in the VM-exit", [](VmxMachine& m) { m.set(Field::ExitControls, 0); }},
    {"save VMX-preemption-timer",
     [](VmxMachine& m) { m.add(Field::ExitControls, exit_control::save_preemption_timer); }},
    {"VM-exit MSR-store",
     [](VmxMachine& m) {
       m.set(Field::ExitMsrStoreCount, 1);
       m.set(Field::ExitMsrStoreAddress, 8);
     }},
    {"VM-exit MSR-load",
     [](VmxMachine& m) {
       m.set(Field::ExitMsrLoadCount, 1);
       m.set(Field::ExitMsrLoadAddress, beyond);
     }},
    {"Reserved bits in the VM-entry controls", [](VmxMachine& m) { m.set(Field::EntryControls, 0); }},
    {"interruption type must not be reserved", [](VmxMachine& m) { inject(m, injected(1, 0)); }},
    {"vector must fit", [](VmxMachine& m) { inject(m, injected(interruption::nmi, 3)); }},
    {"vector must fit", [](VmxMachine& m) { inject(m, injected(interruption::hardware, 32)); }},
    {"vector must fit", [](VmxMachine& m) { inject(m, injected(interruption::other, 1)); }},
    {"deliver error code", [](VmxMachine& m) { inject(m, injected(interruption::hardware, 14)); }},
    {"deliver error code",
     [](VmxMachine& m) { inject(m, injected(interruption::hardware, 6, interruption::error_code)); }},
    {"Reserved bits of the VM-entry interruption", [](VmxMachine& m) { inject(m, injected(0, 64, 1u << 13)); }},
    {"Bits 31:16 of the VM-entry exception",
     [](VmxMachine& m) {
       inject(m, injected(interruption::hardware, 13, interruption::error_code));
       m.set(Field::EntryErrorCode, 0x10000);
     }},
    {"instruction length must fit", [](VmxMachine& m) { inject(m, injected(interruption::software, 3), 16); }},
    {"VM-entry MSR-load",
     [](VmxMachine& m) {
       m.set(Field::EntryMsrLoadCount, 1);
       m.set(Field::EntryMsrLoadAddress, 1);
     }},
};

const Broken host[] = {
    {"CR0 must not", [](VmxMachine& m) { m.remove(Field::HostCr0, cr0::PE); }},
    {"CR4 must not", [](VmxMachine& m) { m.remove(Field::HostCr4, cr4::VMXE); }},
    {"CR3 must be within", [](VmxMachine& m) { m.set(Field::HostCr3, beyond); }},
    {"IA32_SYSENTER", [](VmxMachine& m) { m.set(Field::HostSysenterEip, u64{1} << 62); }},
    {"load IA32_PAT",
     [](VmxMachine& m) {
       m.add(Field::ExitControls, exit_control::load_pat);
       m.set(Field::HostPat, 2);
     }},
    {"load IA32_EFER", [](VmxMachine& m) { m.add(Field::ExitControls, exit_control::load_efer); }},
    {"RPL and TI", [](VmxMachine& m) { m.set(Field::HostDs, 0x13); }},
    {"CS and TR cannot", [](VmxMachine& m) { m.set(Field::HostTr, 0); }},
    {"The bases of FS", [](VmxMachine& m) { m.set(Field::HostGdtrBase, u64{1} << 62); }},
    {"In IA-32e mode, host address-space size",
     [](VmxMachine& m) { m.remove(Field::ExitControls, exit_control::host_address_space); }},
    {"RIP canonical", [](VmxMachine& m) { m.set(Field::HostRip, u64{1} << 62); }},
};

const Broken guest[] = {
    {"CR0 must not", [](VmxMachine& m) { m.remove(Field::GuestCr0, cr0::NE); }},
    {"CR4 must not", [](VmxMachine& m) { m.remove(Field::GuestCr4, cr4::VMXE); }},
    {"reserved bits of IA32_DEBUGCTL",
     [](VmxMachine& m) {
       m.add(Field::EntryControls, entry_control::load_debug);
       m.set(Field::GuestDebugctl, u64{1} << 40);
     }},
    {"IA-32e mode guest needs", [](VmxMachine& m) { m.remove(Field::GuestCr4, cr4::PAE); }},
    {"CR3 must be within", [](VmxMachine& m) { m.set(Field::GuestCr3, beyond); }},
    {"bits 63:32 of DR7",
     [](VmxMachine& m) {
       m.add(Field::EntryControls, entry_control::load_debug);
       m.set(Field::GuestDr7, u64{1} << 32);
     }},
    {"IA32_SYSENTER", [](VmxMachine& m) { m.set(Field::GuestSysenterEsp, u64{1} << 62); }},
    {"load IA32_PAT",
     [](VmxMachine& m) {
       m.add(Field::EntryControls, entry_control::load_pat);
       m.set(Field::GuestPat, 3);
     }},
    {"load IA32_EFER", [](VmxMachine& m) { m.add(Field::EntryControls, entry_control::load_efer); }},
    {"GDTR and IDTR must be canonical", [](VmxMachine& m) { m.set(Field::GuestIdtrBase, u64{1} << 62); }},
    {"limits of GDTR and IDTR", [](VmxMachine& m) { m.set(Field::GuestGdtrLimit, 0x10000); }},
    {"RIP:", [](VmxMachine& m) { m.set(Field::GuestRip, u64{1} << 62); }},
    {"Reserved bits of RFLAGS", [](VmxMachine& m) { m.set(Field::GuestRflags, 0); }},
    {"RFLAGS.VM must be 0", [](VmxMachine& m) { m.add(Field::GuestRflags, rflags::VM); }},
    {"RFLAGS.IF must be 1", [](VmxMachine& m) { inject(m, injected(interruption::external, 64)); }},
    {"TR: TI", [](VmxMachine& m) { m.set(Field::GuestTr, 4); }},
    {"LDTR, if usable: TI",
     [](VmxMachine& m) {
       m.set(Field::GuestLdtrRights, 0x82);
       m.set(Field::GuestLdtr, 4);
     }},
    {"SS: RPL must be", [](VmxMachine& m) { m.set(Field::GuestSs, 0x13); }},
    {"bases must be canonical", [](VmxMachine& m) { m.set(Field::GuestGsBase, u64{1} << 62); }},
    {"bits 63:32 of the base", [](VmxMachine& m) { m.set(Field::GuestDsBase, u64{1} << 33); }},
    {"CS: type", [](VmxMachine& m) { m.set(Field::GuestCsRights, 0xa093); }},
    {"SS, if usable: type", [](VmxMachine& m) { m.set(Field::GuestSsRights, 0xc091); }},
    {"accessed, and readable", [](VmxMachine& m) { m.set(Field::GuestEsRights, 0xc092); }},
    {"S must be 1", [](VmxMachine& m) { m.set(Field::GuestFsRights, 0xc083); }},
    {"CS: DPL", [](VmxMachine& m) { m.set(Field::GuestCsRights, 0xa0fb); }},
    {"SS: DPL",
     [](VmxMachine& m) {
       m.set(Field::GuestSsRights, 0xc0f3);
       m.set(Field::GuestCsRights, 0xa0fb);
     }},
    {"DPL must not be less", [](VmxMachine& m) { m.set(Field::GuestDs, 0x13); }},
    {"P must be 1", [](VmxMachine& m) { m.set(Field::GuestGsRights, 0xc013); }},
    {"reserved bits of the access rights", [](VmxMachine& m) { m.set(Field::GuestCsRights, 0xa19b); }},
    {"CS: D must be 0", [](VmxMachine& m) { m.set(Field::GuestCsRights, 0xe09b); }},
    {"G must fit", [](VmxMachine& m) { m.set(Field::GuestDsLimit, 0xffff'0000); }},
    {"TR: type", [](VmxMachine& m) { m.set(Field::GuestTrRights, 0x83); }},
    {"LDTR, if usable: type", [](VmxMachine& m) { m.set(Field::GuestLdtrRights, 0x83); }},
    {"activity state must be", [](VmxMachine& m) { m.set(Field::GuestActivity, 4); }},
    {"HLT needs SS.DPL",
     [](VmxMachine& m) {
       m.set(Field::GuestActivity, 1);
       m.set(Field::GuestSs, 0x13);
       m.set(Field::GuestCs, 0x0b);
       for (unsigned i = 0; i < 6; ++i) m.set(Field::GuestEsRights + i, 0xc0f3);
       m.set(Field::GuestCsRights, 0xa0fb);
     }},
    {"needs the active state",
     [](VmxMachine& m) {
       m.set(Field::GuestActivity, 1);
       m.set(Field::GuestInterruptibility, interruptibility::sti);
     }},
    {"must fit the activity state",
     [](VmxMachine& m) {
       m.set(Field::GuestActivity, 2);
       inject(m, injected(interruption::hardware, 6));
     }},
    {"Reserved bits of the interruptibility", [](VmxMachine& m) { m.set(Field::GuestInterruptibility, 0x20); }},
    {"Not both blocking", [](VmxMachine& m) { m.set(Field::GuestInterruptibility, 3); }},
    {"Blocking by STI needs", [](VmxMachine& m) { m.set(Field::GuestInterruptibility, 1); }},
    {"cannot be injected while blocked",
     [](VmxMachine& m) {
       m.set(Field::GuestInterruptibility, 1);
       m.add(Field::GuestRflags, rflags::IF);
       inject(m, injected(interruption::external, 64));
     }},
    {"NMI cannot be injected while blocked by MOV SS",
     [](VmxMachine& m) {
       m.set(Field::GuestInterruptibility, 2);
       inject(m, injected(interruption::nmi, 2));
     }},
    {"Blocking by SMI", [](VmxMachine& m) { m.set(Field::GuestInterruptibility, 4); }},
    {"while virtual NMIs are blocked",
     [](VmxMachine& m) {
       m.add(Field::PinControls, pin::nmi | pin::virtual_nmis);
       m.set(Field::GuestInterruptibility, 8);
       inject(m, injected(interruption::nmi, 2));
     }},
    {"Enclave interruption", [](VmxMachine& m) { m.set(Field::GuestInterruptibility, 16); }},
    {"Reserved bits of the pending debug", [](VmxMachine& m) { m.set(Field::GuestPendingDebug, 0x10); }},
    {"pending single step",
     [](VmxMachine& m) {
       m.set(Field::GuestActivity, 1);
       m.add(Field::GuestRflags, rflags::TF);
     }},
    {"VMCS link pointer", [](VmxMachine& m) { m.set(Field::VmcsLinkPointer, VmxMachine::bitmap_page); }},
};

/// A guest in virtual-8086 mode, all of whose segments are as they must be.
void virtual_8086(VmxMachine& m) {
  m.remove(Field::EntryControls, entry_control::ia32e_guest);
  m.add(Field::GuestRflags, rflags::VM);
  for (unsigned i = 0; i < 6; ++i) {
    m.set(Field::GuestEs + i, 0x200);
    m.set(Field::GuestEsBase + i, 0x2000);
    m.set(Field::GuestEsLimit + i, 0xffff);
    m.set(Field::GuestEsRights + i, 0xf3);
  }
  m.set(Field::GuestRip, 0);
  m.set(Field::GuestRsp, 0x100);
}

/// All that posted interrupts need.
void posted_interrupts(VmxMachine& m) {
  m.add(Field::PinControls, pin::external_interrupt | pin::posted_interrupts);
  m.add(Field::PrimaryControls, primary::tpr_shadow);
  m.set(Field::VirtualApicAddress, VmxMachine::virtual_apic);
  m.activate_secondary(secondary::interrupt_delivery);
  m.add(Field::ExitControls, exit_control::acknowledge_interrupt);
  m.set(Field::PostedInterruptDescriptor, VmxMachine::bitmap_page);
  m.set(Field::PostedInterruptVector, 0xf2);
}

/// Nested tables that nobody walks.
void nested(VmxMachine& m, u32 more) {
  m.activate_secondary(secondary::ept | more);
  m.set(Field::EptPointer, VmxMachine::ept_root | 3u << 3 | 6);
}

const Broken other_controls[] = {
    {"notification vector",
     [](VmxMachine& m) {
       posted_interrupts(m);
       m.set(Field::PostedInterruptVector, 0x1f2);
     }},
    {"bits 5:0 of the descriptor",
     [](VmxMachine& m) {
       posted_interrupts(m);
       m.set(Field::PostedInterruptDescriptor, VmxMachine::bitmap_page + 0x20);
     }},
    {"enable PML: the address",
     [](VmxMachine& m) {
       nested(m, secondary::pml);
       m.set(Field::PmlAddress, 8);
     }},
};

const Broken other_guests[] = {
    {"Virtual-8086: bases",
     [](VmxMachine& m) {
       virtual_8086(m);
       m.set(Field::GuestDsBase, 0x2010);
     }},
    {"Virtual-8086: limits",
     [](VmxMachine& m) {
       virtual_8086(m);
       m.set(Field::GuestSsLimit, 0xfffe);
     }},
    {"Virtual-8086: access rights",
     [](VmxMachine& m) {
       virtual_8086(m);
       m.set(Field::GuestCsRights, 0xfb);
     }},
    {"CR0.PG needs",
     [](VmxMachine& m) {
       nested(m, secondary::unrestricted_guest);
       m.remove(Field::EntryControls, entry_control::ia32e_guest);
       m.remove(Field::GuestCr0, cr0::PE);
     }},
    {"CR4.PCIDE needs",
     [](VmxMachine& m) {
       m.remove(Field::EntryControls, entry_control::ia32e_guest);
       m.add(Field::GuestCr4, cr4::PCIDE);
     }},
};

/// The machine after an entry with one thing broken.
VmxMachine& enter_broken(VmxMachine& m, const Broken& b) {
  m.prepare();
  b.breaks(m);
  m.vmlaunch();
  return m;
}

void expect_rule(VmxMachine& m, const Broken& b) {
  ASSERT_NE(m.vmx().broken_rule(), nullptr) << b.rule;
  EXPECT_NE(m.vmx().broken_rule()->text.find(b.rule), std::string_view::npos)
      << b.rule << " / " << m.vmx().broken_rule()->text;
  EXPECT_FALSE(m.in_guest());
}

TEST(VmxEntry, OfAPreparedGuestSucceeds) {
  VmxMachine m;
  m.prepare();
  m.vmlaunch();
  EXPECT_EQ(m.vmx().broken_rule(), nullptr) << m.vmx().broken_rule()->text;
  EXPECT_TRUE(m.in_guest());
  EXPECT_EQ(m.state().rip, VmxMachine::guest_code);
}

TEST(VmxEntry, BrokenControlsAreError7) {
  for (const auto list : {std::span<const Broken>(controls), std::span<const Broken>(other_controls)}) {
    for (const Broken& b : list) {
      VmxMachine m;
      enter_broken(m, b);
      expect_rule(m, b);
      EXPECT_EQ(m.error(), 7u) << b.rule;
    }
  }
}

TEST(VmxEntry, BrokenHostStateIsError8) {
  for (const Broken& b : host) {
    VmxMachine m;
    enter_broken(m, b);
    expect_rule(m, b);
    EXPECT_EQ(m.error(), 8u) << b.rule;
  }
}

TEST(VmxEntry, BrokenGuestStateIsExit33) {
  for (const auto list : {std::span<const Broken>(guest), std::span<const Broken>(other_guests)}) {
    for (const Broken& b : list) {
      VmxMachine m;
      enter_broken(m, b);
      expect_rule(m, b);
      EXPECT_EQ(m.exit_reason(), entry_failure | 33) << b.rule;
      EXPECT_EQ(m.state().rip, VmxMachine::after_exit) << b.rule;
      const bool link = std::string_view(b.rule).find("link") != std::string_view::npos;
      EXPECT_EQ(m.vmcs().read(Field::ExitQualification), link ? 4u : 0u) << b.rule;
    }
  }
}

TEST(VmxEntry, GuestsThatTheOtherCasesBreakAreGoodThemselves) {
  for (void (*const make)(VmxMachine&) : {virtual_8086, posted_interrupts}) {
    VmxMachine m;
    m.prepare();
    make(m);
    m.vmlaunch();
    EXPECT_EQ(m.vmx().broken_rule(), nullptr) << m.vmx().broken_rule()->text;
  }
}

/// The host that `breaks` makes, in 32-bit protected mode when it enters.
const EntryRule* broken_from_32_bits(void (*breaks)(VmxMachine&)) {
  VmxMachine m;
  m.prepare();
  m.remove(Field::ExitControls, exit_control::host_address_space);
  m.remove(Field::EntryControls, entry_control::ia32e_guest);
  m.set(Field::GuestCsRights, 0xc09b);
  breaks(m);
  CpuState& s = m.state();
  s.cr0 &= ~cr0::PG;
  s.msr.efer &= ~(efer::LME | efer::LMA);
  s.segment(Seg::CS).attributes = (s.segment(Seg::CS).attributes & ~Segment::long_mode) | Segment::big;
  m.processor.state_changed();
  m.vmlaunch();
  return m.vmx().broken_rule();
}

TEST(VmxEntry, OfAHostOf32BitsHasRulesOfItsOwn) {
  const Broken cases[] = {
      {"SS cannot be 0000H", [](VmxMachine& m) { m.set(Field::HostSs, 0); }},
      {"Outside IA-32e mode", [](VmxMachine& m) { m.add(Field::ExitControls, exit_control::host_address_space); }},
      {"Without host address-space size", [](VmxMachine& m) { m.set(Field::HostRip, u64{1} << 32); }},
  };
  for (const Broken& b : cases) {
    const EntryRule* const rule = broken_from_32_bits(b.breaks);
    ASSERT_NE(rule, nullptr) << b.rule;
    EXPECT_NE(rule->text.find(b.rule), std::string_view::npos) << b.rule << " / " << rule->text;
  }
}

TEST(VmxEntry, EveryRuleIsBrokenByATest) {
  std::vector<const EntryRule*> broken;
  for (const auto list :
       {std::span<const Broken>(controls), std::span<const Broken>(other_controls), std::span<const Broken>(host),
        std::span<const Broken>(guest), std::span<const Broken>(other_guests)}) {
    for (const Broken& b : list) {
      VmxMachine m;
      enter_broken(m, b);
      broken.push_back(m.vmx().broken_rule());
    }
  }
  const std::string_view elsewhere[] = {// OfAHostOf32BitsHasRulesOfItsOwn.
                                        "Outside IA-32e mode", "SS cannot be 0000H", "Without host address-space",
                                        // Bits that no profile allows: the rule of reserved bits finds them first.
                                        "Outside SMM"};
  for (const auto rules : {execution_control_rules(), transition_control_rules(), host_rules(), guest_register_rules(),
                           guest_segment_rules(), guest_state_rules()}) {
    for (const EntryRule& rule : rules) {
      const bool excused = std::any_of(std::begin(elsewhere), std::end(elsewhere), [&](std::string_view part) {
        return rule.text.find(part) != std::string_view::npos;
      });
      EXPECT_TRUE(excused || std::find(broken.begin(), broken.end(), &rule) != broken.end()) << rule.text;
    }
  }
}

class Refusals final : public TransitionListener {
 public:
  void entered(const Cpu& /*cpu*/) override {}
  void left(const Cpu& /*cpu*/, const VmExit& exit) override { rules.emplace_back(exit.broken_rule); }
  void refused(const Cpu& /*cpu*/, const RefusedEntry& entry) override {
    errors.push_back(entry.error);
    rules.emplace_back(entry.broken_rule);
  }
  std::vector<u32> errors;
  std::vector<std::string> rules;
};

TEST(VmxEntry, TellsListenersWhichRuleRefusedIt) {
  VmxMachine m;
  Refusals refusals;
  m.vmx().set_listener(&refusals);
  enter_broken(m, host[0]);
  EXPECT_EQ(refusals.errors, std::vector<u32>{8});
  m.prepare();
  m.set(Field::GuestRflags, 0);
  m.vmlaunch();
  EXPECT_EQ(refusals.errors.size(), 1u) << "an exit, not an error";
  ASSERT_EQ(refusals.rules.size(), 2u);
  EXPECT_NE(refusals.rules[0].find("CR0 must not"), std::string::npos);
  EXPECT_NE(refusals.rules[1].find("RFLAGS"), std::string::npos);
}

TEST(VmxEntry, AnMsrThatCannotBeLoadedIsExit34WithItsNumber) {
  VmxMachine m;
  m.prepare();
  m.poke<u64>(VmxMachine::msr_area, 0xc000'0081);
  m.poke<u64>(VmxMachine::msr_area + 16, 0xc000'0100);
  m.set(Field::EntryMsrLoadCount, 2);
  m.set(Field::EntryMsrLoadAddress, VmxMachine::msr_area);
  m.vmlaunch();
  EXPECT_EQ(m.exit_reason(), entry_failure | 34);
  EXPECT_EQ(m.vmcs().read(Field::ExitQualification), 2u);
}

TEST(VmxEntry, LoadsMsrsFromItsArea) {
  VmxMachine m;
  m.prepare();
  m.poke<u64>(VmxMachine::msr_area, 0xc000'0081);
  m.poke<u64>(VmxMachine::msr_area + 8, 0x1122'3344);
  m.set(Field::EntryMsrLoadCount, 1);
  m.set(Field::EntryMsrLoadAddress, VmxMachine::msr_area);
  m.vmlaunch();
  EXPECT_TRUE(m.in_guest());
  EXPECT_EQ(m.state().msr.star, 0x1122'3344u);
}

}  // namespace
}  // namespace bunshin::vmx
