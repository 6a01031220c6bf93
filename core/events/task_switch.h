#pragma once

// Hardware task switching (SDM vol. 3, ch. 7). It does not exist in IA-32e mode.

#include <optional>

#include "core/events/event.h"
#include "core/events/segmentation.h"

namespace bunshin {

struct TaskSwitch {
  TaskSwitchCause cause = TaskSwitchCause::Jump;
  u16 selector = 0;               ///< of the new task's TSS
  Descriptor tss;                 ///< checked: a TSS of the right business, present
  u64 return_rip = 0;             ///< saved as the old task's EIP
  u64 flags = 0;                  ///< saved as the old task's EFLAGS
  std::optional<u32> error_code;  ///< pushed on the new task's stack
};

enum class TaskSwitchResult : u8 {
  Done,
  Refused,         ///< the fault is raised in the old task; registers are unchanged
  FaultInNewTask,  ///< the fault is raised, and belongs to the new task: RIP and registers are its own
};

/// The descriptor of a TSS that JMP, CALL or a task gate may enter: #GP, #NP of the selector.
[[nodiscard]] bool read_available_tss(Cpu& cpu, u16 selector, Descriptor& d);

[[nodiscard]] TaskSwitchResult switch_task(Cpu& cpu, TaskSwitch& request);

/// For instructions: a fault of the new task is delivered at once, since the instruction itself has completed.
[[nodiscard]] bool complete_task_switch(Cpu& cpu, TaskSwitch& request);

}  // namespace bunshin
