#pragma once

// The guest-state area (SDM vol. 3, 24.4) as one structure: what VM entry checks and loads, and VM exit saves.

#include "core/state.h"
#include "core/virt/vmx/controls.h"

namespace bunshin::vmx {

struct GuestState {
  u64 cr0 = 0, cr3 = 0, cr4 = 0, dr7 = 0;
  u64 rsp = 0, rip = 0, rflags = 0;
  std::array<Segment, 6> seg{};
  Segment ldtr, tr;
  u64 gdtr_base = 0, idtr_base = 0;
  u32 gdtr_limit = 0, idtr_limit = 0;
  u64 debugctl = 0, sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0, pat = 0, efer = 0;
  u32 activity = 0, interruptibility = 0;
  u64 pending_debug = 0, link_pointer = 0;
  u16 interrupt_status = 0;
  std::array<u64, 4> pdptes{};
  u32 preemption_timer = 0;
  u32 interruption = 0, error_code = 0, instruction_length = 0;  ///< of the event to inject

  const Segment& segment(Seg s) const { return seg[static_cast<unsigned>(s)]; }
  bool v86() const { return (rflags & rflags::VM) != 0; }
  /// PAE paging that is not IA-32e mode's.
  bool pae_paging(const Controls& c) const {
    return (cr0 & cr0::PG) != 0 && (cr4 & cr4::PAE) != 0 && !c.on_entry(entry_control::ia32e_guest);
  }
};

GuestState read_guest_state(const Vmcs& vmcs, const Controls& controls);

/// Values of the activity-state field (24.4.2).
enum class ActivityField : u32 { Active = 0, Hlt = 1, Shutdown = 2, WaitForSipi = 3 };

}  // namespace bunshin::vmx
