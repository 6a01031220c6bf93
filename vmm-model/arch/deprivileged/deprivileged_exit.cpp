// From the exception that a guest in user state was left for to the words that all back ends share.

#include <algorithm>

#include "vmm-model/arch/deprivileged/deprivileged_execution.h"

namespace bunshin::vmm::deprivileged {

namespace {

constexpr u8 debug = 1, first_interrupt = 32, invalid_tss = 10, general_protection = 13;

/// Faults that a privileged instruction, or one that loads a segment, can come with.
bool may_be_privileged(u32 vector) { return vector >= invalid_tss && vector <= general_protection; }

Exit left_for(ExitReason reason, u32 vector) {
  Exit exit;
  exit.reason = reason;
  exit.code = vector;
  return exit;
}

bool is_port(const Code& c) {
  return c.map == 0 && ((c.opcode & 0xfc) == 0xe4 || (c.opcode & 0xfc) == 0xec || (c.opcode & 0xfc) == 0x6c);
}

bool is_software_interrupt(const Code& c) { return c.map == 0 && c.opcode >= 0xcc && c.opcode <= 0xce; }

/// What loads segments, at any level: it faults where the processor's table has not what the guest's has.
bool loads_segment(const Code& c) {
  if (c.map == 0) {
    switch (c.opcode) {
      case 0x07:
      case 0x17:
      case 0x1f:
      case 0x8e:
      case 0x9a:
      case 0xc4:
      case 0xc5:
      case 0xca:
      case 0xcb:
      case 0xcf:
      case 0xea: return true;
      case 0xff: return c.reg() == 3 || c.reg() == 5;
      default: return false;
    }
  }
  if (c.map != 1) return false;
  return c.opcode == 0xa1 || c.opcode == 0xa9 || c.opcode == 0xb2 || c.opcode == 0xb4 || c.opcode == 0xb5;
}

/// What else the back end performs for a kernel.
bool is_system(const Code& c) {
  if (c.is(0, 0xfa) || c.is(0, 0xfb)) return true;
  if (c.map != 1) return false;
  switch (c.opcode) {
    case 0x00: return c.reg() == 2 || c.reg() == 3;
    case 0x01: return c.operand.memory && (c.reg() == 2 || c.reg() == 3);
    case 0x20:
    case 0x22: return c.reg() == 2;
    case 0x21:
    case 0x23:
    case 0x34:
    case 0x35: return true;
    default: return false;
  }
}

/// Those that have an exit of their own on every back end; Unknown: none of them.
ExitReason common_reason(const Code& c) {
  if (c.is(0, 0xf4)) return ExitReason::Hlt;
  if (c.map != 1) return ExitReason::Unknown;
  switch (c.opcode) {
    case 0x01:
      if (c.modrm == 0xd1) return ExitReason::SetExtendedControl;
      if (c.reg() == 6) return ExitReason::LoadMachineStatus;
      return c.operand.memory && c.reg() == 7 ? ExitReason::InvalidatePage : ExitReason::Unknown;
    case 0x06: return ExitReason::ClearTaskSwitched;
    case 0x08:
    case 0x09: return ExitReason::InvalidateCaches;
    case 0x20: return c.reg() == 2 ? ExitReason::Unknown : ExitReason::ReadControl;
    case 0x22: return c.reg() == 2 ? ExitReason::Unknown : ExitReason::WriteControl;
    case 0x30: return ExitReason::WriteMsr;
    case 0x32: return ExitReason::ReadMsr;
    case 0x33: return ExitReason::ReadCounter;
    case 0xa2: return ExitReason::Cpuid;
    default: return ExitReason::Unknown;
  }
}

}  // namespace

// What kernels write page tables with, done at once: a doubleword to memory, from a register or the instruction.
bool DeprivilegedExecution::store_to_table(u32 linear) {
  constexpr WalkAccess write{.write = true, .execute = false, .user = false};
  if ((linear & 3) != 0) return false;
  const LinearMemory::Page* const found = linear_.find(linear, write);
  if (found == nullptr || !found->memory) return false;
  const LinearMemory::Page page = *found;
  if (page.code || tables_.traps(page.address) || !fetch(code_)) return false;
  const bool from_register = code_.is(0, 0x89), immediate = code_.is(0, 0xc7) && code_.reg() == 0;
  if ((!from_register && !immediate) || code_.operand.operand_size != 4 || !code_.operand.memory) return false;
  if (operand_linear() != linear || !paging_->takes_write(page.address)) return false;
  const u32 offset = linear & u32{page_size - 1};
  hardware_.store(page.host + offset, 4, from_register ? registers[code_.reg()] : code_.immediate);
  paging_->memory_written(page.address + offset, 4);
  advance();
  return true;
}

Exit DeprivilegedExecution::page_fault() {
  Exit exit;
  exit.reason = ExitReason::PageFault;
  exit.number = vector::PF;
  exit.address = hardware_.fault_address();
  exit.error_code = (state_.error_code & ~u32{page_fault::U}) | (view() == user ? page_fault::U : 0);
  constexpr u32 refused = page_fault::P | page_fault::W;
  if (!switch_area::contains(exit.address)) {
    const bool refused_write = view() == kernel && (state_.error_code & refused) == refused;
    if (refused_write && store_to_table(static_cast<u32>(exit.address))) exit.reason = ExitReason::TableWrite;
    return exit;
  }
  // The guest's tables decide whether there is anything; what there is, it reaches only by the hypervisor.
  const GuestTranslation t =
      walk_guest(*memory_, paging_->controls(), Linear(exit.address), faulting_access(exit.error_code), true);
  if (t.fault) return exit;
  exit.reason = ExitReason::SwitchArea;
  exit.address = t.address.value;
  return exit;
}

Exit DeprivilegedExecution::other_exception(u8 number) {
  Exit exit;
  exit.number = number;
  exit.error_code = state_.error_code;
  exit.reason = exception_reason(number);
  return exit;
}

bool DeprivilegedExecution::fetch(Code& code) {
  const u32 linear = static_cast<u32>(seg(SegmentName::cs).base) + rip();
  const WalkAccess access{false, true, view() == user};
  const u32 offset = linear & u32{page_size - 1};
  const LinearMemory::Page* const page = linear_.find(linear, access);
  if (page == nullptr) return false;
  if (!page->memory || offset + CodeCache::bytes_compared > page_size) return decode(linear, access, code);
  const HostPhysical at = page->host + offset;
  const auto load = [this, at](unsigned half) { return hardware_.load(at + 8 * half, 8); };
  if (const Code* const known = decoded_.find(linear, code_bits(), scanner_.generation(), load)) {
    code = *known;
    return true;
  }
  if (!decode(linear, access, code)) return false;
  decoded_.keep(linear, code_bits(), scanner_.generation(), code, load);
  return true;
}

bool DeprivilegedExecution::decode(u32 linear, WalkAccess access, Code& code) {
  std::array<u8, longest_instruction> bytes{};
  const std::size_t first =
      std::min<std::size_t>(longest_instruction, static_cast<std::size_t>(page_size - (linear & 0xfff)));
  if (!linear_.read(linear, std::span(bytes).first(first), access)) return false;
  const bool all = first == longest_instruction ||
                   linear_.read(linear + static_cast<u32>(first), std::span(bytes).subspan(first), access);
  code = decode_code(std::span(bytes).first(all ? longest_instruction : first), code_bits());
  return code.length != 0;
}

// SDM vol. 1, 18.5.2: the task state's map of ports, two bytes of it, all bits of the access zero.
bool DeprivilegedExecution::port_permitted(u16 port, unsigned size) {
  constexpr u32 map_offset_at = 102;
  const SegmentState& task = seg(SegmentName::tr);
  u64 offset = 0, bits = 0;
  if (cpl() <= io_privilege()) return true;
  if (task.limit < map_offset_at + 1) return false;
  if (!linear_.read(static_cast<u32>(task.base) + map_offset_at, 2, offset, false)) return false;
  const u32 at = static_cast<u32>(offset) + port / 8;
  if (at + 1 > task.limit || !linear_.read(static_cast<u32>(task.base) + at, 2, bits, false)) return false;
  return (bits >> port % 8 & ((1u << size) - 1)) == 0;
}

ExitReason DeprivilegedExecution::port_instruction(Exit& exit) {
  const bool string = (code_.opcode & 0xf0) == 0x60, by_register = string || code_.opcode >= 0xec;
  exit.port.port = static_cast<u16>(by_register ? registers[rdx] : code_.immediate);
  exit.port.size = (code_.opcode & 1) != 0 ? code_.operand.operand_size : 1;
  exit.port.in = (code_.opcode & 2) == 0;
  exit.port.string = string;
  exit.port.repeat = code_.operand.repeat;
  return port_permitted(exit.port.port, exit.port.size) ? ExitReason::Io : exit.reason;
}

ExitReason DeprivilegedExecution::classify_kernel(Exit& exit) {
  if (is_port(code_)) return port_instruction(exit);
  if (is_software_interrupt(code_)) return ExitReason::SoftwareInterrupt;
  if (const ExitReason reason = common_reason(code_); reason != ExitReason::Unknown) {
    const bool control = reason == ExitReason::ReadControl || reason == ExitReason::WriteControl;
    exit.number = control ? code_.reg() : u8{0};
    exit.gpr = code_.operand.rm;
    if (reason == ExitReason::InvalidatePage) exit.address = operand_linear();
    return cpl() == 0 || reason == ExitReason::Cpuid ? reason : exit.reason;
  }
  if (is_system(code_) || loads_segment(code_)) return ExitReason::SystemInstruction;
  if (!scanner_.rewritten(static_cast<u32>(seg(SegmentName::cs).base) + rip())) return exit.reason;
  return is_sensitive(code_) || loads_stack(code_) ? ExitReason::SensitiveInstruction : ExitReason::IndirectBranch;
}

ExitReason DeprivilegedExecution::classify_user(Exit& exit) {
  if (is_port(code_)) return port_instruction(exit);
  if (is_software_interrupt(code_)) return ExitReason::SoftwareInterrupt;
  const bool interrupt_flag = code_.is(0, 0xfa) || code_.is(0, 0xfb);
  const bool system = (interrupt_flag && io_privilege() == 3) || code_.is(1, 0x34) || loads_segment(code_);
  return system ? ExitReason::SystemInstruction : exit.reason;
}

Exit DeprivilegedExecution::read_exit() {
  if (state_.vector >= first_interrupt) return left_for(ExitReason::Interrupt, state_.vector);
  const u8 number = static_cast<u8>(state_.vector);
  if (number == vector::NMI) return left_for(ExitReason::Nmi, number);
  if (number == vector::PF) return page_fault();
  if (number == debug && opened_ != nowhere) close_page();
  if (number == debug && stepping_ && (field(StateField::rflags) & rflags::TF) == 0) {
    return left_for(ExitReason::InterruptWindow, number);
  }
  Exit exit = other_exception(number);
  exit.code = number;
  if (!may_be_privileged(number) || !fetch(code_)) return exit;
  const ExitReason reason = view() == user ? classify_user(exit) : classify_kernel(exit);
  if (reason != exit.reason) exit.length = code_.length;
  exit.reason = reason;
  return exit;
}

}  // namespace bunshin::vmm::deprivileged
