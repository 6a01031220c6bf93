// Each field of the VMCS: readable and writable if the processor has it, of its width (Intel SDM vol. 3, 24.11.2, appendix B).

#include "guests/conformance_vmx/ept.h"

namespace guest {

namespace {

/// What must be there for a field to exist.
struct Needs {
  Word word = Word::Pin;
  u32 bits = 0;
};
constexpr Needs second(u32 bits) { return {Word::Secondary, bits}; }

struct Row {
  u32 first, last;
  const char* name;
  Needs needs{};
};

constexpr Row rows[] = {
    {0x0, 0x0, "vpid", second(secondary_control::vpid)},
    {0x2, 0x2, "posted-interrupt vector", {Word::Pin, pin_control::posted}},
    {0x4, 0x4, "eptp index", second(secondary_control::ve)},
    {0x800, 0x80e, "guest selectors"},
    {0x810, 0x810, "guest interrupt status", second(secondary_control::interrupt_delivery)},
    {0x812, 0x812, "pml index", second(secondary_control::pml)},
    {0xc00, 0xc0c, "host selectors"},
    {0x2000, 0x2002, "i/o bitmaps"},
    {0x2004, 0x2004, "msr bitmap", {Word::Primary, primary_control::msr_maps}},
    {0x2006, 0x200a, "msr areas"},
    {0x200e, 0x200e, "pml address", second(secondary_control::pml)},
    {0x2010, 0x2010, "tsc offset"},
    {0x2012, 0x2012, "virtual-apic page", {Word::Primary, primary_control::tpr_shadow}},
    {0x2014, 0x2014, "apic-access page", second(secondary_control::apic_accesses)},
    {0x2016, 0x2016, "posted-interrupt descriptor", {Word::Pin, pin_control::posted}},
    {0x2018, 0x2018, "vm-function controls", second(secondary_control::vmfunc)},
    {0x201a, 0x201a, "ept pointer", second(secondary_control::ept)},
    {0x201c, 0x2022, "eoi-exit bitmaps", second(secondary_control::interrupt_delivery)},
    {0x2024, 0x2024, "eptp list", second(secondary_control::vmfunc)},
    {0x2026, 0x2028, "vmread and vmwrite bitmaps", second(secondary_control::shadowing)},
    {0x202a, 0x202a, "#VE information", second(secondary_control::ve)},
    {0x202c, 0x202c, "xss-exiting bitmap", second(secondary_control::xsaves)},
    {0x2032, 0x2032, "tsc multiplier", second(secondary_control::tsc_scaling)},
    {0x2800, 0x2802, "link pointer, debugctl"},
    {0x2804, 0x2804, "guest pat", {Word::Entry, entry_control::load_pat}},
    {0x2806, 0x2806, "guest efer", {Word::Entry, entry_control::load_efer}},
    {0x2808, 0x2808, "guest perf_global_ctrl", {Word::Entry, entry_control::load_perf}},
    {0x280a, 0x2810, "guest pdptes", second(secondary_control::ept)},
    {0x2c00, 0x2c00, "host pat", {Word::Exit, exit_control::load_pat}},
    {0x2c02, 0x2c02, "host efer", {Word::Exit, exit_control::load_efer}},
    {0x2c04, 0x2c04, "host perf_global_ctrl", {Word::Exit, exit_control::load_perf}},
    {0x4000, 0x401a, "32-bit controls"},
    {0x401c, 0x401c, "tpr threshold", {Word::Primary, primary_control::tpr_shadow}},
    {0x401e, 0x401e, "secondary controls", {Word::Primary, primary_control::secondary}},
    {0x4020, 0x4022, "pause-loop gap and window", second(secondary_control::pause_loop)},
    {0x4800, 0x4826, "32-bit guest state"},
    {0x4828, 0x482a, "smbase, sysenter_cs"},
    {0x482e, 0x482e, "preemption timer", {Word::Pin, pin_control::timer}},
    {0x4c00, 0x4c00, "host sysenter_cs"},
    {0x6000, 0x600e, "masks, shadows, cr3 targets"},
    {0x6800, 0x6826, "natural-width guest state"},
    {0x6c00, 0x6c16, "natural-width host state"},
};

bool exists(const Needs& needs) {
  if (needs.bits == 0) return true;
  return needs.word == Word::Secondary ? has_secondary(needs.bits) : has(needs.word, needs.bits);
}

/// Bits of a field: 16, 64, 32 or the natural width, by bits 14:13 of its encoding.
u64 mask_of(u32 field) {
  constexpr u64 masks[] = {0xffff, ~u64{0}, 0xffff'ffff, ~u64{0}};
  return masks[field >> 13 & 3];
}

/// Access rights keep only the bits that are not reserved, as the manual lets them (24.4.1).
u64 kept_mask(u32 field) { return field >= vmcs::es_rights && field <= vmcs::tr_rights ? 0x1'f0ff : mask_of(field); }

void check_row(const Row& row) {
  if (!exists(row.needs)) {
    bool missing = true;
    for (u32 field = row.first; field <= row.last; field += 2) {
      missing = missing && vmread(field).flags == failed_valid && vmwrite(field, 0) == failed_valid;
    }
    begin_line(missing ? "" : "(but there) ");
    return absent(row.name);
  }
  u64 wrong = 0;
  constexpr u64 pattern = 0x0123'4567'89ab'cdef;
  for (u32 field = row.first; field <= row.last; field += 2) {
    for (const u64 value : {pattern, ~pattern}) {
      const bool written = vmwrite(field, value) == succeeded;
      const Read read = vmread(field);
      if (!written || read.flags != succeeded || ((read.value ^ value) & kept_mask(field)) != 0) wrong = field;
      if ((read.value & ~mask_of(field)) != 0) wrong = field;
    }
  }
  check(row.name, Field{"field", wrong, 0});
}

void high_halves() {
  begin_group("high halves");
  vmwrite(vmcs::tsc_offset, 0x1234'5678'9abc'def0);
  check("read", Field{"value", vmread(vmcs::tsc_offset + 1).value, 0x1234'5678});
  vmwrite(vmcs::tsc_offset + 1, 0xffff'ffff'8765'4321);
  check("written", Field{"value", vmread(vmcs::tsc_offset).value, 0x8765'4321'9abc'def0});
  check("of a 16-bit field", Field{"flags", vmread(vmcs::guest_es + 1).flags, failed_valid});
  check("of a 32-bit field", Field{"flags", vmread(vmcs::pin + 1).flags, failed_valid});
  check("of a natural-width field", Field{"flags", vmread(vmcs::guest_rip + 1).flags, failed_valid});
}

void memory_operands() {
  begin_group("operands in memory");
  u64 value = 0x1122'3344'5566'7788;
  asm volatile("vmwrite %0, %1" : : "m"(value), "r"(u64{vmcs::guest_rip}) : "cc", "memory");
  value = 0;
  asm volatile("vmread %1, %0" : "=m"(value) : "r"(u64{vmcs::guest_rip}) : "cc", "memory");
  check("64 bits", Field{"value", value, 0x1122'3344'5566'7788});
  vmwrite(vmcs::guest_es, 0xffff);
  value = ~u64{0};
  asm volatile("vmread %1, %0" : "+m"(value) : "r"(u64{vmcs::guest_es}) : "cc", "memory");
  check("vmread of a 16-bit field clears the rest", Field{"value", value, 0xffff});
}

void exit_fields() {
  begin_group("exit fields");
  for (const u32 field :
       {vmcs::instruction_error, vmcs::exit_reason, vmcs::exit_event, vmcs::exit_error, vmcs::vectoring,
        vmcs::vectoring_error, vmcs::instruction_length, vmcs::instruction_information, vmcs::qualification,
        vmcs::io_rcx, vmcs::io_rsi, vmcs::io_rdi, vmcs::io_rip, vmcs::guest_linear}) {
    begin_line(Hex{field});
    check("", Field{"flags", vmread(field).flags, succeeded});
  }
}

}  // namespace

void check_fields() {
  begin_group("fields");
  prepare(""_code);
  for (const Row& row : rows) check_row(row);
  high_halves();
  memory_operands();
  exit_fields();
}

}  // namespace guest
