// The instruction at a guest's RIP: fetching it, stepping over it, performing it.

#include <algorithm>

#include "vmm-model/emulate/describe.h"
#include "vmm-model/guest.h"
#include "vmm-model/message.h"

namespace bunshin::vmm {

unsigned Guest::code_bits() {
  if ((execution_.get(StateField::cr0) & cr0::PE) == 0) return 16;
  const u16 cs = execution_.segment_attributes(SegmentName::cs);
  if ((execution_.get(StateField::efer) & efer::LMA) != 0 && (cs & segment::L) != 0) return 64;
  if ((execution_.get(StateField::rflags) & rflags::VM) != 0) return 16;
  return (cs & segment::DB) != 0 ? 32 : 16;
}

bool Guest::fetch(Instruction& instruction, bool& fault) {
  const unsigned bits = code_bits();
  u64 linear = execution_.get(StateField::rip);
  if (bits != 64) linear = (linear + execution_.segment_base(SegmentName::cs)) & 0xffff'ffff;
  const PagingControls controls = paging_.controls();
  const WalkAccess access{false, true, execution_.get(StateField::cpl) == 3};
  code_size_ = 0;
  fault = false;
  while (code_size_ < longest_instruction) {
    const u64 at = linear + code_size_;
    const GuestTranslation t = walk_guest(memory_, controls, Linear(at), access, false);
    if (t.fault) {
      if (code_size_ != 0) break;
      fault = true;
      inject_page_fault(at, t.error_code);
      return false;
    }
    const unsigned part =
        static_cast<unsigned>(std::min<u64>(longest_instruction - code_size_, page_size - (at & (page_size - 1))));
    const std::span<u8> bytes = std::span(code_).subspan(code_size_, part);
    if (!read_code(t.address, bytes)) {
      // Devices give code as they give anything else.
      for (unsigned i = 0; i < part; ++i) bytes[i] = static_cast<u8>(pc_.read_memory(t.address.value + i, 1));
    }
    code_size_ += part;
  }
  instruction = decode_instruction(std::span(code_).first(code_size_), bits);
  return instruction.operation != Operation::Unknown;
}

void Guest::skip_instruction(const Exit& exit) {
  u64 length = exit.length;
  if (length == 0) {
    Instruction instruction;
    bool fault = false;
    if (!fetch(instruction, fault)) {
      if (!fault) fail("cannot tell the length of the instruction that exited", exit);
      return;
    }
    length = instruction.length;
  }
  advance(length);
}

void Guest::advance(u64 length) {
  u64 rip = execution_.get(StateField::rip) + length;
  if (code_bits() != 64) rip &= 0xffff'ffff;
  complete_instruction(rip);
}

// A single step over what the hypervisor has done ends as one over anything else (SDM vol. 3, 18.3.1.4).
void Guest::complete_instruction(u64 rip) {
  constexpr u64 single_step = 1 << 14;
  execution_.set(StateField::rip, rip);
  execution_.set(StateField::interrupt_shadow, 0);
  if ((execution_.get(StateField::rflags) & rflags::TF) == 0) return;
  if (const Event trap = execution_.debug_trap(single_step)) inject(trap);
}

EmulatedProcessor Guest::processor(u64& rip, u64& flags, const Instruction& instruction) {
  EmulatedProcessor p{execution_.registers, rip, flags, code_bits(), {}};
  // Strings go to ES, whatever the segment that an instruction names.
  for (const SegmentName name : {SegmentName::es, instruction.segment, SegmentName::ss}) {
    if (name == SegmentName::ss && !instruction.stack && instruction.segment != name) continue;
    if (p.code_bits == 64 && name != SegmentName::fs && name != SegmentName::gs) continue;
    p.segment_base[static_cast<unsigned>(name)] = execution_.segment_base(name);
  }
  if (!instruction.stack) return p;
  if (p.code_bits != 64) {
    p.stack_size = (execution_.segment_attributes(SegmentName::ss) & segment::DB) != 0 ? 4 : 2;
  }
  p.cpl = static_cast<u8>(execution_.get(StateField::cpl));
  return p;
}

/// Processors that do not know TZCNT and LZCNT see BSF and BSR (SDM vol. 2).
void Guest::adapt(Instruction& instruction) {
  const bool trailing = instruction.operation == Operation::CountTrailing;
  if (!trailing && instruction.operation != Operation::CountLeading) return;
  constexpr u32 structured = 7, extended = 0x8000'0001, bmi1 = 1 << 3, lzcnt = 1 << 5;
  const bool known = trailing
                         ? hardware_.cpuid(0, 0).eax >= structured && (hardware_.cpuid(structured, 0).ebx & bmi1) != 0
                         : (hardware_.cpuid(extended, 0).ecx & lzcnt) != 0;
  if (!known) instruction.operation = trailing ? Operation::ScanForward : Operation::ScanBackward;
}

bool Guest::make_accessible(GuestPhysical address) {
  SoftwareProcessor* const software = execution_.software();
  if (software != nullptr && software->traps_writes(address.page())) return software->give_up(address.page());
  return memory_.contains(address, 1) && paging_.give_up_table(address);
}

void Guest::not_emulated(GuestPhysical address) {
  if (make_accessible(address)) return;
  const std::span<const u8> code = std::span(code_).first(code_size_);
  // What nobody answers for reads as ones, which are no instruction (SDM vol. 2, table A-6).
  if (code_size_ > 1 && code[0] == 0xff && (code[1] & 0x38) == 0x38) return inject(Event::exception(vector::UD));
  Message message;
  message << name_ << ": not emulated: " << describe_instruction(code, code_bits()) << ", bytes";
  for (const u8 byte : code) message << " " << hex(byte);
  message << "\n";
  hardware_.log(message.text());
  Exit exit;
  exit.address = address.value;
  fail(memory_.contains(address, 1) ? "an instruction that is not emulated wrote a read-only page, with CR0.WP clear"
                                    : "an instruction that is not emulated accessed a device",
       exit);
}

namespace {

/// Worth more than making a table's shadow again.
bool writes_much(const Instruction& instruction, const GeneralRegisters& registers) {
  const bool stores = instruction.operation == Operation::StoreString || instruction.operation == Operation::MoveString;
  return stores && instruction.repeat && registers[rcx] >= page_size / 8 / instruction.operand_size;
}

}  // namespace

void Guest::emulate_instruction(GuestPhysical address) {
  // It was no instruction, but the delivery of an event, which goes on if its stack is RAM.
  if (kept_) {
    if (make_accessible(address)) return;
    Exit exit;
    exit.address = address.value;
    return fail("the delivery of an event accessed a device or a read-only page", exit);
  }
  hardware_.worked(Work::Instruction, 1);
  Instruction instruction;
  bool fault = false;
  const bool known = fetch(instruction, fault);
  if (fault) return;
  // A table that is cleared or copied over as a whole is none any more: the guest does it.
  if (writes_much(instruction, execution_.registers) && paging_.overwritten(address)) return;
  adapt(instruction);
  u64 rip = execution_.get(StateField::rip), flags = execution_.get(StateField::rflags);
  EmulatedProcessor p = processor(rip, flags, instruction);
  const EmulationResult result = known ? emulate(instruction, p, *this) : EmulationResult::Unknown;
  put_extended_state(result == EmulationResult::Done);
  if (result == EmulationResult::Unknown) return not_emulated(address);
  execution_.set(StateField::rflags, flags);
  if (result == EmulationResult::Fault) return;
  // Each step of a repeated instruction is one to a debugger.
  if (result == EmulationResult::Again && (flags & rflags::TF) == 0) return;
  complete_instruction(p.code_bits == 64 ? rip : rip & 0xffff'ffff);
}

}  // namespace bunshin::vmm
