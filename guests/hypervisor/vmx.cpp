// VT-x (Intel SDM vol. 3, chapters 23 to 27).

#include <initializer_list>

#include "guests/hypervisor/hypervisor.h"
#include "guests/hypervisor/vmx_fields.h"
#include "guests/runtime/console.h"
#include "guests/runtime/segments.h"

extern "C" {
extern guest::u64 page_map[];
guest::u64 vmx_rounds(guest::u64 count, guest::u64 launched);
}

namespace guest::vmx {

namespace {

alignas(4096) u32 region[1024], control_structure[1024];
bool launched = false;

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
void write_cr0(u64 v) { asm volatile("mov %0, %%cr0" : : "r"(v) : "memory"); }
void write_cr4(u64 v) { asm volatile("mov %0, %%cr4" : : "r"(v) : "memory"); }

[[noreturn]] void fail(const char* what, u64 value = 0) {
  print("vmx: ", what, " ", value, "\n");
  finish(1);
}

void vmwrite(u32 field, u64 value) {
  bool failed;
  asm volatile("vmwrite %2, %1" : "=@ccna"(failed) : "r"(u64{field}), "r"(value) : "memory");
  if (failed) fail("VMWRITE of field", field);
}

u64 vmread(u32 field) {
  u64 value = 0;
  asm volatile("vmread %1, %0" : "=r"(value) : "r"(u64{field}) : "cc");
  return value;
}

/// What must be 1 in the low half, what may be in the high one (A.3 to A.5).
u32 controls(u32 capability, u32 wanted) {
  const u64 allowed = read_msr(capability);
  return (wanted | static_cast<u32>(allowed)) & static_cast<u32>(allowed >> 32);
}

u64 fixed(u64 value, u32 msr) { return (value | read_msr(msr)) & read_msr(msr + 1); }

bool secondary_controls_exist() { return (read_msr(msr_processor) >> 63 & 1) != 0; }

void set_segment(unsigned index, u16 selector, u32 limit, u32 rights) {
  vmwrite(GuestEsSelector + 2 * index, selector);
  vmwrite(GuestEsLimit + 2 * index, limit);
  vmwrite(GuestEsRights + 2 * index, rights);
  vmwrite(GuestEsBase + 2 * index, 0);
}

void set_host(u16 task_selector, const TablePointer& gdt, const TablePointer& idt) {
  for (unsigned i = 0; i < 6; ++i) {
    const bool flat = i != 1 && i < 4;
    vmwrite(HostEsSelector + 2 * i, i == 1 ? code_selector : flat ? data_selector : 0);
  }
  vmwrite(HostEsSelector + 12, task_selector);
  vmwrite(HostCr0, read_cr0());
  vmwrite(HostCr3, reinterpret_cast<u64>(page_map));
  vmwrite(HostCr4, read_cr4());
  vmwrite(HostFsBase, 0);
  vmwrite(HostGsBase, 0);
  vmwrite(HostTrBase, 0);
  vmwrite(HostGdtrBase, gdt.base);
  vmwrite(HostIdtrBase, idt.base);
  vmwrite(HostSysenterCs, 0);
  vmwrite(HostSysenterEsp, 0);
  vmwrite(HostSysenterEip, 0);
}

void set_guest(void (*entry)(), u64 stack, u16 task_selector, const TablePointer& gdt, const TablePointer& idt) {
  constexpr u32 code = 0xa09b, data = 0xc093, unusable = 0x1'0000, busy_task = 0x8b;
  constexpr unsigned cs = 1, first_null = 4, ldtr = 6, tr = 7;
  for (unsigned i = 0; i < ldtr; ++i) {
    if (i == cs)
      set_segment(i, code_selector, 0xffff'ffff, code);
    else
      set_segment(i, i < first_null ? data_selector : 0, 0xffff'ffff, i < first_null ? data : unusable);
  }
  set_segment(ldtr, 0, 0, unusable);
  set_segment(tr, task_selector, 0x67, busy_task);
  vmwrite(GuestGdtrLimit, gdt.limit);
  vmwrite(GuestGdtrBase, gdt.base);
  vmwrite(GuestIdtrLimit, idt.limit);
  vmwrite(GuestIdtrBase, idt.base);
  vmwrite(GuestCr0, read_cr0());
  vmwrite(GuestCr3, reinterpret_cast<u64>(page_map));
  vmwrite(GuestCr4, read_cr4());
  vmwrite(GuestDr7, 0x400);
  vmwrite(GuestRflags, 2);
  vmwrite(GuestRip, reinterpret_cast<u64>(entry));
  vmwrite(GuestRsp, stack);
  for (const u32 field : {GuestInterruptibility, GuestActivity, GuestSysenterCs, GuestPendingDebug, GuestSysenterEsp,
                          GuestSysenterEip, GuestDebugControl}) {
    vmwrite(field, 0);
  }
  vmwrite(LinkPointer, ~u64{0});
}

void set_controls(HostPages pages, bool ports) {
  const bool nested = pages != HostPages::None;
  vmwrite(PinControls, controls(msr_pin, 0));
  vmwrite(ProcessorControls,
          controls(msr_processor, hlt_exiting | cr3_load_exiting | (ports ? unconditional_io_exiting : 0) |
                                      (nested ? activate_secondary : 0)));
  if (nested) {
    constexpr u64 read_write_execute = 7, write_back = 6, four_levels = 3 << 3;
    vmwrite(SecondaryControls, controls(msr_secondary, enable_ept));
    vmwrite(EptPointer, build_nested_tables(pages, read_write_execute) | write_back | four_levels);
  }
  vmwrite(ExitControls, controls(msr_exit, ia32e_host));
  vmwrite(EntryControls, controls(msr_entry, ia32e_guest));
  vmwrite(ExceptionBitmap, 1u << 14);
  for (const u32 field : {PageFaultMask, PageFaultMatch, Cr3Targets, ExitStoreCount, ExitLoadCount, EntryLoadCount,
                          EntryEvent, Cr0Mask, Cr4Mask}) {
    vmwrite(field, 0);
  }
}

}  // namespace

bool start() {
  constexpr u64 locked = 1, outside_smx = 4, vmxe = u64{1} << 13;
  if ((read_msr(msr_feature_control) & locked) == 0) write_msr(msr_feature_control, locked | outside_smx);
  if ((read_msr(msr_feature_control) & outside_smx) == 0) return false;
  write_cr0(fixed(read_cr0(), msr_cr0_fixed));
  write_cr4(fixed(read_cr4() | vmxe, msr_cr4_fixed));
  region[0] = control_structure[0] = static_cast<u32>(read_msr(msr_basic)) & 0x7fff'ffff;
  const u64 address = reinterpret_cast<u64>(region);
  bool failed;
  asm volatile("vmxon %1" : "=@ccna"(failed) : "m"(address) : "memory");
  if (failed) fail("VMXON");
  return true;
}

bool has_nested_paging() { return secondary_controls_exist() && (read_msr(msr_secondary) >> 32 & enable_ept) != 0; }

void prepare(void (*entry)(), u64 stack, HostPages pages, bool ports) {
  const u64 address = reinterpret_cast<u64>(control_structure);
  bool failed;
  asm volatile("vmclear %1" : "=@ccna"(failed) : "m"(address) : "memory");
  if (failed) fail("VMCLEAR");
  asm volatile("vmptrld %1" : "=@ccna"(failed) : "m"(address) : "memory");
  if (failed) fail("VMPTRLD");
  launched = false;
  TablePointer gdt;
  TablePointer idt;
  u16 task_selector;
  asm volatile("sgdt %0" : "=m"(gdt));
  asm volatile("sidt %0" : "=m"(idt));
  asm volatile("str %0" : "=r"(task_selector));
  set_controls(pages, ports);
  set_host(task_selector, gdt, idt);
  set_guest(entry, stack, task_selector, gdt, idt);
}

void enter(u64 count) {
  if (vmx_rounds(count, launched) != 0) fail("entry failed, error", vmread(InstructionError));
  launched = true;
  constexpr u64 entry_failed = u64{1} << 31;
  if ((vmread(ExitReason) & entry_failed) != 0) fail("entry failed, exit reason", vmread(ExitReason) & 0xffff);
}

u64 exit_reason() { return vmread(ExitReason); }

u64 repeat_reads(u64 count) {
  const u64 begin = read_tsc();
  for (u64 i = 0; i < count; ++i) vmread(ExitReason);
  return read_tsc() - begin;
}

u64 repeat_writes(u64 count) {
  const u64 begin = read_tsc();
  for (u64 i = 0; i < count; ++i) asm volatile("vmwrite %1, %0" : : "r"(u64{GuestRflags}), "r"(u64{2}) : "cc");
  return read_tsc() - begin;
}

}  // namespace guest::vmx
