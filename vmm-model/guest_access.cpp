// What a guest's instruction reaches when the hypervisor performs it: memory through the guest's own tables, RAM or device, segments,
// and the registers that the hypervisor leaves in the processor.

#include <algorithm>
#include <bit>

#include "vmm-model/emulate/arithmetic.h"
#include "vmm-model/guest.h"

namespace bunshin::vmm {

namespace {

constexpr u64 room_in_page(u64 linear) { return page_size - (linear & (page_size - 1)); }

/// The largest access that begins at `done` of `size` bytes.
constexpr unsigned piece(unsigned done, unsigned size) { return std::bit_floor(size - done); }

}  // namespace

bool Guest::read_code(GuestPhysical address, std::span<u8> bytes) {
  if (!memory_.read(address, bytes)) return false;
  if (SoftwareProcessor* software = execution_.software()) software->restore_code(address, bytes);
  return true;
}

void Guest::memory_written(GuestPhysical address, u64 bytes) {
  paging_.memory_written(address, bytes);
  if (SoftwareProcessor* software = execution_.software()) software->memory_written(address, bytes);
}

void Guest::inject_page_fault(u64 linear, u32 error_code) {
  execution_.set(StateField::cr2, linear);
  inject(Event::exception(vector::PF, error_code));
}

bool Guest::translate(u64 linear, Intent intent, GuestPhysical& address) {
  const PagingControls controls = paging_.controls();
  const WalkAccess access{intent == Intent::Modify, false, execution_.get(StateField::cpl) == 3};
  const GuestTranslation t = walk_guest(memory_, controls, Linear(linear), access, true);
  address = t.address;
  if (!t.fault) return true;
  inject_page_fault(linear, t.error_code);
  return false;
}

bool Guest::access_system(u64 linear, unsigned size, bool write, u64& value) {
  const PagingControls controls = paging_.controls();
  const WalkAccess access{write, false, false};
  for (unsigned i = 0; i < size; ++i) {
    const GuestTranslation t = walk_guest(memory_, controls, Linear(linear + i), access, true);
    if (t.fault) {
      inject_page_fault(linear + i, t.error_code);
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

/// `size` bytes of one page, 1 to 8.
u64 Guest::load_part(GuestPhysical address, unsigned size) {
  std::array<u8, 8> bytes{};
  if (memory_.contains(address, size)) {
    read_code(address, std::span(bytes).first(size));
    return std::bit_cast<u64>(bytes);
  }
  u64 value = 0;
  for (unsigned done = 0; done < size; done += piece(done, size)) {
    const unsigned part = piece(done, size);
    value |= (pc_.read_memory(address.value + done, part) & size_mask(part)) << (8 * done);
  }
  return value;
}

void Guest::store_part(GuestPhysical address, unsigned size, u64 value) {
  const bool ram = memory_.contains(address, size);
  for (unsigned done = 0; done < size; done += piece(done, size)) {
    const unsigned part = piece(done, size);
    if (ram) {
      memory_.store(address + done, part, value >> (8 * done));
    } else {
      pc_.write_memory(address.value + done, part, value >> (8 * done));
    }
  }
  if (ram) memory_written(address, size);
}

bool Guest::read(u64 linear, unsigned size, u64& value, Intent intent) {
  const unsigned first = static_cast<unsigned>(std::min<u64>(size, room_in_page(linear)));
  GuestPhysical begin, end;
  if (!translate(linear, intent, begin) || (first != size && !translate(linear + first, intent, end))) return false;
  value = load_part(begin, first);
  if (first != size) value |= load_part(end, size - first) << (8 * first);
  return true;
}

// Across two pages nothing is written unless both can be.
bool Guest::write(u64 linear, unsigned size, u64 value) {
  const unsigned first = static_cast<unsigned>(std::min<u64>(size, room_in_page(linear)));
  GuestPhysical begin, end;
  if (!translate(linear, Intent::Modify, begin)) return false;
  if (first != size && !translate(linear + first, Intent::Modify, end)) return false;
  store_part(begin, first, value);
  if (first != size) store_part(end, size - first, value >> (8 * first));
  return true;
}

bool Guest::permits(u64 linear, unsigned size, Intent intent) {
  GuestPhysical address;
  if (!translate(linear, intent, address)) return false;
  const u64 room = room_in_page(linear);
  return room >= size || translate(linear + room, intent, address);
}

// SDM vol. 1, 3.3.7.1, and vol. 3, 5.3. The processor has checked what made the guest exit; this is for what comes behind it.
bool Guest::in_segment(SegmentName name, u64 offset, unsigned size, bool write) {
  const auto refused = [&] {
    inject(Event::exception(name == SegmentName::ss ? vector::SS : vector::GP, 0));
    return false;
  };
  const u64 last = offset + size - 1;
  if (code_bits() == 64) {
    const u64 base = name == SegmentName::fs || name == SegmentName::gs ? execution_.segment_base(name) : 0;
    return is_canonical(base + offset, guest_linear_bits) || refused();
  }
  constexpr u16 code = 8, expand_down = 4, writable = 2;
  const SegmentState state = execution_.segment(name);
  const bool protected_mode =
      (execution_.get(StateField::cr0) & cr0::PE) != 0 && (execution_.get(StateField::rflags) & rflags::VM) == 0;
  const bool is_code = (state.attributes & code) != 0;
  if (protected_mode && write && (is_code || (state.attributes & writable) == 0)) return refused();
  if (!protected_mode || is_code || (state.attributes & expand_down) == 0) return last <= state.limit || refused();
  const u64 top = (state.attributes & segment::DB) != 0 ? 0xffff'ffff : 0xffff;
  return (offset > state.limit && last <= top) || refused();
}

void Guest::raise(u8 number) { inject(number == vector::GP ? Event::exception(number, 0) : Event::exception(number)); }

u64 Guest::extended_state(unsigned offset) {
  if (!state_saved_) hardware_.save_extended_state(state_area_, xcr0_);
  state_saved_ = true;
  return hardware_.load(state_area_ + offset, 8);
}

// Loads take what the header says is in use (SDM vol. 1, 13.8).
void Guest::set_extended_state(unsigned offset, u64 value) {
  constexpr unsigned header = 512, sse_begin = 160;
  constexpr u64 x87 = 1, sse = 2, avx = 4;
  const u64 in_use = extended_state(header);
  const u64 part = offset > header ? avx : offset >= sse_begin ? sse : x87;
  hardware_.store(state_area_ + header, 8, in_use | part);
  hardware_.store(state_area_ + offset, 8, value);
  state_changed_ = true;
}

void Guest::put_extended_state(bool done) {
  if (done && state_changed_) hardware_.load_extended_state(state_area_, xcr0_);
  state_saved_ = state_changed_ = false;
}

}  // namespace bunshin::vmm
