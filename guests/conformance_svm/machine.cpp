#include "guests/conformance_svm/machine.h"

#include "guests/runtime/apic.h"
#include "guests/runtime/interrupts.h"
#include "guests/runtime/segments.h"

extern "C" {
extern guest::u64 gdt[], page_map[];
void svm_enter(guest::Registers* registers, guest::u64 vmcb);
alignas(4096) guest::Vmcb vmcb, other_vmcb;
guest::Registers registers;
}

namespace guest {

alignas(4096) u8 io_map[0x3000];
alignas(4096) u8 msr_map[0x2000];

namespace {

alignas(4096) u8 host_save[4096];

constexpr VmcbSegment code64{code_selector, 0xa9b, 0xffff'ffff, 0}, code32{code32_selector, 0xc9b, 0xffff'ffff, 0},
    data{data_selector, 0xc93, 0xffff'ffff, 0}, no_ldt{0, 0, 0, 0},
    real_code{static_cast<u16>(low_page >> 4), 0x9b, 0xffff, low_page}, real_data{0, 0x93, 0xffff, 0};

constexpr u64 cr0_pe = 1, cr0_et = 0x10, cr0_ne = 0x20, cr0_pg = 0x8000'0000, cr4_pae = 0x20, cr4_sse = 0x600;

void set_segments(const VmcbSegment& code, const VmcbSegment& others) {
  vmcb.cs = code;
  vmcb.ss = vmcb.ds = vmcb.es = vmcb.fs = vmcb.gs = others;
  vmcb.ldtr = no_ldt;
  vmcb.tr = {0x48, 0x8b, 0x67, reinterpret_cast<u64>(code.attributes & 0x200 ? task_state : task_state32)};
  vmcb.gdtr = {0, 0, 0xffff, reinterpret_cast<u64>(gdt)};
}

void set_long() {
  vmcb.efer = efer_svme | efer_lme | efer_lma | efer_nxe | efer_sce;
  vmcb.cr0 = cr0_pg | cr0_ne | cr0_et | cr0_pe;
  vmcb.cr4 = cr4_pae | cr4_sse;
  vmcb.cr3 = reinterpret_cast<u64>(page_map);
  vmcb.idtr = {0, 0, sizeof guest_idt - 1, reinterpret_cast<u64>(guest_idt)};
}

void set_legacy(u64 cr0) {
  vmcb.efer = efer_svme;
  vmcb.cr0 = cr0 | cr0_et;
  vmcb.cr4 = cr4_sse;
  vmcb.idtr = {0, 0, sizeof guest_idt32 - 1, reinterpret_cast<u64>(guest_idt32)};
}

void set_real() {
  set_segments(real_code, real_data);
  vmcb.idtr = {0, 0, 0, 0};
  vmcb.rip = 0;
  vmcb.rsp = low_page;
}

void set_mode(Mode mode) {
  set_segments(mode == Mode::Long ? code64 : code32, data);
  vmcb.rip = code_page;
  vmcb.rsp = stack_top;
  switch (mode) {
    case Mode::Long:
    case Mode::Compatibility: return set_long();
    case Mode::Protected: return set_legacy(cr0_pe);
    case Mode::Protected16: set_legacy(cr0_pe); return static_cast<void>(vmcb.cs.attributes = 0x89b);
    case Mode::Pae:
      set_legacy(cr0_pg | cr0_pe);
      vmcb.cr4 |= cr4_pae;
      vmcb.cr3 = reinterpret_cast<u64>(pae_pointers);
      return;
    case Mode::Real: set_legacy(0); return set_real();
    case Mode::PagedReal:
      set_legacy(cr0_pg);
      vmcb.cr4 |= cr4_pae;
      vmcb.cr3 = reinterpret_cast<u64>(pae_pointers);
      return set_real();
  }
}

unsigned code_size;
bool watching = false;
constexpr unsigned watch_vector = 0x40;

}  // namespace

bool has(unsigned feature) {
  return cpuid(0x8000'0000).eax >= 0x8000'000a && (cpuid(0x8000'000a).edx >> feature & 1) != 0;
}

bool is_amd_with_svm() { return (cpuid(0x8000'0001).ecx >> 2 & 1) != 0; }

void start_svm() {
  fill_guest_tables();
  write_msr(msr_efer, read_msr(msr_efer) | efer_svme);
  write_msr(msr_hsave, reinterpret_cast<u64>(host_save));
}

void prepare(Mode mode, Code code) {
  __builtin_memset(&vmcb, 0, sizeof vmcb);
  __builtin_memset(&registers, 0, sizeof registers);
  host_flags = 2;
  code_size = code.size;
  set_mode(mode);
  put_code(vmcb.cs.base == 0 ? code_page : vmcb.cs.base, code, "\x0f\x01\xd9"_code);
  vmcb.asid = 1;
  vmcb.tlb_control = 1;
  vmcb.io_map = reinterpret_cast<u64>(io_map);
  vmcb.msr_map = reinterpret_cast<u64>(msr_map);
  vmcb.rflags = 2;
  vmcb.dr6 = 0xffff'0ff0;
  vmcb.dr7 = 0x400;
  vmcb.pat = 0x0007'0406'0007'0406;
  vmcb.next_rip = 0;
  intercept(exit_code::vmrun);
  intercept(exit_code::vmmcall);
  intercept(exit_code::shutdown);
}

void at_level_3() {
  vmcb.cpl = 3;
  vmcb.cs.selector = (vmcb.cs.attributes & 0x200) != 0 ? user_code_selector : user_code32_selector;
  vmcb.cs.attributes |= 0x60;
  for (VmcbSegment* segment : {&vmcb.ss, &vmcb.ds, &vmcb.es, &vmcb.fs, &vmcb.gs}) {
    segment->selector = user_data_selector;
    segment->attributes |= 0x60;
  }
}

void release(u64 code) { vmcb.instructions &= ~(u64{1} << (code - exit_code::intr)); }

void watch() {
  vmcb.virtual_interrupt |= v_intr_masking;
  host_flags |= 0x200;
  intercept(exit_code::intr);
  set_handler(watch_vector, [](Frame&) { end_of_interrupt(); });
  enable_apic(false);
  write_apic(ApicRegister::Timer, watch_vector);
  write_apic(ApicRegister::InitialCount, 10'000'000);
  watching = true;
}

u64 enter() {
  svm_enter(&registers, reinterpret_cast<u64>(&vmcb));
  if (watching) {
    write_apic(ApicRegister::InitialCount, 0);
    asm volatile("sti; nop; nop; cli" : : : "memory");
    watching = false;
  }
  return vmcb.exit_code;
}

bool arrived(unsigned vector) { return vmcb.exit_code == exit_code::vmmcall && vmcb.rip == event_entry(vector); }

u64 stack_word(unsigned n) {
  if ((vmcb.efer & efer_lma) == 0) return reinterpret_cast<volatile u32*>(vmcb.rsp & 0xffff'ffff)[n];
  return reinterpret_cast<volatile u64*>(vmcb.rsp)[n];
}

void open_maps() {
  __builtin_memset(io_map, 0, sizeof io_map);
  __builtin_memset(msr_map, 0, sizeof msr_map);
}

void check_exit(const char* name, const Exit& wanted) {
  enter();
  const bool has_next = has(svm_feature::next_rip) && wanted.length != 0;
  const bool has_info1 = !wanted.assisted || has(svm_feature::decode_assists);
  check(name, Field{"exit", vmcb.exit_code, wanted.code}, Field{"rip", code_offset(), wanted.at},
        Field{"info1", vmcb.exit_info1, has_info1 ? wanted.info1 : any}, Field{"info2", vmcb.exit_info2, wanted.info2},
        Field{"nrip", vmcb.next_rip - (vmcb.rip - code_offset()), has_next ? wanted.at + wanted.length : any});
}

void check_finished(const char* name) {
  enter();
  check(name, Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"rip", code_offset(), code_size});
}

void check_exception(const char* name, unsigned vector, u64 at, u64 error) {
  enter();
  const bool has_error = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
  check(name, Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"rip", vmcb.rip, event_entry(vector)},
        Field{"at", stack_word(has_error ? 1 : 0) - code_page, at},
        Field{"error", has_error ? stack_word(0) : 0, has_error ? error : any});
}

}  // namespace guest
