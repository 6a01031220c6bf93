// The checks of VMRUN, each of which ends in VMEXIT_INVALID (AMD APM vol. 2, 15.5.1, 15.20, 15.25.3), and what they must let pass.

#include "guests/conformance_svm/machine.h"

namespace guest {

namespace {

constexpr u64 low_half = 0xffff'ffff;
constexpr u64 cr0_cd = 1u << 30, cr0_nw = 1u << 29, cr0_pg = 0x8000'0000, cr0_pe = 1, cr4_pae = 0x20;

struct Case {
  const char* name;
  void (*change)();
  Mode mode = Mode::Long;
};

u64 physical_limit() { return u64{1} << (cpuid(0x8000'0008).eax & 0xff); }

constexpr Case refused[] = {
    {"svme clear", [] { vmcb.efer &= ~efer_svme; }},
    {"nw without cd", [] { vmcb.cr0 |= cr0_nw; }},
    {"cr0 bit 32", [] { vmcb.cr0 |= u64{1} << 32; }},
    {"cr0 bit 63", [] { vmcb.cr0 |= u64{1} << 63; }},
    {"cr3 beyond physical memory", [] { vmcb.cr3 |= physical_limit(); }},
    {"cr3 bit 63", [] { vmcb.cr3 |= u64{1} << 63; }},
    {"cr4 bit 31", [] { vmcb.cr4 |= 1u << 31; }},
    {"cr4 bit 15", [] { vmcb.cr4 |= 1u << 15; }},
    {"cr4 bit 32", [] { vmcb.cr4 |= u64{1} << 32; }},
    {"dr6 bit 32", [] { vmcb.dr6 |= u64{1} << 32; }},
    {"dr6 bit 63", [] { vmcb.dr6 |= u64{1} << 63; }},
    {"dr7 bit 32", [] { vmcb.dr7 |= u64{1} << 32; }},
    {"dr7 bit 63", [] { vmcb.dr7 |= u64{1} << 63; }},
    {"efer bit 9", [] { vmcb.efer |= 1u << 9; }},
    {"efer bit 63", [] { vmcb.efer |= u64{1} << 63; }},
    {"lme and pg without pae", [] { vmcb.cr4 &= ~cr4_pae; }},
    {"lme and pg without pe", [] { vmcb.cr0 &= ~cr0_pe; }},
    {"cs.l and cs.d", [] { vmcb.cs.attributes |= 0x400; }},
    {"no vmrun intercept", [] { release(exit_code::vmrun); }},
    {"asid 0", [] { vmcb.asid = 0; }},
};

constexpr Case refused_maps[] = {
    {"i/o map at the end of physical memory",
     [] {
       vmcb.io_map = physical_limit() - 0x2000;
       intercept(exit_code::io);
     }},
    {"msr map at the end of physical memory",
     [] {
       vmcb.msr_map = physical_limit() - 0x1000;
       intercept(exit_code::msr);
     }},
    {"i/o map beyond physical memory",
     [] {
       vmcb.io_map = physical_limit();
       intercept(exit_code::io);
     }},
    {"msr map beyond physical memory",
     [] {
       vmcb.msr_map = physical_limit();
       intercept(exit_code::msr);
     }},
};

constexpr Case refused_nested[] = {
    {"nested cr3 beyond physical memory",
     [] {
       vmcb.nested_control = 1;
       vmcb.nested_cr3 = physical_limit();
     }},
    {"pat with type 2",
     [] {
       vmcb.nested_control = 1;
       vmcb.nested_cr3 = vmcb.cr3;
       vmcb.pat = 0x0007'0406'0007'0402;
     }},
    {"pat with type 3",
     [] {
       vmcb.nested_control = 1;
       vmcb.nested_cr3 = vmcb.cr3;
       vmcb.pat = 0x0307'0406'0007'0406;
     }},
    {"pat with a reserved bit",
     [] {
       vmcb.nested_control = 1;
       vmcb.nested_cr3 = vmcb.cr3;
       vmcb.pat = 0x0007'0406'0807'0406;
     }},
};

constexpr Case accepted[] = {
    {"cd and nw", [] { vmcb.cr0 |= cr0_cd | cr0_nw; }},
    {"cd", [] { vmcb.cr0 |= cr0_cd; }},
    {"cr0 reserved bits below 32", [] { vmcb.cr0 |= 1u << 6; }},
    {"cs.d outside long mode", [] {}, Mode::Protected},
    {"cs.l and cs.d outside long mode", [] { vmcb.cs.attributes |= 0x200; }, Mode::Protected},
    {"pg without pe", [] {}, Mode::PagedReal},
    {"real mode", [] {}, Mode::Real},
    {"compatibility mode", [] {}, Mode::Compatibility},
    {"16-bit protected mode", [] {}, Mode::Protected16},
    {"pae paging", [] {}, Mode::Pae},
    {"the highest asid", [] { vmcb.asid = cpuid(0x8000'000a).ebx - 1; }},
    {"pat with type 2, paging not nested", [] { vmcb.pat = 2; }},
    {"reserved bits of dr6 below 32", [] { vmcb.dr6 = 0; }},
    {"reserved bits of rflags", [] { vmcb.rflags = 0x8028; }},
    {"null segments",
     [] {
       vmcb.ds = vmcb.es = vmcb.fs = vmcb.gs = vmcb.ss = {0, 0, 0, 0};
     }},
    {"virtual-8086 mode outside long mode",
     [] {
       vmcb.rflags |= 1u << 17;
       vmcb.cs = {static_cast<u16>(low_page >> 4), 0xfb, 0xffff, low_page};
       vmcb.ss = vmcb.ds = vmcb.es = {0, 0xf3, 0xffff, 0};
       vmcb.cpl = 3;
       vmcb.rip = 0;
       auto* code = reinterpret_cast<volatile u8*>(low_page);
       code[0] = 0x0f;  // VMMCALL
       code[1] = 0x01;
       code[2] = 0xd9;
     },
     Mode::Pae},
};

void check_refused(const Case& each) {
  prepare(each.mode, ""_code);
  each.change();
  enter();
  check(each.name, Field{"exit", vmcb.exit_code & low_half, exit_code::invalid & low_half});
}

/// Without nested paging the pointers of PAE paging are loaded and looked at by VMRUN.
void check_pae_pointers() {
  prepare(Mode::Pae, ""_code);
  pae_pointers[1] = 3;
  enter();
  pae_pointers[1] = 0;
  check("pdpte with a reserved bit", Field{"exit", vmcb.exit_code & low_half, exit_code::invalid & low_half});
}

struct Event {
  const char* name;
  u64 event;
  bool refused;
};

constexpr Event events[] = {
    {"type 1", event_valid | 1u << 8 | 0x30, true},
    {"type 5", event_valid | 5u << 8 | 0x30, true},
    {"type 6", event_valid | 6u << 8 | 0x30, true},
    {"type 7", event_valid | 7u << 8 | 0x30, true},
    {"exception with vector 2", event_valid | event_exception | 2, true},
    {"exception with vector 9", event_valid | event_exception | 9, true},
    {"exception with vector 15", event_valid | event_exception | 15, true},
    {"exception with vector 20", event_valid | event_exception | 20, true},
    {"exception with vector 31", event_valid | event_exception | 31, true},
    {"exception with vector 32", event_valid | event_exception | 32, true},
    {"exception with vector 255", event_valid | event_exception | 255, true},
    {"type 1, not valid", 1u << 8 | 0x30, false},
};

/// Alone and last: QEMU's interpreter walks no nested tables any more behind it.
constexpr Case long_mode_not_active = {"lme without pg", [] { vmcb.efer |= efer_lme; }, Mode::Protected};

void check_accepted(const Case& each) {
  prepare(each.mode, ""_code);
  each.change();
  enter();
  check(each.name, Field{"exit", vmcb.exit_code, exit_code::vmmcall});
}

}  // namespace

void check_consistency() {
  begin_group("refused");
  for (const Case& each : refused) check_refused(each);
  check("the exit code's upper half", Field{"exit", vmcb.exit_code, exit_code::invalid});
  for (const Case& each : refused_maps) check_refused(each);
  for (const Case& each : refused_nested) {
    if (has(svm_feature::nested_paging)) {
      check_refused(each);
    } else {
      absent(each.name);
    }
  }
  check_pae_pointers();
  begin_group("accepted");
  for (const Case& each : accepted) check_accepted(each);
}

void check_long_mode_not_active() {
  begin_group("accepted");
  check_accepted(long_mode_not_active);
}

void check_injection_consistency() {
  begin_group("event");
  for (const Event& each : events) {
    prepare(""_code);
    vmcb.event = each.event;
    enter();
    check(each.name, Field{"exit", vmcb.exit_code & low_half,
                           (each.refused ? exit_code::invalid : exit_code::vmmcall) & low_half});
  }
}

}  // namespace guest
