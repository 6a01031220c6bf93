#pragma once

// A machine whose code runs VMRUN: a host in long mode, a VMCB, and a guest of a few bytes.

#include "core/virt/svm/svm.h"
#include "tests/core/engine_fixture.h"

namespace bunshin {

struct SvmMachine : TestMachine {
  static constexpr u64 host_code = 0x1000, guest_code = 0x3000, vmcb_at = 0x4000, hsave_at = 0x6000, io_map_at = 0x8000,
                       msr_map_at = 0xc000, nested_tables = 0x200000, handler = 0x3800;

  explicit SvmMachine(std::vector<std::string> features = {})
      : TestMachine(resolved_profile("AuthenticAMD", features)) {
    enter_long(host_code);
    state().msr.efer |= efer::SVME;
    state().gpr[RAX] = vmcb_at;
    EXPECT_TRUE(svm().write_hsave(hsave_at));
    processor.state_changed();
    write(host_code, {0x0f, 0x01, 0xd8, 0xf4});  // vmrun; hlt
    guest = long_mode_guest();
  }

  svm::Svm& svm() { return static_cast<svm::Svm&>(*processor.cpu().virt); }

  /// The host's own world, at CPL 0, RIP at guest_code.
  svm::Vmcb long_mode_guest() {
    svm::Vmcb v;
    const CpuState& s = state();
    svm::VmcbSave& save = v.save;
    save.cs = {0x8, 0x29b, 0xffffffff, 0};
    save.ss = save.ds = save.es = {0x10, 0xc93, 0xffffffff, 0};
    save.efer = s.msr.efer;
    save.cr0 = s.cr0 & ~u64{cr0::CD | cr0::NW};
    save.cr3 = s.cr3;
    save.cr4 = s.cr4;
    save.dr6 = 0xffff0ff0;
    save.dr7 = 0x400;
    save.rflags = 2;
    save.rip = guest_code;
    save.rsp = 0x7000;
    save.pat = s.msr.pat;
    v.control.asid = 1;
    v.control.io_map = io_map_at;
    v.control.msr_map = msr_map_at;
    request(v, svm::ExitCode::Vmrun);
    return v;
  }
  static void request(svm::Vmcb& v, svm::ExitCode code) {
    const u64 bit = static_cast<u64>(code);
    v.control.intercepts[bit / 32] |= 1u << (bit % 32);
  }
  void request(svm::ExitCode code) { request(guest, code); }
  void guest_bytes(std::initializer_list<u8> bytes) { write(guest_code, bytes); }

  /// Guest-physical memory is the host's first GiB, in 2 MiB pages.
  void nest() {
    poke<u64>(nested_tables, (nested_tables + 0x1000) | 7);
    poke<u64>(nested_tables + 0x1000, (nested_tables + 0x2000) | 7);
    for (u64 i = 0; i < 512; ++i) poke<u64>(nested_tables + 0x2000 + i * 8, i << 21 | 0x87);
    guest.control.nested_control = svm::nested_paging;
    guest.control.nested_cr3 = nested_tables;
  }

  /// Runs the host's VMRUN and what follows, until the host halts or so many cycles have passed. What the VMCB holds then
  /// is in `guest`.
  void run(u64 cycles = 1000) {
    poke(vmcb_at, guest);
    processor.run(processor.cycles() + cycles);
    guest = peek<svm::Vmcb>(vmcb_at);
  }
  svm::ExitCode exit_code() const { return static_cast<svm::ExitCode>(guest.control.exit_code); }

  svm::Vmcb guest;
};

}  // namespace bunshin
