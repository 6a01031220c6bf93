// What VM exits save and load: guest state, host state, MSR areas (Intel SDM vol. 3, 26.3.2, 27.3 to 27.5).

#include "guests/conformance_vmx/machine.h"
#include "guests/runtime/segments.h"

namespace guest {

namespace {

constexpr u64 cr0_wp = 1u << 16, cr4_pge = 0x80;
alignas(16) u64 store_area[8], load_area[8], entry_area[8];

struct [[gnu::packed]] Pointer {
  u16 limit;
  u64 base;
};

u64 read_dr7() {
  u64 value;
  asm volatile("mov %%dr7, %0" : "=r"(value));
  return value;
}

/// The guest of this check changes what it can reach without an exit.
constexpr Code changes =
    "\x0f\x20\xc0\x0d\x00\x00\x01\x00\x0f\x22\xc0"  // CR0.WP
    "\x0f\x20\xe0\x0d\x80\x00\x00\x00\x0f\x22\xe0"  // CR4.PGE
    "\x0f\x23\xf9"                                  // DR7 from RCX
    "\x8c\xd8\x8e\xc0\x31\xc0\x8e\xd8"              // ES from DS; DS null
    "\x0f\x01\x1e\x0f\x01\x17"                      // LIDT [RSI], LGDT [RDI]
    "\x48\xc7\xc4\x00\x10\x32\x00"                  // RSP
    "\x48\xc7\xc0\x78\x56\x34\x12\xf9"_code;        // RAX; STC

void prepare_changes() {
  prepare(changes);
  registers.rcx = 0x401;
  registers.rsi = registers.rdi = data_page;
  *reinterpret_cast<volatile u64*>(data_page) = 0x40'0010'0077;
  *reinterpret_cast<volatile u64*>(data_page + 8) = 0;
}

void saved() {
  begin_group("saved");
  prepare_changes();
  const u64 old_cr0 = get(vmcs::guest_cr0), old_cr4 = get(vmcs::guest_cr4), old_cr3 = get(vmcs::guest_cr3);
  enter();
  check("exit", Field{"reason", exit_reason(), reason::vmcall}, Field{"rip", code_offset(), changes.size});
  check("control registers", Field{"cr0", get(vmcs::guest_cr0), old_cr0 | cr0_wp},
        Field{"cr3", get(vmcs::guest_cr3), old_cr3}, Field{"cr4", get(vmcs::guest_cr4), old_cr4 | cr4_pge});
  check("rsp, flags", Field{"rsp", get(vmcs::guest_rsp), 0x32'1000},
        Field{"flags", get(vmcs::guest_rflags) & 0xcd5, 0x45});
  check("idtr", Field{"base", get(vmcs::idtr_base), 0x40'0010}, Field{"limit", get(vmcs::idtr_limit), 0x77});
  check("gdtr", Field{"base", get(vmcs::gdtr_base), 0x40'0010}, Field{"limit", get(vmcs::gdtr_limit), 0x77});
  check("cs", Field{"selector", get(vmcs::guest_cs), code_selector}, Field{"rights", get(vmcs::cs_rights), 0xa09b},
        Field{"limit", get(vmcs::cs_limit), 0xffff'ffff}, Field{"base", get(vmcs::cs_base), 0});
  check("es", Field{"selector", get(vmcs::guest_es), data_selector}, Field{"rights", get(vmcs::es_rights), 0xc093});
  check("null ds", Field{"selector", get(vmcs::guest_ds), 0}, Field{"unusable", get(vmcs::ds_rights) >> 16 & 1, 1});
  check("tr", Field{"selector", get(vmcs::guest_tr), 0x48}, Field{"rights", get(vmcs::tr_rights), 0x8b});
  prepare_changes();
  enable(Word::Exit, exit_control::save_debug);
  enter();
  check("debug controls", Field{"dr7", get(vmcs::guest_dr7), 0x401});
  prepare(""_code);
  at_level_3();
  enter();
  check("level 3", Field{"reason", exit_reason(), reason::vmcall}, Field{"cs", get(vmcs::guest_cs), user_code_selector},
        Field{"ss.dpl", get(vmcs::ss_rights) >> 5 & 3, 3});
  prepare(""_code);
  put(vmcs::guest_fs, user_data_selector);
  put(vmcs::fs_base, 0x1234'5678'9000);
  put(vmcs::gs_base, 0xffff'8000'1234'0000);
  enter();
  check("bases", Field{"fs", get(vmcs::fs_base), 0x1234'5678'9000},
        Field{"gs", get(vmcs::gs_base), 0xffff'8000'1234'0000});
}

void entered() {
  begin_group("entered with");
  // mov eax, dr7; rdmsr is an exit without maps: what the guest sees of CR2, DR7.
  prepare("\x0f\x21\xf8"_code);
  put(vmcs::guest_dr7, 0x402);
  enable(Word::Entry, entry_control::load_debug);
  enter();
  check("dr7, loaded", Field{"dr7", registers.rax, 0x402});
  if ((must_be_1(Word::Entry) & entry_control::load_debug) == 0) {
    prepare("\x0f\x21\xf8"_code);
    reset(vmcs::entry_controls, entry_control::load_debug);
    put(vmcs::guest_dr7, 0x402);
    asm volatile("mov %0, %%dr7" : : "r"(u64{0x400}));
    enter();
    check("dr7, not loaded", Field{"dr7", registers.rax, 0x400});
  } else {
    absent("dr7, not loaded");
  }
  prepare("\x48\x89\xe3"_code);
  put(vmcs::guest_rsp, 0x1234'5678'9abc);
  enter();
  check("rsp", Field{"rbx", registers.rbx, 0x1234'5678'9abc});
  prepare("\x0f\x01\x07"_code);
  registers.rdi = data_page;
  put(vmcs::gdtr_base, 0x1234'5678);
  put(vmcs::gdtr_limit, 0x4321);
  enter();
  const auto* const seen = reinterpret_cast<volatile Pointer*>(data_page);
  check("gdtr", Field{"limit", seen->limit, 0x4321}, Field{"base", seen->base, 0x1234'5678});
}

void loaded() {
  begin_group("loaded");
  const u64 cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4(), efer = read_msr(msr_efer);
  prepare_changes();
  put(vmcs::host_sysenter_cs, 0x30);
  put(vmcs::host_sysenter_esp, 0x1000);
  put(vmcs::host_sysenter_eip, 0x2000);
  put(vmcs::host_fs_base, 0x1234'5000);
  put(vmcs::host_gs_base, 0xffff'8000'0000'1000);
  enter();
  Pointer gdtr{}, idtr{};
  asm volatile("sgdt %0" : "=m"(gdtr));
  asm volatile("sidt %0" : "=m"(idtr));
  u16 ldtr, tr, cs, ss;
  asm volatile("sldt %0; str %1; mov %%cs, %2; mov %%ss, %3" : "=r"(ldtr), "=r"(tr), "=r"(cs), "=r"(ss));
  check("control registers", Field{"cr0", read_cr0(), cr0}, Field{"cr3", read_cr3(), cr3},
        Field{"cr4", read_cr4(), cr4}, Field{"efer", read_msr(msr_efer), efer});
  check("dr7 and debugctl", Field{"dr7", read_dr7(), 0x400}, Field{"debugctl", read_msr(msr_debugctl), 0});
  check("gdtr and idtr", Field{"gdtr limit", gdtr.limit, 0xffff}, Field{"idtr limit", idtr.limit, 0xffff},
        Field{"gdtr base", gdtr.base, get(vmcs::host_gdtr_base)},
        Field{"idtr base", idtr.base, get(vmcs::host_idtr_base)});
  check("segments", Field{"cs", cs, code_selector}, Field{"ss", ss, data_selector}, Field{"tr", tr, 0x48},
        Field{"ldtr", ldtr, 0});
  check("sysenter msrs", Field{"cs", read_msr(msr_sysenter_cs), 0x30}, Field{"esp", read_msr(msr_sysenter_esp), 0x1000},
        Field{"eip", read_msr(msr_sysenter_eip), 0x2000});
  check("bases", Field{"fs", read_msr(msr_fs_base), 0x1234'5000},
        Field{"gs", read_msr(msr_gs_base), 0xffff'8000'0000'1000});
}

void memory_types() {
  begin_group("pat");
  constexpr u64 other = 0x0606'0606'0606'0606;
  if (!has(Word::Entry, entry_control::load_pat) || !has(Word::Exit, exit_control::load_pat | exit_control::save_pat)) {
    return absent("saved"), absent("loaded");
  }
  const u64 host = read_msr(msr_pat);
  prepare(""_code);
  enable(Word::Entry, entry_control::load_pat);
  enable(Word::Exit, exit_control::load_pat | exit_control::save_pat);
  put(vmcs::guest_pat, other);
  put(vmcs::host_pat, host);
  enter();
  check("saved", Field{"guest", get(vmcs::guest_pat), other});
  check("loaded", Field{"host", read_msr(msr_pat), host});
}

void areas() {
  begin_group("msr areas");
  prepare(""_code);
  store_area[0] = msr_kernel_gs_base;
  store_area[1] = 0;
  store_area[2] = msr_sysenter_cs;
  store_area[3] = 0;
  load_area[0] = msr_kernel_gs_base;
  load_area[1] = 0x7777'0000;
  entry_area[0] = msr_kernel_gs_base;
  entry_area[1] = 0x5555'0000;
  put(vmcs::guest_sysenter_cs, 0x28);
  put(vmcs::exit_msr_store, reinterpret_cast<u64>(store_area));
  put(vmcs::exit_msr_store_count, 2);
  put(vmcs::exit_msr_load, reinterpret_cast<u64>(load_area));
  put(vmcs::exit_msr_load_count, 1);
  put(vmcs::entry_msr_load, reinterpret_cast<u64>(entry_area));
  put(vmcs::entry_msr_load_count, 1);
  check_finished("entered and left");
  check("stored", Field{"first", store_area[1], 0x5555'0000}, Field{"second", store_area[3], 0x28});
  check("loaded", Field{"msr", read_msr(msr_kernel_gs_base), 0x7777'0000});
}

}  // namespace

void check_state() {
  saved();
  entered();
  loaded();
  memory_types();
  areas();
}

}  // namespace guest
