// What #VMEXIT saves and restores, VMLOAD and VMSAVE, LBR virtualization (AMD APM vol. 2, 15.5, 15.6, 15.23).

#include "guests/conformance_svm/tables.h"
#include "guests/runtime/segments.h"

namespace guest {

namespace {

constexpr u64 cr0_wp = 1u << 16, cr4_pge = 0x80;

u64 control(unsigned number) {
  u64 value = 0;
  if (number == 0) asm volatile("mov %%cr0, %0" : "=r"(value));
  if (number == 3) asm volatile("mov %%cr3, %0" : "=r"(value));
  if (number == 4) asm volatile("mov %%cr4, %0" : "=r"(value));
  if (number == 7) asm volatile("mov %%dr7, %0" : "=r"(value));
  return value;
}

struct [[gnu::packed]] Pointer {
  u16 limit;
  u64 base;
  bool operator==(const Pointer&) const = default;
};

Pointer table(bool interrupts) {
  Pointer pointer{};
  if (interrupts) {
    asm volatile("sidt %0" : "=m"(pointer));
  } else {
    asm volatile("sgdt %0" : "=m"(pointer));
  }
  return pointer;
}

u16 selector(unsigned which) {
  u16 value = 0;
  if (which == 0) asm volatile("mov %%es, %0" : "=r"(value));
  if (which == 1) asm volatile("mov %%cs, %0" : "=r"(value));
  if (which == 2) asm volatile("mov %%ss, %0" : "=r"(value));
  if (which == 3) asm volatile("mov %%ds, %0" : "=r"(value));
  if (which == 6) asm volatile("sldt %0" : "=r"(value));
  if (which == 7) asm volatile("str %0" : "=r"(value));
  return value;
}

/// The guest of this check changes what it can reach.
constexpr Code changes =
    "\x0f\x20\xc0\x0d\x00\x00\x01\x00\x0f\x22\xc0"      // CR0.WP
    "\x0f\x20\xe0\x0d\x80\x00\x00\x00\x0f\x22\xe0"      // CR4.PGE
    "\x0f\x22\xd3"                                      // CR2 from RBX
    "\x0f\x23\xf9"                                      // DR7 from RCX
    "\x0f\x23\xf2"                                      // DR6 from RDX
    "\x8c\xd8\x8e\xc0\x31\xc0\x8e\xd8"                  // ES from DS; DS null
    "\x0f\x01\x1e\x0f\x01\x17"                          // LIDT [RSI], LGDT [RDI]
    "\xb9\x80\x00\x00\xc0\x0f\x32\x83\xe0\xfe\x0f\x30"  // EFER.SCE off
    "\x48\xc7\xc4\x00\x10\x32\x00"                      // RSP
    "\x48\xc7\xc0\x78\x56\x34\x12\xf9"_code;            // RAX; STC

struct Host {
  u64 cr0, cr3, cr4, efer;
  Pointer gdt, idt;
  u16 es, cs, ss, ds, ldtr, tr;
};
Host host() {
  return {control(0),  control(3),  control(4),  read_msr(msr_efer), table(false), table(true),
          selector(0), selector(1), selector(2), selector(3),        selector(6),  selector(7)};
}

void prepare_changes() {
  prepare(changes);
  registers.rbx = 0x1234'5678'9abc;
  registers.rcx = 0x401;
  registers.rdx = 0xffff'0ff1;
  registers.rsi = registers.rdi = data_page;
  *reinterpret_cast<volatile u64*>(data_page) = 0;
  *reinterpret_cast<volatile u64*>(data_page + 8) = 0;
  auto* const pointer = reinterpret_cast<volatile u8*>(data_page);
  pointer[0] = 0x77;
  pointer[2] = 0x10;
  pointer[4] = 0x40;
}

void saved() {
  begin_group("saved");
  prepare_changes();
  vmcb.ds.limit = 0xfffff;
  vmcb.ds.attributes = 0x493;
  vmcb.ds.base = 0x10;
  const u64 old_cr0 = vmcb.cr0, old_cr4 = vmcb.cr4, old_cr3 = vmcb.cr3;
  enter();
  check("exit", Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"rip", code_offset(), changes.size});
  check("control registers", Field{"cr0", vmcb.cr0, old_cr0 | cr0_wp}, Field{"cr2", vmcb.cr2, 0x1234'5678'9abc},
        Field{"cr3", vmcb.cr3, old_cr3}, Field{"cr4", vmcb.cr4, old_cr4 | cr4_pge});
  check("efer", Field{"efer", vmcb.efer, efer_svme | efer_lme | efer_lma | efer_nxe});
  check("debug registers", Field{"dr6", vmcb.dr6, 0xffff'0ff1}, Field{"dr7", vmcb.dr7, 0x401});
  check("rsp, rax, flags", Field{"rsp", vmcb.rsp, 0x32'1000}, Field{"rax", vmcb.rax, 0x1234'5678},
        Field{"flags", vmcb.rflags & 0xcd5, 5}, Field{"cpl", vmcb.cpl, 0});
  check("idtr", Field{"base", vmcb.idtr.base, 0x40'0010}, Field{"limit", vmcb.idtr.limit, 0x77});
  check("gdtr", Field{"base", vmcb.gdtr.base, 0x40'0010}, Field{"limit", vmcb.gdtr.limit, 0x77});
  check("cs", Field{"selector", vmcb.cs.selector, code_selector}, Field{"attributes", vmcb.cs.attributes, 0xa9b},
        Field{"limit", vmcb.cs.limit, 0xffff'ffff}, Field{"base", vmcb.cs.base, 0});
  check("ss", Field{"selector", vmcb.ss.selector, data_selector}, Field{"attributes", vmcb.ss.attributes, 0xc93},
        Field{"limit", vmcb.ss.limit, 0xffff'ffff});
  check("null ds", Field{"selector", vmcb.ds.selector, 0}, Field{"present", vmcb.ds.attributes & 0x80u, 0});
  prepare(""_code);
  vmcb.ds = {data_selector, 0x493, 0xabcde, 0x10};
  vmcb.es = {0x23, 0xcf3, 0xffff'ffff, 0x1234'0000};
  const VmcbSegment ds = vmcb.ds, es = vmcb.es;
  enter();
  check("segments that the guest left alone", Field{"ds", vmcb.ds == ds, 1}, Field{"es", vmcb.es == es, 1});
  prepare(""_code);
  at_level_3();
  enter();
  check("level 3", Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"cpl", vmcb.cpl, 3},
        Field{"cs", vmcb.cs.selector, user_code_selector}, Field{"ss", vmcb.ss.selector, user_data_selector});
}

void restored() {
  begin_group("restored");
  const Host before = host();
  asm volatile("mov %0, %%dr7" : : "r"(u64{0x402}));
  prepare_changes();
  enter();
  const Host after = host();
  check("control registers", Field{"cr0", after.cr0, before.cr0}, Field{"cr3", after.cr3, before.cr3},
        Field{"cr4", after.cr4, before.cr4}, Field{"efer", after.efer, before.efer});
  check("dr7 is disabled", Field{"dr7", control(7), 0x400});
  check("gdtr and idtr", Field{"gdtr", after.gdt == before.gdt, 1}, Field{"idtr", after.idt == before.idt, 1});
  check("segments", Field{"es", after.es, before.es}, Field{"cs", after.cs, before.cs},
        Field{"ss", after.ss, before.ss}, Field{"ds", after.ds, before.ds});
  check("ldtr and tr are left alone", Field{"ldtr", after.ldtr, before.ldtr}, Field{"tr", after.tr, before.tr});
  check("carry of the guest is not the host's", Field{"flags", host_flags_after & 0x8d5, 0});
}

struct Register {
  const char* name;
  u32 msr;
  u64 Vmcb::*field;
  u64 value;
};
constexpr Register vmload_registers[] = {
    {"star", msr_star, &Vmcb::star, 0x0018'0008'1234'5678},
    {"lstar", msr_lstar, &Vmcb::lstar, 0x7fff'1234'5678},
    {"cstar", msr_cstar, &Vmcb::cstar, 0x7fff'8765'4321},
    {"sfmask", msr_sfmask, &Vmcb::sfmask, 0x0004'7700},
    {"kernel_gs_base", msr_kernel_gs_base, &Vmcb::kernel_gs_base, 0xffff'8000'0000'1000},
    {"sysenter_cs", msr_sysenter_cs, &Vmcb::sysenter_cs, 0x30},
    {"sysenter_esp", msr_sysenter_esp, &Vmcb::sysenter_esp, 0x8765'4320},
    {"sysenter_eip", msr_sysenter_eip, &Vmcb::sysenter_eip, 0x1234'5670},
};

alignas(4096) Vmcb host_vmcb;
alignas(16) u64 local_table[4];

void vmload(const Vmcb& from) { asm volatile("vmload" : : "a"(&from) : "memory"); }
void vmsave(Vmcb& to) { asm volatile("vmsave" : : "a"(&to) : "memory"); }

void load_and_save() {
  begin_group("vmload and vmsave");
  vmsave(host_vmcb);
  check("saved tr", Field{"selector", host_vmcb.tr.selector, 0x48}, Field{"limit", host_vmcb.tr.limit, 0x67},
        Field{"type", host_vmcb.tr.attributes & 0xffu, 0x8b});
  __builtin_memset(&other_vmcb, 0, sizeof other_vmcb);
  other_vmcb.fs = {0x23, 0xcf3, 0xffff'ffff, 0xffff'8000'0000'2000};
  other_vmcb.gs = {0x10, 0xc93, 0xffff'ffff, 0x1234'5000};
  other_vmcb.tr = {0x48, 0x8b, 0x67, host_vmcb.tr.base};
  other_vmcb.ldtr = {0x50, 0x82, sizeof local_table - 1, reinterpret_cast<u64>(local_table)};
  for (const Register& each : vmload_registers) other_vmcb.*each.field = each.value;
  vmload(other_vmcb);
  for (const Register& each : vmload_registers) check(each.name, Field{"msr", read_msr(each.msr), each.value});
  check("fs", Field{"base", read_msr(msr_fs_base), other_vmcb.fs.base});
  check("gs", Field{"base", read_msr(msr_gs_base), other_vmcb.gs.base});
  check("ldtr and tr", Field{"ldtr", selector(6), 0x50}, Field{"tr", selector(7), 0x48});
  static_cast<void>(__builtin_memset(&vmcb, 0, sizeof vmcb));
  vmsave(vmcb);
  vmload(host_vmcb);
  bool same = true;
  for (const Register& each : vmload_registers) same = same && vmcb.*each.field == each.value;
  check("saved again", Field{"registers", same, 1}, Field{"fs", vmcb.fs == other_vmcb.fs, 1},
        Field{"gs", vmcb.gs == other_vmcb.gs, 1}, Field{"ldtr", vmcb.ldtr == other_vmcb.ldtr, 1},
        Field{"tr", vmcb.tr == other_vmcb.tr, 1});
  check("nothing else is saved", Field{"cs", vmcb.cs.selector, 0}, Field{"rip", vmcb.rip, 0},
        Field{"cr3", vmcb.cr3, 0});
  prepare("\x0f\x01\xdb"_code);
  __builtin_memset(&other_vmcb, 0, sizeof other_vmcb);
  vmcb.rax = reinterpret_cast<u64>(&other_vmcb);
  check_finished("vmsave of a guest");
  check("saved by a guest", Field{"tr", other_vmcb.tr.selector, 0x48});
}

void virtual_vmload() {
  begin_group("virtual vmload and vmsave");
  constexpr const char* names[] = {"vmsave", "vmsave, nested page absent", "vmload"};
  if (!has(svm_feature::virtual_vmload)) {
    for (const char* name : names) absent(name);
    return;
  }
  constexpr u64 open = present | writable | user;
  for (unsigned i = 0; i < 3; ++i) {
    prepare_nested(Mode::Long, i == 2 ? "\x0f\x01\xda"_code : "\x0f\x01\xdb"_code);
    vmcb.virtualization = 2;
    vmcb.rax = window;
    nested_tables.window1[0] = i == 1 ? 0 : reinterpret_cast<u64>(&other_vmcb) | open;
    __builtin_memset(&other_vmcb, 0, sizeof other_vmcb);
    if (i == 2) vmsave(other_vmcb), other_vmcb.lstar = 0x1234'5678;
    enter();
    if (i == 0)
      check(names[i], Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"tr", other_vmcb.tr.selector, 0x48});
    if (i == 1) {
      check(names[i], Field{"exit", vmcb.exit_code, exit_code::nested_page_fault}, Field{"rip", code_offset(), 0},
            Field{"info2", vmcb.exit_info2 & ~u64{0xfff}, window});
    }
    if (i == 2)
      check(names[i], Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"lstar", vmcb.lstar, 0x1234'5678});
  }
}

void branch_records() {
  begin_group("lbr virtualization");
  if (!has(svm_feature::lbr)) return absent("last branch"), absent("the host's debugctl"), absent("last exception");
  prepare("\xeb\x02\x90\x90\x90"_code);
  vmcb.virtualization = 1;
  vmcb.debug_control = 1;
  enter();
  check("last branch", Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"from", vmcb.branch_from, code_page},
        Field{"to", vmcb.branch_to, code_page + 4}, Field{"debugctl", vmcb.debug_control, 1});
  check("the host's debugctl", Field{"debugctl", read_msr(msr_debug_control), 0});
  prepare("\x90\x0f\x0b"_code);
  vmcb.virtualization = 1;
  vmcb.debug_control = 1;
  enter();
  check("last exception", Field{"rip", vmcb.rip, event_entry(6)}, Field{"from", vmcb.branch_from, code_page + 1},
        Field{"to", vmcb.branch_to, event_entry(6)});
}

}  // namespace

void check_state() {
  saved();
  restored();
  load_and_save();
  virtual_vmload();
  branch_records();
}

}  // namespace guest
