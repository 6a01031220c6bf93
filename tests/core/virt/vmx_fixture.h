#pragma once

// A processor in VMX operation with a VMCS that enters a guest in 64-bit mode, for tests to break or to run code in.

#include "core/virt/vmx/entry_checks.h"
#include "core/virt/vmx/vmx.h"
#include "tests/core/engine_fixture.h"

namespace bunshin::vmx {

struct VmxMachine : TestMachine {
  static constexpr u64 host_code = 0x10000, guest_code = 0x20000, after_exit = 0x11000, vmxon_region = 0x30000,
                       vmcs_region = 0x31000, pointer = 0x40000, guest_tables = 0x100000, bitmap_page = 0x50000,
                       virtual_apic = 0x51000, msr_area = 0x52000, ept_root = 0x60000;

  explicit VmxMachine(CpuProfile cpu_profile = resolved_profile()) : TestMachine(std::move(cpu_profile)) {
    enter_long(host_code);
    state().cr4 |= cr4::VMXE;
    state().cr0 |= cr0::NE;
    processor.state_changed();
    poke<u32>(vmxon_region, vmx().capabilities().revision());
    poke<u32>(vmcs_region, vmx().capabilities().revision());
    write(after_exit, {0xf4});
  }

  Vmx& vmx() { return static_cast<Vmx&>(*processor.cpu().virt); }
  Vmcs vmcs() { return Vmcs(processor.cpu(), vmcs_region); }
  Cpu& cpu() { return processor.cpu(); }

  /// Runs `count` instructions of `bytes` in the host with RBX pointing at `address` as a 64-bit operand.
  void run_host(std::initializer_list<u8> bytes, u64 address = 0, unsigned count = 1) {
    write(host_code, bytes);
    poke<u64>(pointer, address);
    state().gpr[RBX] = pointer;
    state().rip = host_code;
    state().activity = Activity::Active;
    steps(count);
  }
  void steps(unsigned count) { processor.run(processor.cycles() + count); }

  void vmxon(u64 address = vmxon_region) { run_host({0xf3, 0x0f, 0xc7, 0x33}, address); }
  void vmclear(u64 address = vmcs_region) { run_host({0x66, 0x0f, 0xc7, 0x33}, address); }
  void vmptrld(u64 address = vmcs_region) { run_host({0x0f, 0xc7, 0x33}, address); }
  void vmlaunch() { run_host({0x0f, 0x01, 0xc2}); }
  void vmresume() { run_host({0x0f, 0x01, 0xc3}); }

  bool succeeded() { return (state().flags.value() & (rflags::CF | rflags::ZF)) == 0; }
  bool failed_invalid() { return (state().flags.value() & (rflags::CF | rflags::ZF)) == rflags::CF; }
  /// The error of VMfailValid; 0: it is none.
  u64 error() {
    const bool failed = (state().flags.value() & (rflags::CF | rflags::ZF)) == rflags::ZF;
    return failed ? vmcs().read(Field::InstructionError) : 0;
  }
  bool in_guest() { return cpu().guest != nullptr; }
  u32 exit_reason() { return vmcs().read32(Field::ExitReason); }

  /// VMXON, a current VMCS whose entry succeeds, and `bytes` as the guest's code.
  void prepare(std::initializer_list<u8> bytes = {0x0f, 0xa2}) {
    write(guest_code, bytes);
    vmxon();
    vmclear();
    vmptrld();
    write_controls();
    write_host();
    write_guest();
  }
  void set(Field field, u64 value) { vmcs().write(field, value); }
  void add(Field field, u64 bits) { set(field, vmcs().read(field) | bits); }
  void remove(Field field, u64 bits) { set(field, vmcs().read(field) & ~bits); }

  void write_controls() {
    const Capabilities& c = vmx().capabilities();
    set(Field::PinControls, c.pin.must);
    set(Field::PrimaryControls, c.primary.must);
    set(Field::ExitControls, c.exit.must | exit_control::host_address_space);
    set(Field::EntryControls, c.entry.must | entry_control::ia32e_guest);
    set(Field::VmcsLinkPointer, no_vmcs);
  }
  void activate_secondary(u32 bits) {
    add(Field::PrimaryControls, primary::secondary);
    add(Field::SecondaryControls, bits);
  }

  void write_host() {
    const CpuState& s = state();
    set(Field::HostCr0, s.cr0);
    set(Field::HostCr3, s.cr3);
    set(Field::HostCr4, s.cr4);
    set(Field::HostCs, 0x08);
    for (const Field f : {Field::HostSs, Field::HostDs, Field::HostEs}) set(f, 0x10);
    set(Field::HostTr, 0x18);
    set(Field::HostRip, after_exit);
    set(Field::HostRsp, 0x8000);
  }

  void write_guest() {
    const CpuState& s = state();
    set(Field::GuestCr0, s.cr0);
    set(Field::GuestCr3, s.cr3);
    set(Field::GuestCr4, s.cr4);
    for (unsigned i = 0; i < 6; ++i) {
      set(Field::GuestEs + i, 0x10);
      set(Field::GuestEsLimit + i, 0xffff'ffff);
      set(Field::GuestEsRights + i, 0xc093);
    }
    set(Field::GuestCs, 0x08);
    set(Field::GuestCsRights, 0xa09b);
    set(Field::GuestTr, 0x18);
    set(Field::GuestTrLimit, 0x67);
    set(Field::GuestTrRights, 0x8b);
    set(Field::GuestLdtrRights, Segment::null);
    set(Field::GuestDr7, 0x400);
    set(Field::GuestRsp, 0x9000);
    set(Field::GuestRip, guest_code);
    set(Field::GuestRflags, rflags::fixed);
  }

  /// Launches and runs until the guest leaves, at most `most` instructions.
  void launch_until_exit(unsigned most = 100) {
    vmlaunch();
    for (unsigned i = 0; i < most && in_guest(); ++i) steps(1);
  }
};

}  // namespace bunshin::vmx
