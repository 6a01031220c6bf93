// Checks on the host-state area, each of which ends in VMfailValid with error 8 (Intel SDM vol. 3, 26.2.2 to 26.2.4).

#include "guests/conformance_vmx/machine.h"

namespace guest {

namespace {

constexpr u64 host_error = 8, not_canonical = u64{1} << 60;

u64 limit() { return u64{1} << (cpuid(0x8000'0008).eax & 0xff); }

struct Case {
  const char* name;
  u32 field;
  u64 set, clear = 0;
  u32 exit_control = 0;  ///< which must exist, and is switched on
};

constexpr Case cases[] = {
    {"cr0.pe clear", vmcs::host_cr0, 0, 1},
    {"cr0.ne clear", vmcs::host_cr0, 0, 0x20},
    {"cr0.pg clear", vmcs::host_cr0, 0, 0x8000'0000},
    {"cr0 bit 32", vmcs::host_cr0, u64{1} << 32},
    {"cr4.vmxe clear", vmcs::host_cr4, 0, 0x2000},
    {"cr4.pae clear", vmcs::host_cr4, 0, 0x20},
    {"cr4 bit 31", vmcs::host_cr4, 1u << 31},
    {"cr3 bit 63", vmcs::host_cr3, u64{1} << 63},
    {"sysenter_esp not canonical", vmcs::host_sysenter_esp, not_canonical},
    {"sysenter_eip not canonical", vmcs::host_sysenter_eip, not_canonical},
    {"cs with rpl", vmcs::host_cs, 3},
    {"cs of the ldt", vmcs::host_cs, 4},
    {"cs 0", vmcs::host_cs, 0, 0xffff},
    {"ss with rpl", vmcs::host_ss, 1},
    {"ss of the ldt", vmcs::host_ss, 4},
    {"ds with rpl", vmcs::host_ds, 2},
    {"ds of the ldt", vmcs::host_ds, 4},
    {"es with rpl", vmcs::host_es, 3},
    {"es of the ldt", vmcs::host_es, 4},
    {"fs with rpl", vmcs::host_fs, 3},
    {"fs of the ldt", vmcs::host_fs, 4},
    {"gs with rpl", vmcs::host_gs, 3},
    {"gs of the ldt", vmcs::host_gs, 4},
    {"tr with rpl", vmcs::host_tr, 1},
    {"tr of the ldt", vmcs::host_tr, 4},
    {"tr 0", vmcs::host_tr, 0, 0xffff},
    {"fs base not canonical", vmcs::host_fs_base, not_canonical},
    {"gs base not canonical", vmcs::host_gs_base, not_canonical},
    {"gdtr base not canonical", vmcs::host_gdtr_base, not_canonical},
    {"idtr base not canonical", vmcs::host_idtr_base, not_canonical},
    {"tr base not canonical", vmcs::host_tr_base, not_canonical},
    {"pat with type 2", vmcs::host_pat, 2, 7, exit_control::load_pat},
    {"pat with type 8", vmcs::host_pat, u64{8} << 56, u64{0xff} << 56, exit_control::load_pat},
    {"efer with a reserved bit", vmcs::host_efer, 2, 0, exit_control::load_efer},
    {"efer.lma clear", vmcs::host_efer, 0, 0x400, exit_control::load_efer},
    {"efer.lme clear", vmcs::host_efer, 0, 0x100, exit_control::load_efer},
    {"perf_global_ctrl with a reserved bit", vmcs::host_perf, u64{1} << 63, 0, exit_control::load_perf},
};

}  // namespace

void check_host_state() {
  begin_group("host state");
  for (const Case& each : cases) {
    if (each.exit_control != 0 && !has(Word::Exit, each.exit_control)) {
      absent(each.name);
      continue;
    }
    prepare(""_code);
    if (each.exit_control != 0) {
      if (each.field == vmcs::host_pat) put(vmcs::host_pat, read_msr(msr_pat));
      if (each.field == vmcs::host_perf) put(vmcs::host_perf, 0);
      enable(Word::Exit, each.exit_control);
    }
    put(each.field, (get(each.field) & ~each.clear) | each.set);
    check_refused(each.name, host_error);
  }
  prepare(""_code);
  set(vmcs::host_cr3, limit());
  check_refused("cr3 beyond physical memory", host_error);
  prepare(""_code);
  reset(vmcs::exit_controls, exit_control::host_64);
  const u64 flags = enter();
  check("a 64-bit host that would not be one", Field{"flags", flags, failed_valid});
  prepare(""_code);
  put(vmcs::guest_rflags, 0);
  put(vmcs::host_cs, 0);
  check_refused("before any check of the guest", host_error);
  prepare(""_code);
  put(vmcs::cr3_targets, 100);
  put(vmcs::host_cs, 0);
  check_refused("behind the checks of the controls", 7);
}

}  // namespace guest
