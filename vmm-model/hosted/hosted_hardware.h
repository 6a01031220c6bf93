#pragma once

// The modeled machine, for a hypervisor that is part of the simulator: architectural operations are instructions that the
// modeled core executes, memory is the machine's and charged to its memory hierarchy, and computing takes what a table says.

#include <memory>
#include <new>
#include <vector>

#include "vmm-model/hosted/compute_costs.h"
#include "vmm-model/hosted/hosted_world.h"
#include "vmm-model/machine/pc_hardware.h"
#include "vmm-model/page_pool.h"

namespace bunshin::vmm {

class HostedHardware final : public PcHardware {
 public:
  explicit HostedHardware(HostedMachine& machine);

  /// The core into host mode, and the board's devices into use. Takes the machine's time, as all below do.
  void start(PagePool& pool);
  bool marked(u16 code) { return world_.marked(code); }
  const ComputeCounters& counters() const { return counters_; }

  // --- For what the back ends need besides ---
  HostedWorld& world() { return world_; }
  /// Charges what has been computed until now, then has the core execute.
  void execute(Routine routine);
  /// A field of a control block that is no memory.
  void count_field() { ++done_.fields; }
  /// On both sides of a world switch: where the guest's registers lie for it.
  HostPhysical begin_switch(const GeneralRegisters& registers);
  void end_switch(GeneralRegisters& registers);

  // Hardware
  u64 load(HostPhysical address, unsigned size) override;
  void store(HostPhysical address, unsigned size, u64 value) override;
  void read(HostPhysical address, std::span<u8> bytes) override;
  void write(HostPhysical address, std::span<const u8> bytes) override;
  void clear(HostPhysical address, u64 bytes) override;
  void* allocate_object(std::size_t bytes) override;
  void take_interrupts() override { execute(Routine::TakeInterrupts); }
  void wait_for_interrupt() override { execute(Routine::WaitForInterrupt); }
  CpuidResult cpuid(u32 leaf, u32 subleaf) override;
  u64 read_msr(u32 number) override;
  void write_msr(u32 number, u64 value) override;
  void save_extended_state(HostPhysical area, u64 xcr0) override;
  void load_extended_state(HostPhysical area, u64 xcr0) override;
  void set_xcr0(u64 value) override;
  void run_vmcb(HostPhysical vmcb, HostPhysical host_state, GeneralRegisters& registers) override;
  void invalidate_guest_page(Linear address, u32 asid) override;
  void working_for(std::string_view paging) override;
  void guests_ready() override { compute(mode_costs().start, counters_.start); }
  void exit_handled(ExitReason reason) override;
  void worked(Work work, u64 times) override { done_.work[static_cast<unsigned>(work)] += times; }

  // MachineInstructions
  u32 in(u16 port, unsigned size) override;
  void out(u16 port, unsigned size, u32 value) override;
  u32 read_register(u64 address) override;
  void write_register(u64 address, u32 value) override;
  u64 time_stamp() override;

 private:
  struct PageAligned {
    void operator()(u8* object) const { ::operator delete[](object, std::align_val_t{page_size}); }
  };

  void stop() override;
  Cpu& cpu() { return machine_.processor().cpu(); }
  void execute_on_page(Routine routine, HostPhysical page);
  void count_reference(HostPhysical address);
  void count_lines(u64 bytes);
  const ComputeCosts::Mode& mode_costs() const { return machine_.costs().modes[mode_]; }
  void compute(u64 cost, ComputeCounters::Work& work);

  HostedMachine& machine_;
  HostedWorld world_;
  PagePool* pool_ = nullptr;
  bool xsave_, tsc_aux_;
  u64 states_ = 1;                       ///< that are saved
  u64 computed_ = 0;                     ///< thousandths of cycles that have not been charged
  HostPhysical control_block_{~u64{0}};  ///< of the guest that ran last
  ComputeCounters::Work done_;           ///< since computing was last charged to something
  unsigned stamps_owed_ = 0;             ///< reads of the time-stamp counter until the way to the next entry is charged
  u64 logged_ = 0;                       ///< references that an observed core's log holds at most
  unsigned mode_ = 0;                    ///< of the guest at work: a PagingChoice
  ComputeCounters counters_;
  std::vector<std::unique_ptr<u8[], PageAligned>> objects_;
};

}  // namespace bunshin::vmm
