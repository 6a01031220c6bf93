// Checks on the control fields, each of which ends in VMfailValid with error 7 (Intel SDM vol. 3, 26.2.1); and what they let
// pass.

#include "guests/conformance_vmx/ept.h"

namespace guest {

namespace {

constexpr u64 controls_error = 7;
alignas(4096) u8 page[4096];
alignas(4096) u64 msr_area[512];

u64 limit() { return u64{1} << (cpuid(0x8000'0008).eax & 0xff); }
u64 address(const void* p) { return reinterpret_cast<u64>(p); }

/// What a check needs of the processor: bits of up to three words.
struct Needs {
  u32 pin = 0, primary = 0, secondary = 0;
};

bool met(const Needs& needs) {
  return has(Word::Pin, needs.pin) && has(Word::Primary, needs.primary) &&
         (needs.secondary == 0 || has_secondary(needs.secondary));
}

struct Case {
  const char* name;
  Needs needs;
  void (*change)();
};

void with_tpr_shadow() {
  enable(Word::Primary, primary_control::tpr_shadow);
  put(vmcs::virtual_apic, address(page));
  __builtin_memset(page, 0, sizeof page);
}
void with_delivery() {
  with_tpr_shadow();
  enable(Word::Pin, pin_control::external);
  enable(Word::Secondary, secondary_control::interrupt_delivery);
}
void with_posted() {
  with_delivery();
  enable(Word::Exit, exit_control::acknowledge);
  enable(Word::Pin, pin_control::posted);
  put(vmcs::posted_descriptor, address(page) + 64);
  put(vmcs::posted_vector, 0xf0);
}
void without(Word word, u32 bits) { reset(field_of(word), bits); }

/// An address that must be aligned and lie in physical memory, in this field, under these controls.
struct Address {
  const char* name;
  u32 field;
  Needs needs;
  void (*enable)();
  u64 misaligned = 0x800;
};
constexpr Address addresses[] = {
    {"i/o bitmap a",
     vmcs::io_map_a,
     {0, primary_control::io_maps, 0},
     [] { enable(Word::Primary, primary_control::io_maps); }},
    {"i/o bitmap b",
     vmcs::io_map_b,
     {0, primary_control::io_maps, 0},
     [] { enable(Word::Primary, primary_control::io_maps); }},
    {"msr bitmap",
     vmcs::msr_map,
     {0, primary_control::msr_maps, 0},
     [] { enable(Word::Primary, primary_control::msr_maps); }},
    {"virtual-apic page", vmcs::virtual_apic, {0, primary_control::tpr_shadow, 0}, with_tpr_shadow},
    {"apic-access page",
     vmcs::apic_access,
     {0, 0, secondary_control::apic_accesses},
     [] { enable(Word::Secondary, secondary_control::apic_accesses); }},
    {"posted-interrupt descriptor", vmcs::posted_descriptor, {pin_control::posted, 0, 0}, with_posted, 32},
    {"pml address",
     vmcs::pml_address,
     {0, 0, secondary_control::pml},
     [] {
       enable_ept();
       enable(Word::Secondary, secondary_control::pml);
     }},
    {"vmread bitmap",
     vmcs::vmread_map,
     {0, 0, secondary_control::shadowing},
     [] { enable(Word::Secondary, secondary_control::shadowing); }},
    {"vmwrite bitmap",
     vmcs::vmwrite_map,
     {0, 0, secondary_control::shadowing},
     [] { enable(Word::Secondary, secondary_control::shadowing); }},
    {"#VE information",
     vmcs::ve_information,
     {0, 0, secondary_control::ve},
     [] {
       enable_ept();
       enable(Word::Secondary, secondary_control::ve);
     }},
    {"eptp list",
     vmcs::eptp_list,
     {0, 0, secondary_control::vmfunc},
     [] {
       enable_ept();
       enable(Word::Secondary, secondary_control::vmfunc);
       put(vmcs::vmfunc_controls, 1);
     }},
};

/// The other addresses that its controls read are good ones.
void put_good_addresses() {
  for (const Address& each : addresses) {
    if (met(each.needs)) put(each.field, address(page));
  }
}

void check_addresses() {
  begin_group("address");
  for (const Address& each : addresses) {
    if (!met(each.needs)) {
      begin_line(each.name, ", "), absent("not aligned");
      begin_line(each.name, ", "), absent("beyond physical memory");
      begin_line(each.name, ", "), absent("good");
      continue;
    }
    for (unsigned i = 0; i < 3; ++i) {
      prepare(""_code);
      put_good_addresses();
      each.enable();
      put(each.field, i == 0 ? address(page) + each.misaligned : i == 1 ? limit() : address(page));
      begin_line(each.name, ", ");
      if (i == 2) {
        check_finished("good");
      } else {
        check_refused(i == 0 ? "not aligned" : "beyond physical memory", controls_error);
      }
    }
  }
}

constexpr Case refused[] = {
    {"more cr3 targets than there are", {}, [] { put(vmcs::cr3_targets, (read_msr(msr_vmx_misc) >> 16 & 0x1ff) + 1); }},
    {"tpr threshold, reserved bits",
     {0, primary_control::tpr_shadow, 0},
     [] {
       with_tpr_shadow();
       put(vmcs::tpr_threshold, 0x10);
     }},
    {"tpr threshold above the priority",
     {0, primary_control::tpr_shadow, 0},
     [] {
       with_tpr_shadow();
       put(vmcs::tpr_threshold, 2);
     }},
    {"virtual nmis without nmi exiting",
     {pin_control::virtual_nmi, 0, 0},
     [] { enable(Word::Pin, pin_control::virtual_nmi); }},
    {"nmi window without virtual nmis",
     {0, primary_control::nmi_window, 0},
     [] { enable(Word::Primary, primary_control::nmi_window); }},
    {"x2apic without tpr shadow",
     {0, 0, secondary_control::x2apic},
     [] { enable(Word::Secondary, secondary_control::x2apic); }},
    {"apic registers without tpr shadow",
     {0, 0, secondary_control::apic_registers},
     [] { enable(Word::Secondary, secondary_control::apic_registers); }},
    {"interrupt delivery without tpr shadow",
     {0, 0, secondary_control::interrupt_delivery},
     [] {
       enable(Word::Pin, pin_control::external);
       enable(Word::Secondary, secondary_control::interrupt_delivery);
     }},
    {"x2apic and apic accesses",
     {0, 0, secondary_control::x2apic | secondary_control::apic_accesses},
     [] {
       with_tpr_shadow();
       put(vmcs::apic_access, address(page));
       enable(Word::Secondary, secondary_control::x2apic | secondary_control::apic_accesses);
     }},
    {"interrupt delivery without external interrupts",
     {0, 0, secondary_control::interrupt_delivery},
     [] {
       with_delivery();
       without(Word::Pin, pin_control::external);
     }},
    {"posted interrupts without interrupt delivery",
     {pin_control::posted, 0, 0},
     [] {
       with_posted();
       without(Word::Secondary, secondary_control::interrupt_delivery);
     }},
    {"posted interrupts without acknowledgement",
     {pin_control::posted, 0, 0},
     [] {
       with_posted();
       without(Word::Exit, exit_control::acknowledge);
     }},
    {"posted-interrupt vector above 255",
     {pin_control::posted, 0, 0},
     [] {
       with_posted();
       put(vmcs::posted_vector, 0x1f0);
     }},
    {"vpid 0", {0, 0, secondary_control::vpid}, [] { enable(Word::Secondary, secondary_control::vpid); }},
    {"unrestricted guest without ept",
     {0, 0, secondary_control::unrestricted},
     [] { enable(Word::Secondary, secondary_control::unrestricted); }},
    {"pml without ept",
     {0, 0, secondary_control::pml},
     [] {
       enable(Word::Secondary, secondary_control::pml);
       put(vmcs::pml_address, address(page));
     }},
    {"ept pointer, memory type",
     {0, 0, secondary_control::ept},
     [] {
       enable_ept();
       put(vmcs::eptp, (get(vmcs::eptp) & ~u64{7}) | 2);
     }},
    {"ept pointer, walk length",
     {0, 0, secondary_control::ept},
     [] {
       enable_ept();
       put(vmcs::eptp, (get(vmcs::eptp) & ~u64{0x38}) | 2u << 3);
     }},
    {"ept pointer, bit 8",
     {0, 0, secondary_control::ept},
     [] {
       enable_ept();
       set(vmcs::eptp, 0x100);
     }},
    {"ept pointer beyond physical memory",
     {0, 0, secondary_control::ept},
     [] {
       enable_ept();
       set(vmcs::eptp, limit());
     }},
    {"vm-function controls, reserved bits",
     {0, 0, secondary_control::vmfunc},
     [] {
       enable(Word::Secondary, secondary_control::vmfunc);
       put(vmcs::vmfunc_controls, u64{1} << 63);
     }},
    {"eptp switching without ept",
     {0, 0, secondary_control::vmfunc},
     [] {
       enable(Word::Secondary, secondary_control::vmfunc);
       put(vmcs::vmfunc_controls, 1);
       put(vmcs::eptp_list, address(page));
     }},
    {"tsc scaling by 0",
     {0, 0, secondary_control::tsc_scaling},
     [] {
       enable(Word::Secondary, secondary_control::tsc_scaling);
       put(vmcs::tsc_multiplier, 0);
     }},
    {"saving a preemption timer that is off",
     {pin_control::timer, 0, 0},
     [] { enable(Word::Exit, exit_control::save_timer); }},
    {"entry to smm", {}, [] { set(vmcs::entry_controls, entry_control::smm); }},
    {"deactivating dual-monitor treatment", {}, [] { set(vmcs::entry_controls, entry_control::dual_monitor); }},
};

struct Area {
  const char* name;
  u32 count, field;
};
constexpr Area areas[] = {{"exit msr store", vmcs::exit_msr_store_count, vmcs::exit_msr_store},
                          {"exit msr load", vmcs::exit_msr_load_count, vmcs::exit_msr_load},
                          {"entry msr load", vmcs::entry_msr_load_count, vmcs::entry_msr_load}};

void check_areas() {
  begin_group("msr area");
  for (const Area& area : areas) {
    struct Try {
      const char* name;
      u64 count, at;
    };
    const Try tries[] = {{"not aligned", 1, address(msr_area) + 8},
                         {"beyond physical memory", 1, limit()},
                         {"its end beyond physical memory", 2, limit() - 16}};
    for (const Try& each : tries) {
      prepare(""_code);
      put(area.count, each.count);
      put(area.field, each.at);
      begin_line(area.name, ", ");
      check_refused(each.name, controls_error);
    }
    prepare(""_code);
    put(area.field, address(msr_area) + 8);
    begin_line(area.name, ", ");
    check_finished("not looked at if the count is 0");
  }
}

struct Event {
  const char* name;
  u64 event;
  u64 error = 0, length = 1;
};
constexpr Event events[] = {
    {"type 1", event_valid | 1u << 8 | 0x30},
    {"nmi with vector 3", event_valid | event_nmi | 3},
    {"exception with vector 32", event_valid | event_exception | 32},
    {"other event with vector 1", event_valid | event_other | 1},
    {"reserved bit 12", event_valid | 1u << 12 | 0x30},
    {"reserved bit 30", event_valid | 1u << 30 | 0x30},
    {"error code for an interrupt", event_valid | event_has_code | 0x30},
    {"error code for #UD", event_valid | event_exception | event_has_code | 6},
    {"no error code for #GP", event_valid | event_exception | 13},
    {"no error code for #PF", event_valid | event_exception | 14},
    {"error code with bit 16", event_valid | event_exception | event_has_code | 13, 0x1'0000},
    {"int n of 16 bytes", event_valid | event_software | 0x30, 0, 16},
    {"int3 of 16 bytes", event_valid | event_software_exception | 3, 0, 16},
    {"icebp of 16 bytes", event_valid | event_privileged | 1, 0, 16},
};

void check_events() {
  begin_group("event");
  for (const Event& each : events) {
    if (is_bochs() && (each.event >> 8 & 7) == 7) {
      leave_out(each.name, "which ends Bochs");
      continue;
    }
    prepare(""_code);
    put(vmcs::entry_event, each.event);
    put(vmcs::entry_error, each.error);
    put(vmcs::entry_length, each.length);
    check_refused(each.name, controls_error);
  }
  prepare("\x90"_code);
  put(vmcs::entry_event, event_valid | event_software | 0x30);
  put(vmcs::entry_length, 0);
  if ((read_msr(msr_vmx_misc) >> 30 & 1) != 0) {
    enter();
    check_true("int n of 0 bytes", arrived(0x30));
  } else {
    check_refused("int n of 0 bytes", controls_error);
  }
  prepare(""_code);
  put(vmcs::entry_event, 1u << 8 | 0x30);
  check_finished("what is not valid is not looked at");
  if (!prepare(Mode::Real, ""_code)) return absent("error code in real mode");
  put(vmcs::entry_event, event_valid | event_exception | event_has_code | 13);
  check_refused("error code in real mode", controls_error);
}

}  // namespace

void check_controls() {
  begin_group("refused");
  for (const Case& each : refused) {
    if (!met(each.needs)) {
      absent(each.name);
      continue;
    }
    prepare(""_code);
    each.change();
    check_refused(each.name, controls_error);
  }
  check_addresses();
  check_areas();
  check_events();
}

}  // namespace guest
