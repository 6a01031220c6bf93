#include "vmm-model/exit_table.h"

namespace bunshin::vmm {

namespace {

constexpr std::array<ExitRow, exit_reasons> rows{{
    {ExitReason::Interrupt, "interrupt", handle_interrupt},
    {ExitReason::InterruptWindow, "interrupt_window", handle_interrupt_window},
    {ExitReason::Nmi, "nmi", handle_interrupt},
    {ExitReason::PageFault, "page_fault", handle_memory_fault},
    {ExitReason::InvalidOpcode, "invalid_opcode", handle_invalid_opcode},
    {ExitReason::GeneralProtection, "general_protection", handle_exception},
    {ExitReason::Exception, "exception", handle_exception},
    {ExitReason::ReadControl, "read_control", handle_read_control},
    {ExitReason::WriteControl, "write_control", handle_write_control},
    {ExitReason::ClearTaskSwitched, "clts", handle_write_control},
    {ExitReason::LoadMachineStatus, "lmsw", handle_write_control},
    {ExitReason::ReadMsr, "read_msr", handle_read_msr},
    {ExitReason::WriteMsr, "write_msr", handle_write_msr},
    {ExitReason::Io, "io", handle_port},
    {ExitReason::Cpuid, "cpuid", handle_cpuid},
    {ExitReason::Hlt, "hlt", handle_hlt},
    {ExitReason::InvalidatePage, "invlpg", handle_invalidate_page},
    {ExitReason::InvalidateCaches, "wbinvd", handle_nothing_to_do},
    {ExitReason::SetExtendedControl, "xsetbv", handle_set_extended_control},
    {ExitReason::Hypercall, "hypercall", handle_invalid_opcode},  // there is no hypervisor to call (S2)
    {ExitReason::Monitor, "monitor", handle_invalid_opcode},      // CPUID does not have it
    {ExitReason::ReadCounter, "rdpmc", handle_read_counter},
    {ExitReason::VirtualizationInstruction, "virtualization", handle_invalid_opcode},
    {ExitReason::SecondStageFault, "second_stage", handle_memory_fault},
    {ExitReason::TaskSwitch, "task_switch", handle_task_switch},
    {ExitReason::Shutdown, "shutdown", handle_shutdown},
    {ExitReason::EntryFailure, "entry_failure", handle_unexpected},
    {ExitReason::SystemInstruction, "system_instruction", handle_in_back_end},
    {ExitReason::SensitiveInstruction, "sensitive_instruction", handle_in_back_end},
    {ExitReason::SoftwareInterrupt, "software_interrupt", handle_in_back_end},
    {ExitReason::IndirectBranch, "indirect_branch", handle_in_back_end},
    {ExitReason::TableWrite, "table_write", handle_performed},
    {ExitReason::SwitchArea, "switch_area", handle_emulated_access},
    {ExitReason::Unknown, "unknown", handle_unexpected},
}};

constexpr bool in_order() {
  for (unsigned i = 0; i < rows.size(); ++i) {
    if (static_cast<unsigned>(rows[i].reason) != i) return false;
  }
  return true;
}
static_assert(in_order(), "a row for every reason, in the order of ExitReason");

}  // namespace

const ExitRow& exit_row(ExitReason reason) { return rows[static_cast<unsigned>(reason)]; }

}  // namespace bunshin::vmm
