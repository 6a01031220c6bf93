// The instruction at a guest's RIP: fetching it, stepping over it, performing it.

#include <algorithm>
#include <bit>

#include "vmm-model/guest.h"

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
  std::array<u8, longest_instruction> bytes{};
  unsigned got = 0;
  fault = false;
  while (got < longest_instruction) {
    const u64 at = linear + got;
    const GuestTranslation t = walk_guest(memory_, controls, Linear(at), access, false);
    const unsigned part =
        static_cast<unsigned>(std::min<u64>(longest_instruction - got, page_size - (at & (page_size - 1))));
    if (t.fault || !read_code(t.address, std::span(bytes).subspan(got, part))) {
      if (got != 0) break;
      fault = t.fault;
      if (t.fault) {
        execution_.set(StateField::cr2, at);
        inject(Event::exception(vector::PF, t.error_code));
      }
      return false;
    }
    got += part;
  }
  instruction = decode_instruction(std::span(bytes).first(got), bits);
  return instruction.operation != Operation::Unknown;
}

bool Guest::read_code(GuestPhysical address, std::span<u8> bytes) {
  if (!memory_.read(address, bytes)) return false;
  if (SoftwareProcessor* software = execution_.software()) software->restore_code(address, bytes);
  return true;
}

void Guest::memory_written(GuestPhysical address, u64 bytes) {
  paging_.memory_written(address, bytes);
  if (SoftwareProcessor* software = execution_.software()) software->memory_written(address, bytes);
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
  for (const SegmentName name : {SegmentName::es, instruction.segment}) {
    if (p.code_bits == 64 && name != SegmentName::fs && name != SegmentName::gs) continue;
    p.segment_base[static_cast<unsigned>(name)] = execution_.segment_base(name);
  }
  return p;
}

namespace {

/// Worth more than making a table's shadow again.
bool writes_much(const Instruction& instruction, const GeneralRegisters& registers) {
  const bool stores = instruction.operation == Operation::StoreString || instruction.operation == Operation::MoveString;
  return stores && instruction.repeat && registers[rcx] >= page_size / 8 / instruction.operand_size;
}

}  // namespace

void Guest::emulate_instruction(GuestPhysical address) {
  Instruction instruction;
  bool fault = false;
  const bool known = fetch(instruction, fault);
  if (fault) return;
  // A table that is cleared or copied over as a whole is none any more: the guest does it.
  if (writes_much(instruction, execution_.registers) && paging_.overwritten(address)) return;
  u64 rip = execution_.get(StateField::rip), flags = execution_.get(StateField::rflags);
  EmulatedProcessor p = processor(rip, flags, instruction);
  const EmulationResult result = known ? emulate(instruction, p, *this) : EmulationResult::Unknown;
  if (result == EmulationResult::Unknown) {
    SoftwareProcessor* const software = execution_.software();
    if (software != nullptr && software->traps_writes(address.page())) {
      if (software->give_up(address.page())) return;
      return fail("an instruction that is not emulated wrote what must be watched", {});
    }
    const bool memory = memory_.contains(address, 1);
    if (memory && paging_.give_up_table(address)) return;
    Exit exit;
    exit.address = address.value;
    return fail(memory ? "an instruction that is not emulated wrote a read-only page, with CR0.WP clear"
                       : "an instruction that is not emulated accessed a device",
                exit);
  }
  execution_.set(StateField::rflags, flags);
  if (result != EmulationResult::Done) return;
  complete_instruction(p.code_bits == 64 ? rip : rip & 0xffff'ffff);
}

bool Guest::translate(u64 linear, bool write, GuestPhysical& address) {
  const PagingControls controls = paging_.controls();
  const WalkAccess access{write, false, execution_.get(StateField::cpl) == 3};
  const GuestTranslation t = walk_guest(memory_, controls, Linear(linear), access, true);
  address = t.address;
  if (!t.fault) return true;
  execution_.set(StateField::cr2, linear);
  inject(Event::exception(vector::PF, t.error_code));
  return false;
}

bool Guest::access_system(u64 linear, unsigned size, bool write, u64& value) {
  const PagingControls controls = paging_.controls();
  const WalkAccess access{write, false, false};
  for (unsigned i = 0; i < size; ++i) {
    const GuestTranslation t = walk_guest(memory_, controls, Linear(linear + i), access, true);
    if (t.fault) {
      execution_.set(StateField::cr2, linear + i);
      inject(Event::exception(vector::PF, t.error_code));
      return false;
    }
    if (!write) {
      u64 byte = 0xff;
      memory_.load(t.address, 1, byte);
      value = (i == 0 ? 0 : value) | byte << (8 * i);
    } else if (memory_.store(t.address, 1, value >> (8 * i) & 0xff)) {
      paging_.memory_written(t.address, 1);
    }
  }
  return true;
}

bool Guest::access_part(u64 linear, unsigned size, bool write, u64& value) {
  GuestPhysical address;
  if (!translate(linear, write, address)) return false;
  if (!memory_.contains(address, size)) {
    if (write) {
      pc_.write_memory(address.value, size, value);
    } else {
      value = pc_.read_memory(address.value, size);
    }
    return true;
  }
  if (!write) {
    std::array<u8, 8> bytes{};
    if (!read_code(address, std::span(bytes).first(size))) return false;
    value = std::bit_cast<u64>(bytes);
    return true;
  }
  memory_.store(address, size, value);
  memory_written(address, size);
  return true;
}

bool Guest::read(u64 linear, unsigned size, u64& value) {
  if ((linear & (page_size - 1)) + size <= page_size) return access_part(linear, size, false, value);
  value = 0;
  for (unsigned i = 0; i < size; ++i) {
    u64 byte = 0;
    if (!access_part(linear + i, 1, false, byte)) return false;
    value |= (byte & 0xff) << (8 * i);
  }
  return true;
}

// Across two pages nothing is written unless both can be.
bool Guest::write(u64 linear, unsigned size, u64 value) {
  if ((linear & (page_size - 1)) + size <= page_size) return access_part(linear, size, true, value);
  GuestPhysical last;
  if (!translate(linear + size - 1, true, last)) return false;
  for (unsigned i = 0; i < size; ++i) {
    u64 byte = value >> (8 * i) & 0xff;
    if (!access_part(linear + i, 1, true, byte)) return false;
  }
  return true;
}

}  // namespace bunshin::vmm
