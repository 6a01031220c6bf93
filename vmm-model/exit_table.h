#pragma once

// Exit reason → handler: everything a guest can be left for, and who answers, at a glance (exit_table.cpp).

#include <string_view>

#include "vmm-model/exit.h"

namespace bunshin::vmm {

class Guest;

struct ExitRow {
  ExitReason reason;
  std::string_view name;  ///< in reports
  void (&handler)(Guest&, const Exit&);
};

const ExitRow& exit_row(ExitReason reason);

// Handlers, by chapter: what the processor does (handle_processor.cpp, handle_control.cpp), memory (handle_memory.cpp), devices
// (handle_devices.cpp), tasks (task_switch.cpp).
void handle_interrupt(Guest& guest, const Exit& exit);
void handle_interrupt_window(Guest& guest, const Exit& exit);
void handle_memory_fault(Guest& guest, const Exit& exit);
void handle_invalidate_page(Guest& guest, const Exit& exit);
void handle_invalid_opcode(Guest& guest, const Exit& exit);
void handle_exception(Guest& guest, const Exit& exit);
void handle_read_control(Guest& guest, const Exit& exit);
void handle_write_control(Guest& guest, const Exit& exit);
void handle_read_msr(Guest& guest, const Exit& exit);
void handle_write_msr(Guest& guest, const Exit& exit);
void handle_port(Guest& guest, const Exit& exit);
void handle_cpuid(Guest& guest, const Exit& exit);
void handle_hlt(Guest& guest, const Exit& exit);
void handle_nothing_to_do(Guest& guest, const Exit& exit);
void handle_set_extended_control(Guest& guest, const Exit& exit);
void handle_read_counter(Guest& guest, const Exit& exit);
void handle_performed(Guest& guest, const Exit& exit);
void handle_in_back_end(Guest& guest, const Exit& exit);
void handle_emulated_access(Guest& guest, const Exit& exit);
void handle_task_switch(Guest& guest, const Exit& exit);
void handle_shutdown(Guest& guest, const Exit& exit);
void handle_unexpected(Guest& guest, const Exit& exit);

}  // namespace bunshin::vmm
