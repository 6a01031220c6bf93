// Checks on the segment registers of the guest: the entry fails with exit reason 33 (Intel SDM vol. 3, 26.3.1.2, 26.3.1.3).

#include "guests/conformance_vmx/ept.h"

namespace guest {

namespace {

constexpr u64 not_canonical = u64{1} << 60, high = u64{1} << 32, unusable = 1u << 16;

struct Case {
  const char* name;
  Mode mode;
  u32 field;
  u64 set, clear = 0;
};

/// Those of SS, DS, ES, FS and GS are made of one by the segment's index in order of the fields.
constexpr Case cases[] = {
    {"tr of the ldt", Mode::Long, vmcs::guest_tr, 4},
    {"ldtr of the ldt", Mode::Long, vmcs::guest_ldtr, 4},
    {"ss.rpl other than cs.rpl", Mode::Long, vmcs::guest_ss, 3},
    {"tr base not canonical", Mode::Long, vmcs::tr_base, not_canonical},
    {"fs base not canonical", Mode::Long, vmcs::fs_base, not_canonical},
    {"gs base not canonical", Mode::Long, vmcs::gs_base, not_canonical},
    {"cs base above 32 bits", Mode::Long, vmcs::cs_base, high},
    {"ss base above 32 bits", Mode::Long, vmcs::ss_base, high},
    {"ds base above 32 bits", Mode::Long, vmcs::ds_base, high},
    {"es base above 32 bits", Mode::Long, vmcs::es_base, high},
    {"cs, type 8, not accessed", Mode::Long, vmcs::cs_rights, 0, 3},
    {"cs, type 3", Mode::Long, vmcs::cs_rights, 0, 8},
    {"cs, type 10", Mode::Long, vmcs::cs_rights, 0, 1},
    {"cs, a system segment", Mode::Long, vmcs::cs_rights, 0, 0x10},
    {"cs, absent", Mode::Long, vmcs::cs_rights, 0, 0x80},
    {"cs, dpl other than ss.dpl", Mode::Long, vmcs::cs_rights, 0x60},
    {"conforming cs, dpl above ss.dpl", Mode::Long, vmcs::cs_rights, 0x64},
    {"cs, reserved bit 8", Mode::Long, vmcs::cs_rights, 0x100},
    {"cs, reserved bit 17", Mode::Long, vmcs::cs_rights, 1u << 17},
    {"cs, l and d", Mode::Long, vmcs::cs_rights, 0x4000},
    {"cs, page limit without g", Mode::Long, vmcs::cs_rights, 0, 0x8000},
    {"cs, byte limit with g", Mode::Long, vmcs::cs_limit, 0, 1},
    {"ss, type 1", Mode::Long, vmcs::ss_rights, 0, 2},
    {"ss, type 11", Mode::Long, vmcs::ss_rights, 8},
    {"ss, a system segment", Mode::Long, vmcs::ss_rights, 0, 0x10},
    {"ss, absent", Mode::Long, vmcs::ss_rights, 0, 0x80},
    {"ss, dpl other than rpl", Mode::Long, vmcs::ss_rights, 0x20},
    {"ss, reserved bit 11", Mode::Long, vmcs::ss_rights, 0x800},
    {"ss, byte limit with g", Mode::Long, vmcs::ss_limit, 0, 1},
    {"ds, not accessed", Mode::Long, vmcs::ds_rights, 0, 1},
    {"ds, code not readable", Mode::Long, vmcs::ds_rights, 8, 2},
    {"ds, a system segment", Mode::Long, vmcs::ds_rights, 0, 0x10},
    {"ds, absent", Mode::Long, vmcs::ds_rights, 0, 0x80},
    {"ds, dpl below rpl", Mode::Long, vmcs::guest_ds, 3},
    {"ds, reserved bit 9", Mode::Long, vmcs::ds_rights, 0x200},
    {"ds, page limit without g", Mode::Long, vmcs::ds_rights, 0, 0x8000},
    {"es, not accessed", Mode::Long, vmcs::es_rights, 0, 1},
    {"es, absent", Mode::Long, vmcs::es_rights, 0, 0x80},
    {"fs, not accessed", Mode::Long, vmcs::fs_rights, 0, 1},
    {"fs, absent", Mode::Long, vmcs::fs_rights, 0, 0x80},
    {"gs, not accessed", Mode::Long, vmcs::gs_rights, 0, 1},
    {"gs, absent", Mode::Long, vmcs::gs_rights, 0, 0x80},
    {"tr, type 3 in long mode", Mode::Long, vmcs::tr_rights, 0, 8},
    {"tr, type 9", Mode::Long, vmcs::tr_rights, 0, 2},
    {"tr, type 9 in protected mode", Mode::Pae, vmcs::tr_rights, 0, 2},
    {"tr, no system segment", Mode::Long, vmcs::tr_rights, 0x10},
    {"tr, absent", Mode::Long, vmcs::tr_rights, 0, 0x80},
    {"tr, reserved bit 10", Mode::Long, vmcs::tr_rights, 0x400},
    {"tr, byte limit with g", Mode::Long, vmcs::tr_rights, 0x8000},
    {"tr, page limit without g", Mode::Long, vmcs::tr_limit, 0x10'0000},
    {"tr unusable", Mode::Long, vmcs::tr_rights, unusable},
    {"gdtr base not canonical", Mode::Long, vmcs::gdtr_base, not_canonical},
    {"idtr base not canonical", Mode::Long, vmcs::idtr_base, not_canonical},
    {"gdtr limit above 16 bits", Mode::Long, vmcs::gdtr_limit, 0x1'0000},
    {"idtr limit above 16 bits", Mode::Long, vmcs::idtr_limit, 0x1'0000},
    {"virtual-8086 mode, cs base", Mode::Virtual8086, vmcs::cs_base, 0x10},
    {"virtual-8086 mode, ss base", Mode::Virtual8086, vmcs::ss_base, 0x10},
    {"virtual-8086 mode, ds base", Mode::Virtual8086, vmcs::ds_base, 0x10},
    {"virtual-8086 mode, cs limit", Mode::Virtual8086, vmcs::cs_limit, 0x1'0000},
    {"virtual-8086 mode, es limit", Mode::Virtual8086, vmcs::es_limit, 0, 1},
    {"virtual-8086 mode, cs rights", Mode::Virtual8086, vmcs::cs_rights, 8},
    {"virtual-8086 mode, ss rights", Mode::Virtual8086, vmcs::ss_rights, 0, 0x20},
    {"virtual-8086 mode, gs rights", Mode::Virtual8086, vmcs::gs_rights, 4},
};

/// A usable LDTR, which the cases above have not.
constexpr Case of_ldtr[] = {
    {"type 3", Mode::Long, vmcs::ldtr_rights, 1},
    {"no system segment", Mode::Long, vmcs::ldtr_rights, 0x10},
    {"absent", Mode::Long, vmcs::ldtr_rights, 0, 0x80},
    {"reserved bit 8", Mode::Long, vmcs::ldtr_rights, 0x100},
    {"page limit without g", Mode::Long, vmcs::ldtr_limit, 0x10'0000},
    {"base not canonical", Mode::Long, vmcs::ldtr_base, not_canonical},
    {"of the ldt", Mode::Long, vmcs::guest_ldtr, 4},
};

constexpr Case accepted[] = {
    {"cs unusable, which nothing asks for", Mode::Long, vmcs::cs_rights, unusable},
    {"ds unusable, everything else wrong", Mode::Long, vmcs::ds_rights, unusable, 0xff},
    {"es unusable", Mode::Long, vmcs::es_rights, unusable},
    {"ss unusable in 64-bit mode", Mode::Long, vmcs::ss_rights, unusable},
    {"fs unusable", Mode::Long, vmcs::fs_rights, unusable},
    {"conforming cs", Mode::Long, vmcs::cs_rights, 4},
    {"expand-down ss", Mode::Long, vmcs::ss_rights, 4},
    {"readable code in ds", Mode::Long, vmcs::ds_rights, 8},
    {"tr, type 3 in protected mode", Mode::Pae, vmcs::tr_rights, 0, 8},
    {"available bits", Mode::Long, vmcs::cs_rights, 0x1000},
    {"conforming ds, dpl below rpl", Mode::Long, vmcs::ds_rights, 0xc},
};

/// The rule of CS is kept by a conforming one, whose DPL need not be that of SS.
void stack_privilege() {
  prepare(""_code);
  set(vmcs::cs_rights, 4);
  set(vmcs::ss_rights, 0x60);
  check_entry_failure("ss, dpl other than rpl, conforming cs", reason::invalid_state, 0);
}

void change(const Case& each) { put(each.field, (get(each.field) & ~each.clear) | each.set); }

}  // namespace

void check_guest_segments() {
  begin_group("segment");
  for (const Case& each : cases) {
    prepare(each.mode, ""_code);
    if (each.field == vmcs::guest_ldtr) put(vmcs::ldtr_rights, 0x82);
    change(each);
    check_entry_failure(each.name, reason::invalid_state, 0);
  }
  stack_privilege();
  begin_group("ldtr");
  for (const Case& each : of_ldtr) {
    prepare(each.mode, ""_code);
    put(vmcs::ldtr_rights, 0x82);
    put(vmcs::ldtr_limit, 0xff);
    change(each);
    check_entry_failure(each.name, reason::invalid_state, 0);
  }
  begin_group("segment accepted");
  for (const Case& each : accepted) {
    prepare(each.mode, ""_code);
    change(each);
    check_finished(each.name);
  }
  for (const Mode mode : {Mode::Protected, Mode::Real}) {
    const char* const name = mode == Mode::Real ? "cs, type 3, real mode" : "cs, type 3, protected mode";
    if (!prepare(mode, ""_code)) {
      absent(name);
      continue;
    }
    put(vmcs::cs_rights, (get(vmcs::cs_rights) & ~u64{15}) | 3);
    check_finished(name);
  }
}

}  // namespace guest
