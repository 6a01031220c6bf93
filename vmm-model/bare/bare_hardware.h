#pragma once

// The machine itself: every operation is the hypervisor's own instructions. All memory below 4 GiB is mapped at its own address.

#include "vmm-model/bare/clock.h"
#include "vmm-model/bare/serial_line.h"
#include "vmm-model/hardware.h"
#include "vmm-model/page_pool.h"

namespace bunshin::vmm::bare {

class BareHardware final : public Hardware {
 public:
  BareHardware();
  void connect(PagePool& pool) { pool_ = &pool; }

  u64 load(HostPhysical address, unsigned size) override;
  void store(HostPhysical address, unsigned size, u64 value) override;
  void read(HostPhysical address, std::span<u8> bytes) override;
  void write(HostPhysical address, std::span<const u8> bytes) override;
  void clear(HostPhysical address, u64 bytes) override;
  void* allocate_object(std::size_t bytes) override;
  SimTime now() override { return clock_.now(); }
  u64 tsc() override { return read_tsc(); }
  u64 tsc_hertz() const override { return clock_.tsc_hertz(); }
  SimTime time_of_tsc(u64 tsc) override { return clock_.time_of_tsc(tsc); }
  void set_timer(SimTime at) override { clock_.set_timer(at); }
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
  void log(std::string_view text) override;
  void guest_output(std::span<const char> text) override;
  int guest_input() override { return guests_.get(); }
  void power_off(bool success) override;

 private:
  SerialLine guests_{0x3f8}, own_{0x2f8};
  MachineClock clock_;
  PagePool* pool_ = nullptr;
  bool xsave_ = false, tsc_aux_ = false;
};

}  // namespace bunshin::vmm::bare
