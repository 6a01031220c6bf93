// AMD-V (AMD APM vol. 2, chapter 15).

#include <initializer_list>

#include "guests/conformance_svm/vmcb.h"
#include "guests/hypervisor/hypervisor.h"
#include "guests/runtime/segments.h"

extern "C" {
extern guest::u64 page_map[];
void svm_rounds(guest::u64 vmcb, guest::u64 count);
}

namespace guest::svm {

namespace {

alignas(4096) Vmcb control;
alignas(4096) u8 host_save[4096];
alignas(4096) u8 ports_closed[0x3000], registers_closed[0x2000];

constexpr VmcbSegment code64{code_selector, 0xa9b, 0xffff'ffff, 0}, data{data_selector, 0xc93, 0xffff'ffff, 0};
constexpr u64 host_table_rights = 7;  // present, writable, user: nested walks are user accesses (15.25.5)
constexpr unsigned page_fault = 14;

struct [[gnu::packed]] TablePointer {
  u16 limit;
  u64 base;
};

u64 read_cr0() {
  u64 v;
  asm volatile("mov %%cr0, %0" : "=r"(v));
  return v;
}
u64 read_cr4() {
  u64 v;
  asm volatile("mov %%cr4, %0" : "=r"(v));
  return v;
}

void intercept(u64 code) { control.instructions |= u64{1} << (code - exit_code::intr); }

}  // namespace

bool start() {
  if ((cpuid(0x8000'0001).ecx >> 2 & 1) == 0) return false;
  constexpr u64 svm_disable = 1u << 4;
  if ((read_msr(msr_vm_cr) & svm_disable) != 0) return false;
  write_msr(msr_efer, read_msr(msr_efer) | efer_svme);
  write_msr(msr_hsave, reinterpret_cast<u64>(host_save));
  return true;
}

bool has_nested_paging() { return (cpuid(0x8000'000a).edx >> svm_feature::nested_paging & 1) != 0; }

void prepare(void (*entry)(), u64 stack, HostPages pages, bool ports) {
  __builtin_memset(&control, 0, sizeof control);
  __builtin_memset(registers_closed, 0xff, sizeof registers_closed);
  __builtin_memset(ports_closed, 0xff, sizeof ports_closed);
  for (const u64 code :
       {exit_code::vmrun, exit_code::vmmcall, exit_code::cpuid, exit_code::hlt, exit_code::shutdown, exit_code::msr}) {
    intercept(code);
  }
  if (ports) intercept(exit_code::io);
  control.exceptions = 1u << page_fault;
  control.cr_writes = 1u << 3;
  control.io_map = reinterpret_cast<u64>(ports_closed);
  control.msr_map = reinterpret_cast<u64>(registers_closed);
  control.asid = 1;
  control.tlb_control = 0;
  if (pages != HostPages::None) {
    control.nested_control = 1;
    control.nested_cr3 = build_nested_tables(pages, host_table_rights);
  }
  TablePointer gdt;
  TablePointer idt;
  asm volatile("sgdt %0" : "=m"(gdt));
  asm volatile("sidt %0" : "=m"(idt));
  control.cs = code64;
  control.ss = control.ds = control.es = control.fs = control.gs = data;
  control.gdtr = {0, 0, gdt.limit, gdt.base};
  control.idtr = {0, 0, idt.limit, idt.base};
  control.tr = {0, 0x8b, 0x67, 0};
  control.efer = read_msr(msr_efer);
  control.cr0 = read_cr0();
  control.cr3 = reinterpret_cast<u64>(page_map);
  control.cr4 = read_cr4();
  control.dr6 = 0xffff'0ff0;
  control.dr7 = 0x400;
  control.rflags = 2;
  control.pat = read_msr(msr_pat);
  control.rip = reinterpret_cast<u64>(entry);
  control.rsp = stack;
}

void enter(u64 count) { svm_rounds(reinterpret_cast<u64>(&control), count); }

u64 exit_reason() { return control.exit_code; }

}  // namespace guest::svm
