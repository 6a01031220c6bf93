#include "vmm-model/arch/deprivileged/descriptor_tables.h"

#include <algorithm>

namespace bunshin::vmm::deprivileged {

namespace {

constexpr u64 accessed = u64{1} << 40, system_bit = u64{1} << 44, code_bit = u64{1} << 43, long_bit = u64{1} << 53;
constexpr unsigned dpl_shift = 45, kernel_view = 0;
constexpr u64 flat_code = 0x00cf'9b00'0000'ffff, flat_data = 0x00cf'9300'0000'ffff;
constexpr u16 ldt_attributes = segment::P | 2;

}  // namespace

SegmentState segment_of(u16 selector, u64 d) {
  SegmentState s;
  s.selector = selector;
  s.attributes = static_cast<u16>((d >> 40 & 0xff) | (d >> 44 & 0xf00));
  s.base = (d >> 16 & 0xff'ffff) | (d >> 32 & 0xff00'0000);
  s.limit = static_cast<u32>((d & 0xffff) | (d >> 32 & 0xf'0000));
  if ((s.attributes & segment::G) != 0) s.limit = s.limit << 12 | 0xfff;
  return s;
}

u64 descriptor_of(const SegmentState& s) {
  const u64 limit = (s.attributes & segment::G) != 0 ? s.limit >> 12 : s.limit;
  return (limit & 0xffff) | (limit & 0xf'0000) << 32 | (s.base & 0xff'ffff) << 16 | (s.base & 0xff00'0000) << 32 |
         u64{s.attributes & 0xffu} << 40 | u64{s.attributes >> 8 & 0xfu} << 52;
}

bool DescriptorTables::start(PagePool& pool) {
  for (HostPhysical& page : pages_) {
    page = pool.allocate();
    if (page.value == 0) return false;
  }
  for (unsigned view = 0; view < views; ++view) put_own_segments(view);
  return true;
}

// The area has GDT of view 0, GDT of view 1, LDT of view 0, LDT of view 1.
void DescriptorTables::put_own_segments(unsigned view) {
  const HostPhysical gdt = pages_[view];
  hardware_.store(gdt + switch_area::code_selector, 8, flat_code);
  hardware_.store(gdt + switch_area::data_selector, 8, flat_data);
  SegmentState ldt{0, ldt_attributes, switch_area::table_bytes - 1, 0};
  ldt.base = switch_area::page(switch_area::first_guest_page + views + view);
  hardware_.store(gdt + ldt_selector, 8, descriptor_of(ldt));
}

/// What stands for the guest's descriptor; 0: nothing, and loads fault.
u64 DescriptorTables::user_descriptor(unsigned view, u64 guest) const {
  if ((guest & system_bit) == 0) return 0;
  const unsigned dpl = static_cast<unsigned>(guest >> dpl_shift & 3);
  guest = (guest | accessed) & ~long_bit;
  if (view != kernel_view) return guest;
  if ((guest & code_bit) != 0 && dpl == 3) return 0;
  return guest | u64{3} << dpl_shift;
}

void DescriptorTables::load(unsigned table, const SegmentState& guest, const GuestMemory& memory, GuestPaging& paging) {
  constexpr unsigned usable = first_private;
  pieces_[table] = {};
  forget_states();
  const u32 bytes = guest.base == 0 && guest.limit == 0 ? 0 : std::min<u32>(guest.limit + 1, usable * 8);
  if (table == 1) ldt_in_use_ = bytes != 0;
  for (unsigned i = 0; i < usable; ++i) {
    u64 descriptor = 0;
    const u32 at = static_cast<u32>(guest.base) + 8 * i;
    const bool there = 8 * i + 7 < bytes && (i != 0 || table != 0);
    if (there && !linear_.read(at, 8, descriptor, false)) descriptor = 0;
    put(table, i, descriptor);
  }
  u32 at = static_cast<u32>(guest.base);
  for (u32 left = bytes, i = 0; left != 0 && i < pieces_[table].size(); ++i) {
    const u32 part = std::min<u32>(left, static_cast<u32>(page_size - (at & (page_size - 1))));
    GuestPhysical address;
    if (linear_.translate(at, {}, address) && memory.contains(address, part)) {
      pieces_[table][i] = {address, part, bytes - left};
      paging.trap_writes(address.page());
    }
    at += part;
    left -= part;
  }
  find_trapped();
}

void DescriptorTables::find_trapped() {
  trapped_count_ = 0;
  for (const auto& table : pieces_) {
    for (const Piece& piece : table) {
      if (piece.bytes != 0) trapped_[trapped_count_++] = piece.begin.page();
    }
  }
}

void DescriptorTables::put(unsigned table, unsigned index, u64 descriptor) {
  for (unsigned view = 0; view < views; ++view) {
    hardware_.store(pages_[table * views + view] + 8 * index, 8, user_descriptor(view, descriptor));
  }
}

bool DescriptorTables::update(unsigned table, GuestPhysical address, u64 bytes, const GuestMemory& memory) {
  constexpr u64 descriptor_mask = 7;
  for (const Piece& piece : pieces_[table]) {
    if (address.value < piece.begin.value || address.value + bytes > piece.begin.value + piece.bytes) continue;
    const u64 first = address.value - piece.begin.value, last = first + bytes - 1;
    if ((piece.offset & descriptor_mask) != 0 || (last | descriptor_mask) >= piece.bytes) return false;
    forget_states();
    for (u64 at = first & ~descriptor_mask; at <= last; at += 8) {
      const unsigned index = static_cast<unsigned>((piece.offset + at) / 8);
      u64 descriptor = 0;
      if (index != 0 || table != 0) memory.load(piece.begin + at, 8, descriptor);
      put(table, index, descriptor);
    }
    return true;
  }
  return false;
}

void DescriptorTables::forget_states() {
  shown_ = {};
  described_ = {};
  ++generation_;
}

void DescriptorTables::keep_state(const SegmentState& state) {
  const auto& pieces = pieces_[(state.selector & table_mask) != 0 ? 1 : 0];
  const u32 begin = state.selector & 0xfff8, end = begin + 8;
  const bool watched = std::any_of(pieces.begin(), pieces.end(), [&](const Piece& piece) {
    return piece.offset <= begin && end <= piece.offset + piece.bytes;
  });
  if (watched) described_[described_index(state.selector)] = {state, true};
}

void DescriptorTables::detach() {
  pieces_ = {};
  find_trapped();
  forget_states();
  for (const HostPhysical page : pages_) hardware_.clear(page, first_private * 8);
}

bool DescriptorTables::holds(unsigned table, GuestPhysical address, u64 bytes) const {
  return std::any_of(pieces_[table].begin(), pieces_[table].end(), [&](const Piece& piece) {
    return address.value < piece.begin.value + piece.bytes && piece.begin.value < address.value + bytes;
  });
}

HostPhysical DescriptorTables::entry(unsigned view, u16 selector) const {
  const unsigned table = (selector & table_mask) != 0 ? 1 : 0;
  return pages_[table * views + view] + (selector & 0xff8);
}

u16 DescriptorTables::show(unsigned view, SegmentName name, const SegmentState& state) {
  const u16 selector = place(view, name, state);
  shown_[view][static_cast<unsigned>(name)] = {state, selector, true};
  return selector;
}

u16 DescriptorTables::place(unsigned view, SegmentName name, const SegmentState& state) {
  const bool code = name == SegmentName::cs, fixed = code || name == SegmentName::ss;
  const u16 null = static_cast<u16>(state.selector & privilege_mask);
  if ((state.selector & ~u32{privilege_mask}) == 0 || (state.attributes & segment::P) == 0) return null;
  const u16 selector = fixed ? static_cast<u16>(state.selector | privilege_mask) : state.selector;
  const u64 wanted = ((descriptor_of(state) | accessed) & ~long_bit) | u64{3} << dpl_shift;
  if (state.selector < first_private * 8 && hardware_.load(entry(view, selector), 8) == wanted) return selector;
  const u16 own = static_cast<u16>((first_private + static_cast<unsigned>(name)) * 8 | privilege_mask);
  hardware_.store(entry(view, static_cast<u16>(own & ~table_mask)), 8, wanted);
  return own;
}

}  // namespace bunshin::vmm::deprivileged
