#pragma once

// A guest in user state without a processor under it: memory with descriptor tables where a test wants them, and whatever the
// test says happens in user state.

#include "host_machine.h"
#include "vmm-model/arch/deprivileged/deprivileged_execution.h"
#include "vmm-model/paging/virtual_tlb.h"

namespace bunshin::vmm {

class UserStateRig {
 public:
  static constexpr u64 guest_bytes = 4 << 20, guest_at = 32 << 20;
  static constexpr u32 gdt = 0x1000, idt = 0x2000, task = 0x3000, kernel_stack = 0x8000, stack = 0x9000,
                       code = 0x1'0000;
  static constexpr u16 kernel_code = 0x08, kernel_data = 0x10, user_code = 0x1b, user_data = 0x23, task_selector = 0x28;

  explicit UserStateRig(bool scan = false) {
    pool.add(0x1000, guest_at);
    execution.start({HostPhysical(0x1000), HostPhysical(0x2000), HostPhysical(0x3000), HostPhysical(0x4000)});
    execution.attach(memory, paging, scan);
    const u64 table[] = {0, flat(0x9b), flat(0x93), flat(0xfb), flat(0xf3), 0x67 | u64{task} << 16 | u64{0x8b} << 40};
    for (unsigned i = 0; i < std::size(table); ++i) store(gdt + 8 * i, 8, table[i]);
    store(task + 4, 4, kernel_stack);
    store(task + 8, 4, kernel_data);
    store(task + 102, 2, 0x68);
    execution.set_segment(SegmentName::gdtr, {0, 0, sizeof(table) - 1, gdt});
    execution.set_segment(SegmentName::idtr, {0, 0, 256 * 8 - 1, idt});
    execution.set_segment(SegmentName::tr, {task_selector, 0x8b, 0x67, task});
    execution.set_segment(SegmentName::ldtr, {0, 0x82, 0, 0});
    execution.set(StateField::cr0, cr0::PE);
    paging.start();
    at_level(0);
  }

  static u64 flat(u8 access) { return 0x00cf'0000'0000'ffff | u64{access} << 40; }
  SegmentState segment(u16 selector) { return deprivileged::segment_of(selector, load(gdt + (selector & ~7u), 8)); }
  void at_level(unsigned level) {
    execution.set_segment(SegmentName::cs, segment(level == 0 ? kernel_code : user_code));
    for (const SegmentName name : {SegmentName::ss, SegmentName::ds, SegmentName::es}) {
      execution.set_segment(name, segment(level == 0 ? kernel_data : user_data));
    }
    execution.set(StateField::cpl, level);
    execution.set(StateField::rip, code);
    execution.registers[rsp] = stack;
  }
  u64 load(u64 at, unsigned size) {
    u64 value = 0;
    memory.load(GuestPhysical(at), size, value);
    return value;
  }
  void store(u64 at, unsigned size, u64 value) { memory.store(GuestPhysical(at), size, value); }
  void put_code(u32 at, std::span<const u8> bytes) { memory.write(GuestPhysical(at), bytes); }

  HostMachine machine{64 << 20};
  PagePool pool{machine};
  GuestMemory memory{machine, HostPhysical(guest_at), guest_bytes};
  deprivileged::DeprivilegedExecution execution{machine, pool};
  VirtualTlb paging{PagingContext{machine, pool, memory, execution, 36}};
};

}  // namespace bunshin::vmm
