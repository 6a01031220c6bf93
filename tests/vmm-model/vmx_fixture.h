#pragma once

// VT-x without a processor: a VMCS that is a table of fields, into which a test writes what an exit would have told.

#include <functional>
#include <map>

#include <gtest/gtest.h>

#include "host_machine.h"
#include "vmm-model/arch/vmx/vmx_execution.h"

namespace bunshin::vmm::vmx {

class TableVmx final : public VmxInstructions {
 public:
  Status turn_on(HostPhysical) override { return Status::Succeed; }
  Status clear(HostPhysical) override { return Status::Succeed; }
  Status load(HostPhysical vmcs) override {
    current = vmcs;
    return Status::Succeed;
  }
  u64 read(Field field) override {
    ++reads;
    return fields()[field];
  }
  void write(Field field, u64 value) override {
    ++writes;
    fields()[field] = value;
  }
  void invalidate_ept(Scope, u64) override { ++ept_flushes; }
  void invalidate_vpid(Scope, u16 vpid, Linear) override { flushed_vpids.push_back(vpid); }
  void write_host_state() override {}
  Status enter(bool launched, GeneralRegisters& registers, u64&) override {
    launches.push_back(launched);
    if (guest) guest(registers);
    fields()[Field::EntryInterruption] &= ~u64{interruption::valid};
    return answer;
  }

  std::map<Field, u64>& fields() { return vmcss[current.value]; }

  std::map<u64, std::map<Field, u64>> vmcss;
  HostPhysical current;
  unsigned reads = 0, writes = 0, ept_flushes = 0;
  std::vector<u16> flushed_vpids;
  std::vector<bool> launches;
  std::function<void(GeneralRegisters&)> guest;
  Status answer = Status::Succeed;
};

/// All controls there are, or those of the first VT-x.
inline void describe_vmx(HostMachine& machine, bool modern) {
  constexpr u64 any = 0xffff'ffff'0000'0000;
  auto& msrs = machine.msrs;
  machine.features = 1 << 5;
  msrs[vmx_msr::feature_control] = 5;
  msrs[vmx_msr::basic] = 7;
  for (const u32 word : {vmx_msr::pin, vmx_msr::primary, vmx_msr::exit, vmx_msr::entry}) msrs[word] = any;
  msrs[vmx_msr::cr0_fixed0] = cr0::PE | cr0::NE | cr0::PG;
  msrs[vmx_msr::cr4_fixed0] = cr4::VMXE;
  msrs[vmx_msr::cr4_fixed1] = ~u64{0};
  if (modern) {
    msrs[vmx_msr::secondary] = any;
    msrs[vmx_msr::ept_vpid] = ~u64{0};
  } else {
    constexpr u64 later = u64{primary::secondary | primary::msr_bitmaps | primary::tpr_shadow} << 32;
    msrs[vmx_msr::primary] = (any & ~later) | primary::cr3_load | primary::cr3_store;
  }
}

class VmxExecutionTest : public testing::Test {
 protected:
  void start(bool modern = true) {
    describe_vmx(machine, modern);
    pool.add(0x1000, 1 << 20);
    ASSERT_EQ(processor.enable(machine, pool), "");
    guest = create();
  }
  VmxExecution* create() {
    auto* made = static_cast<VmxExecution*>(processor.create_execution(machine, pool));
    made->set(StateField::cr0, cr0::PE | cr0::ET);
    return made;
  }
  /// The guest runs, and is left with these fields.
  Exit leave(const std::map<Field, u64>& told) {
    vmx.guest = [&](GeneralRegisters&) {
      for (const Field field : {Field::IdtVectoring, Field::ExitInterruption}) vmx.fields()[field] = 0;
      for (const auto& [field, value] : told) vmx.fields()[field] = value;
    };
    return guest->enter();
  }

  HostMachine machine{u64{4} << 20};
  PagePool pool{machine};
  TableVmx vmx;
  VmxProcessor processor{vmx};
  VmxExecution* guest = nullptr;
};

}  // namespace bunshin::vmm::vmx
