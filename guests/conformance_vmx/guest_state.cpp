// Checks on the rest of the guest-state area, and MSR loading: failed entries with exit reasons 33 and 34 and their
// qualifications (Intel SDM vol. 3, 26.3.1.1, 26.3.1.4 to 26.3.1.6, 26.4, 26.8).

#include "guests/conformance_vmx/ept.h"

namespace guest {

namespace {

constexpr u64 not_canonical = u64{1} << 60;
alignas(16) u64 msr_area[8];

u64 limit() { return u64{1} << (cpuid(0x8000'0008).eax & 0xff); }

struct Case {
  const char* name;
  Mode mode;
  void (*change)();
  u64 qualification = 0;
};

constexpr Case refused[] = {
    {"cr0.ne clear", Mode::Long, [] { reset(vmcs::guest_cr0, 0x20); }},
    {"cr0.pg clear", Mode::Long, [] { reset(vmcs::guest_cr0, 0x8000'0000); }},
    {"cr0.pe clear", Mode::Long, [] { reset(vmcs::guest_cr0, 1); }},
    {"cr0 bit 32", Mode::Long, [] { set(vmcs::guest_cr0, u64{1} << 32); }},
    {"cr4.vmxe clear", Mode::Long, [] { reset(vmcs::guest_cr4, 0x2000); }},
    {"cr4 bit 31", Mode::Long, [] { set(vmcs::guest_cr4, 1u << 31); }},
    {"cr4.pae clear in long mode", Mode::Long, [] { reset(vmcs::guest_cr4, 0x20); }},
    {"cr4.pcide outside long mode", Mode::Pae, [] { set(vmcs::guest_cr4, 1u << 17); }},
    {"cr3 beyond physical memory", Mode::Long, [] { set(vmcs::guest_cr3, limit()); }},
    {"cr3 bit 63", Mode::Long, [] { set(vmcs::guest_cr3, u64{1} << 63); }},
    {"debugctl with a reserved bit", Mode::Long,
     [] {
       enable(Word::Entry, entry_control::load_debug);
       put(vmcs::guest_debugctl, u64{1} << 40);
     }},
    {"dr7 bit 32", Mode::Long,
     [] {
       enable(Word::Entry, entry_control::load_debug);
       set(vmcs::guest_dr7, u64{1} << 32);
     }},
    {"sysenter_esp not canonical", Mode::Long, [] { put(vmcs::guest_sysenter_esp, not_canonical); }},
    {"sysenter_eip not canonical", Mode::Long, [] { put(vmcs::guest_sysenter_eip, not_canonical); }},
    {"rip above 32 bits, compatibility mode", Mode::Compatibility, [] { set(vmcs::guest_rip, u64{1} << 32); }},
    {"rip above 32 bits, protected mode", Mode::Pae, [] { set(vmcs::guest_rip, u64{1} << 32); }},
    {"rip not canonical", Mode::Long, [] { set(vmcs::guest_rip, not_canonical); }},
    {"rflags bit 1 clear", Mode::Long, [] { put(vmcs::guest_rflags, 0); }},
    {"rflags bit 3", Mode::Long, [] { set(vmcs::guest_rflags, 8); }},
    {"rflags bit 5", Mode::Long, [] { set(vmcs::guest_rflags, 0x20); }},
    {"rflags bit 15", Mode::Long, [] { set(vmcs::guest_rflags, 0x8000); }},
    {"rflags bit 22", Mode::Long, [] { set(vmcs::guest_rflags, 1u << 22); }},
    {"rflags.vm in long mode", Mode::Long, [] { set(vmcs::guest_rflags, 1u << 17); }},
    {"interrupt injected without if", Mode::Long, [] { put(vmcs::entry_event, event_valid | 0x30); }},
    {"activity state 4", Mode::Long, [] { put(vmcs::activity, 4); }},
    {"halted at level 3", Mode::Long,
     [] {
       at_level_3();
       put(vmcs::activity, 1);
     }},
    {"halted behind sti", Mode::Long,
     [] {
       set(vmcs::guest_rflags, 0x200);
       put(vmcs::interruptibility, 1);
       put(vmcs::activity, 1);
     }},
    {"shutdown behind mov ss", Mode::Long,
     [] {
       put(vmcs::interruptibility, 2);
       put(vmcs::activity, 2);
     }},
    {"halted with #UD injected", Mode::Long,
     [] {
       put(vmcs::activity, 1);
       put(vmcs::entry_event, event_valid | event_exception | 6);
     }},
    {"shutdown with an interrupt injected", Mode::Long,
     [] {
       set(vmcs::guest_rflags, 0x200);
       put(vmcs::activity, 2);
       put(vmcs::entry_event, event_valid | 0x30);
     }},
    {"interruptibility bit 5", Mode::Long, [] { put(vmcs::interruptibility, 0x20); }},
    {"blocked by sti and mov ss", Mode::Long,
     [] {
       set(vmcs::guest_rflags, 0x200);
       put(vmcs::interruptibility, 3);
     }},
    {"blocked by sti without if", Mode::Long, [] { put(vmcs::interruptibility, 1); }},
    {"blocked by smi", Mode::Long, [] { put(vmcs::interruptibility, 4); }},
    {"interrupt injected behind sti", Mode::Long,
     [] {
       set(vmcs::guest_rflags, 0x200);
       put(vmcs::interruptibility, 1);
       put(vmcs::entry_event, event_valid | 0x30);
     }},
    {"interrupt injected behind mov ss", Mode::Long,
     [] {
       set(vmcs::guest_rflags, 0x200);
       put(vmcs::interruptibility, 2);
       put(vmcs::entry_event, event_valid | 0x30);
     }},
    {"nmi injected behind mov ss", Mode::Long,
     [] {
       put(vmcs::interruptibility, 2);
       put(vmcs::entry_event, event_valid | event_nmi | 2);
     }},
    {"enclave interruption", Mode::Long, [] { put(vmcs::interruptibility, 0x10); }},
    {"pending debug exceptions, bit 4", Mode::Long, [] { put(vmcs::pending_debug, 0x10); }},
    {"pending debug exceptions, bit 13", Mode::Long, [] { put(vmcs::pending_debug, 0x2000); }},
    {"pending debug exceptions, bit 32", Mode::Long, [] { put(vmcs::pending_debug, u64{1} << 32); }},
    {"no pending step behind mov ss with tf", Mode::Long,
     [] {
       set(vmcs::guest_rflags, 0x100);
       put(vmcs::interruptibility, 2);
     }},
    {"pending step behind mov ss without tf", Mode::Long,
     [] {
       put(vmcs::interruptibility, 2);
       put(vmcs::pending_debug, 0x4000);
     }},
    {"link pointer not aligned", Mode::Long, [] { put(vmcs::link_pointer, reinterpret_cast<u64>(&other_region) + 8); },
     4},
    {"link pointer beyond physical memory", Mode::Long, [] { put(vmcs::link_pointer, limit()); }, 4},
    {"link pointer to another revision", Mode::Long,
     [] { put(vmcs::link_pointer, reinterpret_cast<u64>(&msr_area) & ~u64{0xfff}); }, 4},
    {"pdpte with a reserved bit", Mode::Pae, [] { pae_pointers[1] = 3; }, 2},
};

void virtual_nmis() {
  constexpr const char* name = "nmi injected, virtual nmis blocked";
  if (!has(Word::Pin, pin_control::virtual_nmi)) return absent(name);
  prepare(""_code);
  enable(Word::Pin, pin_control::nmi | pin_control::virtual_nmi);
  put(vmcs::interruptibility, 8);
  put(vmcs::entry_event, event_valid | event_nmi | 2);
  check_entry_failure(name, reason::invalid_state, 0);
}

/// Those that need a control to be loaded at all.
struct Loaded {
  const char* name;
  u32 control, field;
  u64 value;
};
constexpr Loaded loaded[] = {
    {"pat with type 2", entry_control::load_pat, vmcs::guest_pat, 0x0007'0406'0007'0402},
    {"pat with type 3", entry_control::load_pat, vmcs::guest_pat, 0x0307'0406'0007'0406},
    {"efer with a reserved bit", entry_control::load_efer, vmcs::guest_efer, 0xd02},
    {"efer.lma clear in long mode", entry_control::load_efer, vmcs::guest_efer, 0x900},
    {"efer.lme clear in long mode", entry_control::load_efer, vmcs::guest_efer, 0xc00},
    {"perf_global_ctrl with a reserved bit", entry_control::load_perf, vmcs::guest_perf, u64{1} << 63},
};

struct Msr {
  const char* name;
  u32 number;
  u64 value;
  u32 reserved = 0;
};
constexpr Msr msrs[] = {
    {"fs_base", msr_fs_base, 0},
    {"gs_base", msr_gs_base, 0},
    {"an x2apic register", 0x802, 0},
    {"a value that wrmsr refuses", msr_lstar, not_canonical},
    {"efer with a reserved bit", msr_efer, 2},
    {"reserved bits of the entry", msr_lstar, 0, 1},
    {"no msr", 0x4000'0000, 0},
};

void msr_loading() {
  begin_group("msr loading");
  for (const Msr& each : msrs) {
    for (const unsigned position : {1u, 2u}) {
      prepare(""_code);
      msr_area[0] = msr_kernel_gs_base;
      msr_area[1] = 0x1234;
      u64* const entry = msr_area + 2 * (position - 1);
      entry[0] = each.number | u64{each.reserved} << 32;
      entry[1] = each.value;
      put(vmcs::entry_msr_load, reinterpret_cast<u64>(msr_area));
      put(vmcs::entry_msr_load_count, position);
      begin_line("entry ", position, ", ");
      check_entry_failure(each.name, reason::msr_loading, position);
    }
  }
  prepare(""_code);
  msr_area[0] = msr_kernel_gs_base;
  msr_area[1] = 0x1234'5678;
  put(vmcs::entry_msr_load, reinterpret_cast<u64>(msr_area));
  put(vmcs::entry_msr_load_count, 1);
  check_finished("good");
  check("loaded", Field{"kernel_gs_base", read_msr(msr_kernel_gs_base), 0x1234'5678});
}

void failed_entries() {
  begin_group("failed entry");
  prepare(""_code);
  put(vmcs::guest_rflags, 0);
  put(vmcs::guest_cr4, get(vmcs::guest_cr4) | 0x80);
  const u64 cr4 = read_cr4();
  check_entry_failure("of the guest", reason::invalid_state, 0);
  check("leaves the guest's state", Field{"rip", get(vmcs::guest_rip), code_page},
        Field{"rflags", get(vmcs::guest_rflags), 0});
  check("loads the host's", Field{"cr4", read_cr4(), cr4});
  put(vmcs::guest_rflags, 2);
  check_finished("the vmcs stays clear");
}

}  // namespace

void check_guest_state() {
  begin_group("guest state");
  for (const Case& each : refused) {
    prepare(each.mode, ""_code);
    each.change();
    check_entry_failure(each.name, reason::invalid_state, each.qualification);
    pae_pointers[1] = 0;
  }
  virtual_nmis();
  for (const Loaded& each : loaded) {
    if (!has(Word::Entry, each.control)) {
      absent(each.name);
      continue;
    }
    prepare(""_code);
    enable(Word::Entry, each.control);
    put(each.field, each.value);
    check_entry_failure(each.name, reason::invalid_state, 0);
  }
  begin_group("guest state, unrestricted");
  if (prepare(Mode::Real, ""_code)) {
    set(vmcs::guest_cr0, 0x8000'0000);
    check_entry_failure("pg without pe", reason::invalid_state, 0);
    prepare(Mode::Real, ""_code);
    set(vmcs::guest_rflags, 1u << 17);
    check_entry_failure("rflags.vm in real mode", reason::invalid_state, 0);
    prepare(Mode::Real, ""_code);
    check_finished("real mode");
    prepare(Mode::Protected, ""_code);
    check_finished("protected mode without paging");
  } else {
    for (const char* name : {"pg without pe", "rflags.vm in real mode", "real mode", "protected mode without paging"}) {
      absent(name);
    }
  }
  begin_group("guest state accepted");
  for (const auto mode : {Mode::Long, Mode::Compatibility, Mode::Pae, Mode::Virtual8086}) {
    prepare(mode, ""_code);
    begin_line("mode ", static_cast<u32>(mode));
    if (mode == Mode::Virtual8086) {
      // VMCALL of virtual-8086 mode leaves the guest like any other (30.3).
      const u64 flags = enter();
      check("", Field{"flags", flags, succeeded}, Field{"reason", exit_reason(), reason::vmcall});
    } else {
      check_finished("");
    }
  }
  msr_loading();
  failed_entries();
}

}  // namespace guest
