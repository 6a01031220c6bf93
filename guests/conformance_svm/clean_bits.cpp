// VMCB clean bits (AMD APM vol. 2, 15.15): a change behind a bit that is clear is seen, whatever the other bits say; with all
// clear, or on a processor without them, everything is.

#include "guests/conformance_svm/tables.h"

namespace guest {

namespace {

constexpr Code code = "\x0f\xa2\x90"_code;

struct Row {
  const char* name;
  unsigned bit;
  Code code;
  void (*change)();
  bool (*seen)();
};

bool exits_with(u64 wanted) { return vmcb.exit_code == wanted; }

constexpr Row rows[] = {
    {"intercepts", 0, "\x0f\xa2"_code, [] { intercept(exit_code::cpuid); },
     [] { return exits_with(exit_code::cpuid); }},
    {"tsc offset", 0, "\x0f\x31"_code, [] { vmcb.tsc_offset = u64{1} << 60; }, [] { return registers.rdx >> 28 == 1; }},
    {"maps", 1, "\xee"_code,
     [] {
       __builtin_memset(io_map, 0xff, sizeof io_map);
       vmcb.io_map = reinterpret_cast<u64>(msr_map);
       __builtin_memset(msr_map, 0xff, sizeof msr_map);
     },
     [] { return exits_with(exit_code::io); }},
    {"asid", 2, "\x90"_code, [] { vmcb.asid = 3; }, [] { return exits_with(exit_code::vmmcall); }},
    {"v_tpr", 3, "\x44\x0f\x20\xc0"_code, [] { vmcb.virtual_interrupt = v_intr_masking | 5; },
     [] { return vmcb.rax == 5; }},
    {"control registers", 5, "\x0f\x20\xc0"_code, [] { vmcb.cr0 |= 1u << 16; },
     [] { return (vmcb.rax >> 16 & 1) != 0; }},
    {"efer", 5, "\x0f\x32"_code,
     [] {
       vmcb.efer &= ~efer_sce;
       registers.rcx = msr_efer;
     },
     [] { return (vmcb.rax & efer_sce) == 0; }},
    {"debug registers", 6, "\x0f\x21\xf8"_code, [] { vmcb.dr7 = 0x402; }, [] { return vmcb.rax == 0x402; }},
    {"descriptor tables", 7, "\x0f\x01\x07"_code,
     [] {
       vmcb.gdtr.limit = 0x1234;
       registers.rdi = data_page;
     },
     [] { return *reinterpret_cast<volatile u16*>(data_page) == 0x1234; }},
    {"segments", 8, "\x8c\xd8"_code, [] { vmcb.ds.selector = 0x20; }, [] { return (vmcb.rax & 0xffff) == 0x20; }},
    {"level", 8, "\xf4"_code, at_level_3, [] { return exits_with(exit_code::exception + 13); }},
    {"cr2", 9, "\x0f\x20\xd0"_code, [] { vmcb.cr2 = 0x4321; }, [] { return vmcb.rax == 0x4321; }},
};

/// Runs the guest once as it is, then again with the change and these clean bits.
void check_row(const Row& row, u64 clean) {
  prepare(row.code);
  intercept(exit_code::io);
  intercept(exit_code::hlt);
  vmcb.exceptions = 1u << 13;
  open_maps();
  enter();
  prepare(row.code);
  vmcb.exceptions = 1u << 13;
  open_maps();
  intercept(exit_code::io);
  if (row.bit != 8 || row.code.bytes[0] != '\xf4') intercept(exit_code::hlt);
  row.change();
  vmcb.tlb_control = row.bit == 2 ? 1 : 0;
  // Each of the intercepts above, which the first run had too, may stay cached.
  vmcb.clean = clean;
  enter();
  check_true(row.name, row.seen());
}

void untouched() {
  begin_group("clean bits, all set");
  prepare(code);
  check_finished("first");
  vmcb.rip = code_page;
  vmcb.clean = 0x7ff;
  check_finished("again");
  vmcb.rip = code_page + 2;
  vmcb.rax = 0x1234;
  vmcb.clean = 0x7ff;
  enter();
  check("rip and rax are never cached", Field{"exit", vmcb.exit_code, exit_code::vmmcall},
        Field{"rax", vmcb.rax, 0x1234});
  vmcb.rip = code_page + 2;
  vmcb.clean = 0x7ff;
  vmcb.event = event_valid | 0x30;
  enter();
  check_true("events are never cached", arrived(0x30));
}

}  // namespace

void check_clean_bits() {
  begin_group("clean bits, none set");
  for (const Row& row : rows) check_row(row, 0);
  begin_group("clean bits, all others set");
  for (const Row& row : rows) check_row(row, 0x7ff & ~(u64{1} << row.bit));
  open_maps();
  untouched();
}

}  // namespace guest
