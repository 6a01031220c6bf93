// User mode and what guards against it: SMEP, SMAP, protection keys, UMIP, segment registers on the way out
// (Intel SDM vol. 3, 4.6, 2.5, 5.8.6).

#include "guests/conformance_processor/processor.h"

extern "C" guest::u64 page_directory_pointers[512];

namespace guest {

namespace {

constexpr u64 window = u64{257} << 30;
constexpr u64 present = 1, writable = 2, user = 4, key_1 = u64{1} << 59;
constexpr u64 cr4_smep = 1u << 20, cr4_smap = 1u << 21, cr4_umip = 1u << 11, cr4_keys = 1u << 22,
              write_protect = 1u << 16;
constexpr u32 gs_base = 0xc000'0101;

alignas(4096) u64 directory[512], table[512];
alignas(4096) u64 frame[512];

void map_window(u64 bits) {
  page_directory_pointers[257] = reinterpret_cast<u64>(directory) | present | writable | user;
  directory[0] = reinterpret_cast<u64>(table) | present | writable | user;
  table[0] = reinterpret_cast<u64>(frame) | bits;
  invalidate_page(window);
}

void read_window(u64) { static_cast<void>(*reinterpret_cast<volatile u64*>(window)); }
void write_window(u64) { *reinterpret_cast<volatile u64*>(window) = 1; }
void call_window(u64) { asm volatile("call *%0" : : "r"(window) : "memory"); }
void read_window_with_ac(u64) {
  asm volatile("stac");
  read_window(0);
  asm volatile("clac");
}

/// Runs the check with these bits of CR4 set.
template <u64 bits>
bool with_cr4(bool (*check)()) {
  write_cr<4>(read_cr<4>() | bits);
  const bool passed = check();
  write_cr<4>(read_cr<4>() & ~bits);
  return passed;
}

bool faults(void (*access)(u64), u64 error) {
  const Exception e = attempt(access);
  return e.raised && e.vector == page_fault && e.error == error && e.cr2 == window;
}

/// The whole identity map is the kernel's while `check` runs.
bool as_supervisor(bool (*check)()) {
  u64* const directories = reinterpret_cast<u64*>(page_directory_pointers[0] & ~u64{0xfff});
  for (unsigned i = 0; i < 2048; ++i) directories[i] &= ~user;
  write_cr<3>(read_cr<3>());
  const bool passed = check();
  for (unsigned i = 0; i < 2048; ++i) directories[i] |= user;
  write_cr<3>(read_cr<3>());
  return passed;
}

bool checks_smap() {
  if (!has_structured_feature(&CpuId::ebx, 20)) return raises(general_protection, write_cr<4>, read_cr<4>() | cr4_smap);
  return as_supervisor([] {
    map_window(present | writable | user);
    const bool without = succeeds(read_window);
    return without && with_cr4<cr4_smap>([] {
             return faults(read_window, 1) && faults(write_window, 3) && succeeds(read_window_with_ac);
           });
  });
}

bool checks_smep() {
  if (!has_structured_feature(&CpuId::ebx, 7)) return raises(general_protection, write_cr<4>, read_cr<4>() | cr4_smep);
  return as_supervisor([] {
    frame[0] = 0xc3;
    map_window(present | writable | user);
    const bool without = succeeds(call_window);
    return without && with_cr4<cr4_smep>([] {
             const bool guarded = faults(call_window, 0x11);
             map_window(present | writable);
             return guarded && succeeds(call_window);
           });
  });
}

void write_pkru(u32 value) { asm volatile(".byte 0x0f, 0x01, 0xef" : : "a"(value), "c"(0), "d"(0) : "memory"); }

bool protection_keys() {
  if (!has_structured_feature(&CpuId::ecx, 3)) return true;
  map_window(present | writable | user | key_1);
  return with_cr4<cr4_keys>([] {
    write_pkru(4);  // key 1: no access
    const bool closed = faults(read_window, 0x21) && faults(write_window, 0x23);
    write_pkru(8);  // no writing
    const bool read_only = succeeds(read_window) && faults(write_window, 0x23);
    write_cr<0>(read_cr<0>() & ~write_protect);
    const bool unprotected = succeeds(write_window);
    write_cr<0>(read_cr<0>() | write_protect);
    write_pkru(0);
    return closed && read_only && unprotected;
  });
}

void store_tables_in_user_mode(u64) {
  run_in_user_mode([] {
    u64 scratch[2];
    asm volatile("sgdt %0; sidt %0; sldt %%ax; str %%ax; smsw %%ax" : "=m"(scratch) : : "rax");
  });
}
void store_gdt_in_user_mode(u64) {
  run_in_user_mode([] {
    u64 scratch[2];
    asm volatile("sgdt %0" : "=m"(scratch));
  });
}
void store_task_in_user_mode(u64) {
  run_in_user_mode([] { asm volatile("str %%ax" : : : "rax"); });
}

bool checks_umip() {
  if (!has_structured_feature(&CpuId::ecx, 2)) return raises(general_protection, write_cr<4>, read_cr<4>() | cr4_umip);
  return succeeds(store_tables_in_user_mode) && with_cr4<cr4_umip>([] {
           return raises(general_protection, store_gdt_in_user_mode) &&
                  raises(general_protection, store_task_in_user_mode);
         });
}

u64 magic = 0x1234'5678'9abc;
volatile u64 seen;

bool iret_keeps_the_base_of_a_nulled_gs() {
  constexpr u64 base = 0x40'0000;
  asm volatile("mov %0, %%gs" : : "r"(0x10));
  write_msr(gs_base, base);
  run_in_user_mode([] {
    u64 value;
    asm volatile("mov %%gs:(%1), %0" : "=r"(value) : "r"(reinterpret_cast<u64>(&magic) - base));
    seen = value;
  });
  asm volatile("mov %0, %%gs" : : "r"(0));
  return seen == magic;
}

void load_ss(u64 selector) { asm volatile("mov %0, %%ss" : : "r"(selector)); }

bool null_ss_only_at_its_own_level() {
  load_ss(0);
  u16 selector = 1;
  asm volatile("mov %%ss, %0" : "=r"(selector));
  const bool refused = raises(general_protection, load_ss, 3);
  load_ss(0x10);
  return selector == 0 && refused;
}

bool user_mode_may_not_load_kernel_segments() {
  return raises(general_protection, [](u64) { run_in_user_mode([] { asm volatile("mov %0, %%fs" : : "r"(0x10)); }); });
}

bool user_mode_is_kept_from_privileged_instructions() {
  return raises(general_protection, [](u64) { run_in_user_mode([] { asm volatile("hlt"); }); }) &&
         raises(general_protection,
                [](u64) { run_in_user_mode([] {
                            asm volatile("mov %%cr0, %%rax" : : : "rax");
                          }); }) &&
         raises(general_protection,
                [](u64) { run_in_user_mode([] {
                            asm volatile("mov %%dr7, %%rax" : : : "rax");
                          }); }) &&
         raises(general_protection, [](u64) { run_in_user_mode([] { asm volatile("invlpg (%rsp)"); }); });
}

constexpr ProcessorCheck checks[] = {
    {"SMAP", checks_smap},
    {"SMEP", checks_smep},
    {"protection keys", protection_keys},
    {"UMIP", checks_umip},
    {"IRET nulls GS and keeps its base", iret_keeps_the_base_of_a_nulled_gs},
    {"null SS", null_ss_only_at_its_own_level},
    {"kernel segments in user mode", user_mode_may_not_load_kernel_segments},
    {"privileged instructions in user mode", user_mode_is_kept_from_privileged_instructions},
};

}  // namespace

unsigned check_protection() { return run_processor_checks("protection", checks); }

}  // namespace guest
