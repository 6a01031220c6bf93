#pragma once

// The machine itself: every operation is the hypervisor's own instructions. All memory that is used is mapped at its own address.

#include "vmm-model/bare/instructions.h"
#include "vmm-model/machine/pc_hardware.h"
#include "vmm-model/page_pool.h"

namespace bunshin::vmm::bare {

class BareHardware final : public PcHardware {
 public:
  BareHardware();
  void connect(PagePool& pool) { pool_ = &pool; }

  u64 load(HostPhysical address, unsigned size) override;
  void store(HostPhysical address, unsigned size, u64 value) override;
  void read(HostPhysical address, std::span<u8> bytes) override;
  void write(HostPhysical address, std::span<const u8> bytes) override;
  void clear(HostPhysical address, u64 bytes) override;
  void* allocate_object(std::size_t bytes) override;
  void take_interrupts() override { asm volatile("sti; nop; cli" : : : "memory"); }
  void wait_for_interrupt() override { asm volatile("sti; hlt; cli" : : : "memory"); }
  CpuidResult cpuid(u32 leaf, u32 subleaf) override;
  u64 read_msr(u32 number) override { return bare::read_msr(number); }
  void write_msr(u32 number, u64 value) override;
  void save_extended_state(HostPhysical area, u64 xcr0) override;
  void load_extended_state(HostPhysical area, u64 xcr0) override;
  void set_xcr0(u64 value) override;
  void run_vmcb(HostPhysical vmcb, HostPhysical host_state, GeneralRegisters& registers) override;
  void invalidate_guest_page(Linear address, u32 asid) override;
  bool switch_pages(std::array<HostPhysical, switch_area::shared_pages>& pages) override;
  UserState* user_state() override { return user_state_; }
  void run_user_state(const UserSpace& space) override;
  u32 fault_address() override;

  // MachineInstructions
  u32 in(u16 port, unsigned size) override;
  void out(u16 port, unsigned size, u32 value) override;
  u32 read_register(u64 address) override { return device_register(address); }
  void write_register(u64 address, u32 value) override { device_register(address) = value; }
  u64 time_stamp() override { return read_tsc(); }

 private:
  static volatile u32& device_register(u64 address) {
    return *reinterpret_cast<volatile u32*>(static_cast<std::uintptr_t>(address));
  }
  void stop() override;

  PagePool* pool_ = nullptr;
  bool xsave_ = false, tsc_aux_ = false;
  u64 states_ = 1;                   ///< that are saved
  UserState* user_state_ = nullptr;  ///< at the top of the switch area's stack
  // Of the guest in user state that ran last, while they are loaded.
  u32 gdt_ = 0;
  bool ldt_in_use_ = false;
};

}  // namespace bunshin::vmm::bare
