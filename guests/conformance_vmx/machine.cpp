#include "guests/conformance_vmx/machine.h"

#include "guests/conformance_vmx/ept.h"
#include "guests/runtime/apic.h"
#include "guests/runtime/interrupts.h"
#include "guests/runtime/segments.h"

extern "C" {
extern guest::u64 gdt[], page_map[];
guest::Registers registers;
guest::u64 vmx_enter(guest::Registers* registers, guest::u64 launched);
}

namespace guest {

alignas(4096) Region vmxon_region, region, other_region;

namespace {

constexpr u64 cr0_pe = 1, cr0_pg = 0x8000'0000, cr4_pae = 0x20, cr4_vmxe = 1u << 13;
constexpr u64 flags_of_vmx = 0x8d5;
constexpr u32 code64_rights = 0xa09b, code32_rights = 0xc09b, data_rights = 0xc093, task_rights = 0x8b,
              unusable = 1u << 16, v86_rights = 0xf3;
constexpr u32 watch_vector = 0x40;

unsigned code_size;
bool launched, watching;

}  // namespace

u64 vmxon(u64 address) {
  u64 flags;
  asm volatile("vmxon %1; pushfq; pop %0" : "=r"(flags) : "m"(address) : "memory", "cc");
  return flags & flags_of_vmx;
}

u64 vmclear(u64 address) {
  u64 flags;
  asm volatile("vmclear %1; pushfq; pop %0" : "=r"(flags) : "m"(address) : "memory", "cc");
  return flags & flags_of_vmx;
}

u64 vmptrld(u64 address) {
  u64 flags;
  asm volatile("vmptrld %1; pushfq; pop %0" : "=r"(flags) : "m"(address) : "memory", "cc");
  return flags & flags_of_vmx;
}

u64 vmwrite(u64 field, u64 value) {
  u64 flags;
  asm volatile("vmwrite %2, %1; pushfq; pop %0" : "=r"(flags) : "r"(field), "r"(value) : "memory", "cc");
  return flags & flags_of_vmx;
}

Read vmread(u64 field) {
  Read r{0, 0};
  asm volatile("vmread %2, %1; pushfq; pop %0" : "=r"(r.flags), "+r"(r.value) : "r"(field) : "memory", "cc");
  r.flags &= flags_of_vmx;
  return r;
}

u64 read_cr3() {
  u64 value;
  asm volatile("mov %%cr3, %0" : "=r"(value));
  return value;
}

u32 field_of(Word word) {
  constexpr u32 fields[] = {vmcs::pin, vmcs::primary, vmcs::secondary, vmcs::exit_controls, vmcs::entry_controls};
  return fields[static_cast<unsigned>(word)];
}

u64 capability(Word word) {
  constexpr u32 plain[] = {msr_vmx_pin, msr_vmx_primary, msr_vmx_secondary, msr_vmx_exit, msr_vmx_entry};
  constexpr u32 precise[] = {msr_true_pin, msr_true_primary, msr_vmx_secondary, msr_true_exit, msr_true_entry};
  const bool has_precise = (read_msr(msr_vmx_basic) >> 55 & 1) != 0;
  return read_msr((has_precise ? precise : plain)[static_cast<unsigned>(word)]);
}

bool has(Word word, u32 bits) { return (may_be_1(word) & bits) == bits; }

void enable(Word word, u32 bits) {
  if (word == Word::Secondary) set(vmcs::primary, primary_control::secondary);
  set(field_of(word), bits);
}

bool is_intel_with_vmx() { return (cpuid(1).ecx >> 5 & 1) != 0; }

bool is_bochs() { return (read_msr(msr_vmx_basic) & 0x7fff'ffff) == 0x2b; }

void start_vmx() {
  fill_guest_tables();
  write_cr0((read_cr0() | read_msr(msr_cr0_fixed0)) & read_msr(msr_cr0_fixed1));
  write_cr4((read_cr4() | cr4_vmxe | read_msr(msr_cr4_fixed0)) & read_msr(msr_cr4_fixed1));
  const u32 revision = static_cast<u32>(read_msr(msr_vmx_basic)) & 0x7fff'ffff;
  vmxon_region.revision = region.revision = other_region.revision = revision;
  vmxon(reinterpret_cast<u64>(&vmxon_region));
}

bool is_possible(Mode mode) {
  if (mode != Mode::Protected && mode != Mode::Real) return true;
  return has_secondary(secondary_control::ept | secondary_control::unrestricted);
}

namespace {

void put_segment(u32 selector_field, u64 selector, u64 base, u64 limit, u64 rights) {
  const u32 index = (selector_field - vmcs::guest_es) / 2;
  put(selector_field, selector);
  put(vmcs::es_base + 2 * index, base);
  put(vmcs::es_limit + 2 * index, limit);
  put(vmcs::es_rights + 2 * index, rights);
}

void put_segments(Mode mode) {
  const bool is_16_bit = mode == Mode::Real || mode == Mode::Virtual8086;
  const bool is_long = mode == Mode::Long;
  const u32 rights16 = mode == Mode::Virtual8086 ? v86_rights : 0x93;
  for (const u32 field : {vmcs::guest_es, vmcs::guest_ss, vmcs::guest_ds, vmcs::guest_fs, vmcs::guest_gs}) {
    if (is_16_bit) {
      put_segment(field, 0, 0, 0xffff, rights16);
    } else {
      put_segment(field, data_selector, 0, 0xffff'ffff, data_rights);
    }
  }
  if (is_16_bit) {
    put_segment(vmcs::guest_cs, low_page >> 4, low_page, 0xffff, mode == Mode::Virtual8086 ? v86_rights : 0x9b);
  } else {
    put_segment(vmcs::guest_cs, is_long ? code_selector : code32_selector, 0, 0xffff'ffff,
                is_long ? code64_rights : code32_rights);
  }
  put_segment(vmcs::guest_ldtr, 0, 0, 0, unusable);
  put_segment(vmcs::guest_tr, 0x48, reinterpret_cast<u64>(is_long ? task_state : task_state32), 0x67, task_rights);
  put(vmcs::gdtr_base, reinterpret_cast<u64>(gdt));
  put(vmcs::gdtr_limit, 0xffff);
  const bool is_64 = is_long || mode == Mode::Compatibility;
  put(vmcs::idtr_base, is_16_bit ? 0 : reinterpret_cast<u64>(is_64 ? guest_idt : guest_idt32));
  put(vmcs::idtr_limit, mode == Mode::Real ? 0 : is_64 ? sizeof guest_idt - 1 : sizeof guest_idt32 - 1);
  if (mode == Mode::Virtual8086) put(vmcs::idtr_base, reinterpret_cast<u64>(guest_idt32));
}

void put_control_registers(Mode mode) {
  u64 cr0 = read_cr0();
  const u64 cr4 = read_cr4();
  u64 efer = read_msr(msr_efer);
  if (mode == Mode::Protected || mode == Mode::Real) {
    cr0 &= ~(cr0_pg | (mode == Mode::Real ? cr0_pe : 0));
    enable_ept();
    enable(Word::Secondary, secondary_control::unrestricted);
  }
  put(vmcs::guest_cr0, cr0);
  put(vmcs::guest_cr4, cr4);
  const bool is_64 = mode == Mode::Long || mode == Mode::Compatibility;
  put(vmcs::guest_cr3, reinterpret_cast<u64>(is_64 ? page_map : pae_pointers));
  if (is_64) {
    enable(Word::Entry, entry_control::guest_64);
  } else {
    efer &= ~u64{0x500};
  }
  put(vmcs::guest_efer, efer);
  put(vmcs::host_efer, read_msr(msr_efer));
  if (has(Word::Entry, entry_control::load_efer)) enable(Word::Entry, entry_control::load_efer);
  if (has(Word::Exit, exit_control::load_efer)) enable(Word::Exit, exit_control::load_efer | exit_control::save_efer);
}

u64 task_base() {
  u16 selector;
  asm volatile("str %0" : "=r"(selector));
  const u64 low = gdt[selector / 8];
  return (low >> 16 & 0xff'ffff) | (low >> 56) << 24 | gdt[selector / 8 + 1] << 32;
}

void put_host_state() {
  struct [[gnu::packed]] {
    u16 limit;
    u64 base;
  } gdtr{}, idtr{};
  asm volatile("sgdt %0" : "=m"(gdtr));
  asm volatile("sidt %0" : "=m"(idtr));
  put(vmcs::host_cr0, read_cr0());
  put(vmcs::host_cr3, read_cr3());
  put(vmcs::host_cr4, read_cr4());
  put(vmcs::host_cs, code_selector);
  for (const u32 field : {vmcs::host_es, vmcs::host_ss, vmcs::host_ds}) put(field, data_selector);
  put(vmcs::host_fs, 0);
  put(vmcs::host_gs, 0);
  put(vmcs::host_tr, 0x48);
  put(vmcs::host_tr_base, task_base());
  put(vmcs::host_gdtr_base, gdtr.base);
  put(vmcs::host_idtr_base, idtr.base);
  for (const u32 field : {vmcs::host_fs_base, vmcs::host_gs_base, vmcs::host_sysenter_cs, vmcs::host_sysenter_esp,
                          vmcs::host_sysenter_eip}) {
    put(field, 0);
  }
}

void put_controls() {
  for (const Word word : {Word::Pin, Word::Primary, Word::Exit, Word::Entry}) put(field_of(word), must_be_1(word));
  put(vmcs::secondary, 0);
  enable(Word::Exit, exit_control::host_64);
  for (const u32 field : {vmcs::exceptions,
                          vmcs::fault_mask,
                          vmcs::fault_match,
                          vmcs::cr3_targets,
                          vmcs::exit_msr_store_count,
                          vmcs::exit_msr_load_count,
                          vmcs::entry_msr_load_count,
                          vmcs::entry_event,
                          vmcs::tpr_threshold,
                          vmcs::cr0_mask,
                          vmcs::cr4_mask,
                          vmcs::cr0_shadow,
                          vmcs::cr4_shadow,
                          vmcs::interruptibility,
                          vmcs::activity,
                          vmcs::pending_debug,
                          vmcs::guest_debugctl,
                          vmcs::guest_sysenter_cs,
                          vmcs::guest_sysenter_esp,
                          vmcs::guest_sysenter_eip,
                          vmcs::vpid}) {
    put(field, 0);
  }
  put(vmcs::link_pointer, ~u64{0});
}

}  // namespace

bool prepare(Mode mode, Code code) {
  if (!is_possible(mode)) return false;
  vmclear(reinterpret_cast<u64>(&region));
  vmptrld(reinterpret_cast<u64>(&region));
  launched = false;
  __builtin_memset(&registers, 0, sizeof registers);
  code_size = code.size;
  put_controls();
  put_host_state();
  put_segments(mode);
  put_control_registers(mode);
  const bool is_16_bit = mode == Mode::Real || mode == Mode::Virtual8086;
  put_code(is_16_bit ? low_page : code_page, code, "\x0f\x01\xc1"_code);
  put(vmcs::guest_rip, is_16_bit ? 0 : code_page);
  put(vmcs::guest_rsp, is_16_bit ? low_page : stack_top);
  put(vmcs::guest_rflags, mode == Mode::Virtual8086 ? 0x2'0002 : 2);
  put(vmcs::guest_dr7, 0x400);
  return true;
}

void at_level_3() {
  const bool is_64 = (get(vmcs::cs_rights) & 0x2000) != 0;
  put(vmcs::guest_cs, is_64 ? user_code_selector : user_code32_selector);
  set(vmcs::cs_rights, 0x60);
  for (u32 index = 0; index < 6; ++index) {
    if (index == 1) continue;
    put(vmcs::guest_es + 2 * index, user_data_selector);
    set(vmcs::es_rights + 2 * index, 0x60);
  }
}

void watch() {
  enable(Word::Pin, pin_control::external);
  set_handler(watch_vector, [](Frame&) { end_of_interrupt(); });
  enable_apic(false);
  write_apic(ApicRegister::Timer, watch_vector);
  write_apic(ApicRegister::InitialCount, 10'000'000);
  watching = true;
}

u64 enter() {
  const u64 flags = vmx_enter(&registers, launched);
  if (flags == 0 && (exit_reason() >> 31 & 1) == 0) launched = true;
  if (watching) {
    write_apic(ApicRegister::InitialCount, 0);
    asm volatile("sti; nop; nop; cli" : : : "memory");
    watching = false;
  }
  return flags & flags_of_vmx;
}

bool arrived(unsigned vector) { return exit_reason() == reason::vmcall && get(vmcs::guest_rip) == event_entry(vector); }

u64 stack_word(unsigned n) {
  const u64 rsp = get(vmcs::guest_rsp);
  if ((get(vmcs::entry_controls) & entry_control::guest_64) == 0) {
    return reinterpret_cast<volatile u32*>(rsp & 0xffff'ffff)[n];
  }
  return reinterpret_cast<volatile u64*>(rsp)[n];
}

void check_exit(const char* name, const Exit& wanted) {
  const u64 flags = enter();
  check(name, Field{"flags", flags, succeeded}, Field{"reason", exit_reason(), wanted.reason},
        Field{"rip", code_offset(), wanted.at}, Field{"length", get(vmcs::instruction_length), wanted.length},
        Field{"qualification", get(vmcs::qualification), wanted.qualification},
        Field{"information", get(vmcs::instruction_information) & wanted.information_mask, wanted.information});
}

void check_finished(const char* name) {
  const u64 flags = enter();
  check(name, Field{"flags", flags, succeeded}, Field{"reason", exit_reason(), reason::vmcall},
        Field{"rip", code_offset(), code_size});
}

void check_error(const char* name, u64 flags, u64 error) {
  check(name, Field{"flags", flags, failed_valid}, Field{"error", get(vmcs::instruction_error), error});
}

void check_refused(const char* name, u64 error) { check_error(name, enter(), error); }

void check_entry_failure(const char* name, u64 reason, u64 qualification) {
  const u64 flags = enter();
  check(name, Field{"flags", flags, succeeded}, Field{"reason", exit_reason(), reason},
        Field{"qualification", get(vmcs::qualification), qualification});
}

}  // namespace guest
