// What control registers, MSRs, XCR0 and descriptor-table registers accept (Intel SDM vol. 3, 2.5; vol. 4).

#include "guests/conformance_processor/processor.h"

namespace guest {

namespace {

constexpr u64 not_canonical = 0xaaaa'aaaa'aaaa'aaaa, canonical_57 = 0x00aa'aaaa'aaaa'aaaa,
              canonical_48 = 0xffff'aaaa'aaaa'aaaa;
constexpr u32 misc_enable = 0x1a0, machine_check_capability = 0x179, bank_0 = 0x400, tsc_adjust = 0x3b,
              efer = 0xc000'0080;
constexpr u64 process_contexts = 1u << 17, xsave_enable = 1u << 18, five_levels = 1u << 12, user_keys = 1u << 22;

bool has_five_levels() { return has_structured_feature(&CpuId::ecx, 16); }

template <u32 number>
void write_number(u64 value) {
  write_msr(number, value);
}
template <u32 number>
void read_number(u64) {
  static_cast<void>(read_msr(number));
}

template <u32 number>
bool keeps(u64 value) {
  const u64 before = read_msr(number);
  write_msr(number, value);
  const u64 after = read_msr(number);
  write_msr(number, before);
  return after == value;
}

template <u32 number>
bool checks_address() {
  const u64 before = read_msr(number);
  const bool narrow = succeeds(write_number<number>, canonical_48);
  const bool wide = succeeds(write_number<number>, canonical_57);
  const bool none = raises(general_protection, write_number<number>, not_canonical);
  write_msr(number, before);
  return narrow && wide == has_five_levels() && none;
}

bool addresses_must_be_canonical() {
  return checks_address<0xc000'0100>() && checks_address<0xc000'0101>() && checks_address<0xc000'0102>() &&
         checks_address<0xc000'0082>() && checks_address<0xc000'0083>();
}

bool misc_enable_is_writable() {
  constexpr u32 of_intel = 0x756e'6547;  // "Genu"
  if (cpuid(0).ebx != of_intel) return true;
  // XD disable, xTPR, limited CPUID, MONITOR, SpeedStep, thermal control, fast strings; what else reads as set stays.
  constexpr u64 read_only = 0x1880;
  const u64 value = (0x4'00c5'0809 & ~read_only) | (read_msr(misc_enable) & read_only);
  return keeps<misc_enable>(value);
}

bool machine_check_banks_hold_what_they_may() {
  return (read_msr(machine_check_capability) & 0xff) != 0 && keeps<bank_0>(0) && keeps<bank_0>(~u64{0}) &&
         keeps<bank_0 + 1>(0) && raises(general_protection, write_number<bank_0 + 1>, 1) &&
         keeps<bank_0 + 2>(not_canonical) && keeps<bank_0 + 3>(~u64{0});
}

bool absent_msrs_fault() {
  return raises(general_protection, read_number<0x4000'0000>) && raises(general_protection, write_number<0x4000'0000>);
}

bool efer_refuses_reserved_bits() {
  return raises(general_protection, write_number<efer>, read_msr(efer) | 1u << 9) &&
         raises(general_protection, write_number<efer>, read_msr(efer) & ~u64{0x100}) &&
         succeeds(write_number<efer>, read_msr(efer));
}

bool tsc_adjust_follows_the_tsc() {
  if (!has_structured_feature(&CpuId::ebx, 1)) return raises(general_protection, read_number<tsc_adjust>);
  constexpr u64 distance = 100'000'000'000;
  const u64 before = read_tsc();
  write_msr(tsc_adjust, distance);
  const u64 moved = read_tsc() - before;
  const bool stored = read_msr(tsc_adjust) == distance;
  write_msr(tsc_adjust, 0);
  return stored && moved >= distance && read_msr(tsc_adjust) == 0;
}

template <bool interrupts>
void load_table(u64 base) {
  struct [[gnu::packed]] {
    u16 limit;
    u64 base;
  } table;
  if constexpr (interrupts)
    asm volatile("sidt %0" : "=m"(table));
  else
    asm volatile("sgdt %0" : "=m"(table));
  const auto old = table;
  table.base = base;
  if constexpr (interrupts)
    asm volatile("lidt %0; lidt %1" : : "m"(table), "m"(old));
  else
    asm volatile("lgdt %0; lgdt %1" : : "m"(table), "m"(old));
}

bool table_bases_must_be_canonical() {
  return succeeds(load_table<false>, canonical_48) && succeeds(load_table<true>, canonical_48) &&
         raises(general_protection, load_table<false>, not_canonical) &&
         raises(general_protection, load_table<true>, not_canonical) &&
         succeeds(load_table<false>, canonical_57) == has_five_levels() &&
         succeeds(load_table<true>, canonical_57) == has_five_levels();
}

bool cr4_refuses_what_is_reserved() {
  const u64 cr4 = read_cr<4>();
  return raises(general_protection, write_cr<4>, cr4 | u64{1} << 31) &&
         raises(general_protection, write_cr<4>, ~u64{0}) &&
         raises(general_protection, write_cr<4>, cr4 ^ five_levels) &&
         raises(general_protection, write_cr<4>, cr4 & ~u64{0x20}) && succeeds(write_cr<4>, cr4);
}

bool cr0_refuses_contradictions() {
  const u64 cr0 = read_cr<0>();
  return raises(general_protection, write_cr<0>, cr0 & ~u64{1}) &&
         raises(general_protection, write_cr<0>, cr0 & ~(u64{1} << 31)) &&
         raises(general_protection, write_cr<0>, cr0 | 1u << 29) &&
         raises(general_protection, write_cr<0>, cr0 | u64{1} << 32);
}

void write_cr8(u64 value) { asm volatile("mov %0, %%cr8" : : "r"(value)); }

bool cr8_is_four_bits() {
  write_cr8(3);
  u64 value;
  asm volatile("mov %%cr8, %0" : "=r"(value));
  write_cr8(0);
  return value == 3 && raises(general_protection, write_cr8, 16);
}

bool pcide_needs_context_zero() {
  if ((cpuid(1).ecx >> 17 & 1) == 0) return raises(general_protection, write_cr<4>, read_cr<4>() | process_contexts);
  const u64 cr3 = read_cr<3>();
  const u64 cr4 = read_cr<4>();
  write_cr<3>(cr3 | 0x10);
  const bool refused = raises(general_protection, write_cr<4>, cr4 | process_contexts);
  write_cr<3>(cr3);
  const bool accepted = succeeds(write_cr<4>, cr4 | process_contexts);
  const bool pinned = raises(general_protection, write_cr<0>, read_cr<0>() & ~(u64{1} << 31));
  write_cr<4>(cr4);
  return refused && accepted && pinned;
}

template <u64 type, u64 pcid>
void invalidate_context(u64 address) {
  const u64 descriptor[2] = {pcid, address};
  asm volatile("invpcid %0, %1" : : "m"(descriptor), "r"(type) : "memory");
}

bool invpcid_checks_its_operands() {
  if (!has_structured_feature(&CpuId::ebx, 10)) return raises(invalid_opcode, invalidate_context<2, 0>);
  const u64 cr4 = read_cr<4>();
  const bool off = succeeds(invalidate_context<1, 0>) && raises(general_protection, invalidate_context<1, 1>);
  write_cr<4>(cr4 | process_contexts);
  const bool on = succeeds(invalidate_context<1, 10>) && succeeds(invalidate_context<2, 10>) &&
                  succeeds(invalidate_context<3, 0>) && raises(general_protection, invalidate_context<4, 0>) &&
                  raises(general_protection, invalidate_context<0, 4096>) &&
                  raises(general_protection, invalidate_context<0, 10>, not_canonical) &&
                  succeeds(invalidate_context<0, 10>, canonical_57) == has_five_levels();
  write_cr<4>(cr4);
  return off && on;
}

template <u32 number>
void write_xcr(u64 value) {
  asm volatile("xsetbv" : : "c"(number), "a"(static_cast<u32>(value)), "d"(static_cast<u32>(value >> 32)));
}
template <u32 number>
void read_xcr(u64) {
  asm volatile("xgetbv" : : "c"(number) : "rax", "rdx");
}

bool xcr0_keeps_its_rules() {
  const u64 cr4 = read_cr<4>();
  if ((cpuid(1).ecx >> 26 & 1) == 0) return raises(general_protection, write_cr<4>, cr4 | xsave_enable);
  const bool off =
      raises(invalid_opcode, read_xcr<0>) && raises(invalid_opcode, write_xcr<0>, 3) && (cpuid(1).ecx >> 27 & 1) == 0;
  write_cr<4>(cr4 | xsave_enable);
  const bool on = (cpuid(1).ecx >> 27 & 1) != 0 && succeeds(write_xcr<0>, 1) && succeeds(write_xcr<0>, 3) &&
                  raises(general_protection, write_xcr<0>, 0) && raises(general_protection, write_xcr<0>, 2) &&
                  raises(general_protection, write_xcr<0>, 5) && raises(general_protection, write_xcr<1>, 3) &&
                  raises(general_protection, read_xcr<2>) && raises(general_protection, read_xcr<0x8000'0000>);
  write_cr<4>(cr4);
  return off && on;
}

bool protection_keys_show_in_cpuid() {
  if (!has_structured_feature(&CpuId::ecx, 3)) return raises(general_protection, write_cr<4>, read_cr<4>() | user_keys);
  const bool before = has_structured_feature(&CpuId::ecx, 4);
  write_cr<4>(read_cr<4>() | user_keys);
  const bool after = has_structured_feature(&CpuId::ecx, 4);
  write_cr<4>(read_cr<4>() & ~user_keys);
  return !before && after;
}

constexpr ProcessorCheck checks[] = {
    {"MSRs that hold addresses", addresses_must_be_canonical},
    {"MISC_ENABLE", misc_enable_is_writable},
    {"machine-check banks", machine_check_banks_hold_what_they_may},
    {"absent MSRs", absent_msrs_fault},
    {"EFER", efer_refuses_reserved_bits},
    {"TSC_ADJUST", tsc_adjust_follows_the_tsc},
    {"bases of LGDT and LIDT", table_bases_must_be_canonical},
    {"CR0", cr0_refuses_contradictions},
    {"CR4", cr4_refuses_what_is_reserved},
    {"CR8", cr8_is_four_bits},
    {"CR4.PCIDE", pcide_needs_context_zero},
    {"INVPCID", invpcid_checks_its_operands},
    {"XCR0", xcr0_keeps_its_rules},
    {"OSPKE", protection_keys_show_in_cpuid},
};

}  // namespace

unsigned check_registers() { return run_processor_checks("registers", checks); }

}  // namespace guest
