#include "vmm-model/arch/deprivileged/code_scanner.h"

#include <algorithm>
#include <new>

namespace bunshin::vmm::deprivileged {

namespace {

constexpr u32 nothing = ~u32{0};
constexpr WalkAccess fetch{.write = false, .execute = true, .user = false};

}  // namespace

bool CodeScanner::start(GuestMemory& memory, GuestPaging& paging) {
  memory_ = &memory;
  paging_ = &paging;
  pages_ = static_cast<Page**>(hardware_.allocate_object(static_cast<std::size_t>(memory.pages()) * sizeof(Page*)));
  return pages_ != nullptr;
}

CodeScanner::Page* CodeScanner::find(GuestPhysical page) const {
  const u64 index = memory_->find_page(page);
  return index != GuestMemory::no_page ? pages_[index] : nullptr;
}

// Its shadow entries lose the right to write before anything of it is trusted.
CodeScanner::Page* CodeScanner::obtain(GuestPhysical page, u32 linear, u32 base, unsigned bits) {
  Page*& slot = pages_[memory_->page_index(page)];
  if (slot == nullptr) {
    void* place = spare_ != nullptr ? spare_ : hardware_.allocate_object(sizeof(Page));
    if (place == nullptr) return nullptr;
    spare_ = nullptr;
    slot = new (place) Page;
    paging_->trap_writes(page.page());
    linear_.forget();
  }
  slot->linear = linear & ~static_cast<u32>(page_size - 1);
  slot->code_base = base;
  slot->bits = static_cast<u8>(bits);
  return slot;
}

/// Null: nothing has been found in the page, or there is none.
const CodeScanner::Page* CodeScanner::page_of(u32 linear) {
  const LinearMemory::Page* const place = pages_ != nullptr ? linear_.find(linear, fetch) : nullptr;
  return place != nullptr && place->code ? pages_[memory_->page_index(place->address)] : nullptr;
}

bool CodeScanner::known(u32 linear) {
  const Page* const page = page_of(linear);
  return page != nullptr && get(page->starts, linear & (page_size - 1));
}

bool CodeScanner::rewritten(u32 linear) {
  const Page* const page = page_of(linear);
  return page != nullptr && get(page->changed, linear & (page_size - 1));
}

void CodeScanner::prepare(u32 linear, u32 base, unsigned bits) {
  if (known(linear)) return;
  looked_at_ = 0;
  pending_count_ = 0;
  follow(linear, base, bits);
  while (pending_count_ != 0) follow(pending_[--pending_count_], base, bits);
}

/// Decodes the instruction and notes that it has been seen. False: it cannot be fetched, is none, or was seen before.
/// `behind_put`: behind an instruction that puts a return on the stack.
bool CodeScanner::look_at(u32 linear, u32 base, unsigned bits, bool behind_put, Code& code) {
  GuestPhysical at;
  if (!linear_.translate(linear, fetch, at)) return false;
  std::array<u8, longest_instruction> bytes{};
  std::size_t got = std::min<std::size_t>(longest_instruction, static_cast<std::size_t>(page_size - at.page_offset()));
  memory_->read(at, std::span(bytes).first(got));
  restore(at, std::span(bytes).first(got));
  GuestPhysical behind;
  const bool crosses = got < longest_instruction && linear_.translate(linear + static_cast<u32>(got), fetch, behind);
  if (crosses) {
    memory_->read(behind, std::span(bytes).subspan(got));
    restore(behind, std::span(bytes).subspan(got));
  }
  code = decode_code(std::span(bytes).first(crosses ? longest_instruction : got), bits);
  // Two zeros are ADD [EAX], AL, which nobody writes: this is memory behind a call that does not come back.
  if (code.length == 0 || (bytes[0] == 0 && bytes[1] == 0) || looked_at_ > 2 * max_instructions) return false;
  Page* page = obtain(at, linear, base, bits);
  if (page == nullptr) return false;
  const bool branch_by_return = behind_put && is_return(code);
  if (get(page->starts, static_cast<unsigned>(at.page_offset()))) {
    if (branch_by_return) rewrite(*page, at, bytes[0]);
    return false;
  }
  if (code.length > got) obtain(behind, linear + static_cast<u32>(got), base, bits);
  set(page->starts, static_cast<unsigned>(at.page_offset()));
  if (guess_.open && guess_.count < Guess::most) guess_.starts[guess_.count++] = at;
  ++instructions_;
  ++looked_at_;
  const Flow flow = flow_of(code);
  bool traps = is_sensitive(code) || loads_stack(code) || branch_by_return || flow == Flow::Indirect ||
               flow == Flow::IndirectCall;
  const bool direct = flow == Flow::Branch || flow == Flow::Jump || flow == Flow::Call;
  if (direct) traps = !want(base + ((linear - base + code.length + static_cast<u32>(code.displacement()))));
  if (traps) rewrite(*page, at, bytes[0]);
  return true;
}

/// False: it is not looked at now, so that the branch to it must trap.
bool CodeScanner::want(u32 target) {
  if (known(target)) return true;
  GuestPhysical at;
  if (pending_count_ == max_pending || looked_at_ > max_instructions || !linear_.translate(target, fetch, at))
    return false;
  pending_[pending_count_++] = target;
  return true;
}

void CodeScanner::follow(u32 linear, u32 base, unsigned bits) {
  Code code;
  bool behind_put = false;
  while (look_at(linear, base, bits, behind_put, code)) {
    const Flow flow = flow_of(code);
    behind_put = puts_return(code);
    if (flow == Flow::Jump || flow == Flow::Indirect || flow == Flow::End) return;
    linear += code.length;
  }
}

void CodeScanner::rewrite(Page& page, GuestPhysical at, u8 original) {
  const unsigned offset = static_cast<unsigned>(at.page_offset());
  if (page.rewrites == Page::max_rewrites || get(page.changed, offset)) return;
  page.list[page.rewrites++] = {static_cast<u16>(offset), original, 0};
  set(page.changed, offset);
  memory_->store(at, 1, trap);
  ++rewrites_;
  ++generation_;
}

void CodeScanner::undo(Page& page, GuestPhysical at) {
  const unsigned offset = static_cast<unsigned>(at.page_offset());
  for (unsigned i = 0; i < page.rewrites; ++i) {
    if (page.list[i].offset != offset) continue;
    memory_->store(at, 1, page.list[i].original);
    clear(page.changed, offset);
    page.list[i] = page.list[--page.rewrites];
    ++generation_;
    return;
  }
}

// A direct branch needs to trap only until its target has been found. All that kernels call through registers goes
// through the same few thunks where compilers keep processors from guessing: such a branch never knows all its targets.
void CodeScanner::branch_taken(u32 linear, u32 target, u32 base, unsigned bits, Targets targets) {
  const bool new_target = !known(target);
  prepare(target, base, bits);
  GuestPhysical at;
  if (targets == Targets::Any || !linear_.translate(linear, fetch, at)) return;
  Page* page = find(at);
  if (page == nullptr) return;
  for (unsigned i = 0; i < page->rewrites; ++i) {
    Rewrite& r = page->list[i];
    if (r.offset != at.page_offset()) continue;
    r.hits = new_target ? u8{0} : static_cast<u8>(r.hits + 1);
    if (targets == Targets::One || (targets == Targets::Few && r.hits >= trusted_after)) undo(*page, at);
    return;
  }
}

void CodeScanner::prepare_returns(u32 linear, unsigned words, u32 base, unsigned bits) {
  for (unsigned i = 0; i < words; ++i) {
    u64 word = 0;
    GuestPhysical at;
    if (!linear_.read(linear + 4 * i, 4, word, false)) return;
    const u32 target = base + static_cast<u32>(word);
    if (linear_.translate(target, fetch, at) && find(at) != nullptr) prepare(target, base, bits);
  }
}

void CodeScanner::restore(GuestPhysical address, std::span<u8> bytes) const {
  const Page* page = pages_ != nullptr ? find(address) : nullptr;
  if (page == nullptr || page->rewrites == 0) return;
  const unsigned first = static_cast<unsigned>(address.page_offset());
  for (unsigned i = 0; i < bytes.size() && first + i < page_size; ++i) {
    if (!get(page->changed, first + i)) continue;
    for (unsigned n = 0; n < page->rewrites; ++n) {
      if (page->list[n].offset == first + i) bytes[i] = page->list[n].original;
    }
  }
}

// What was overwritten is the guest's again, and the code there is looked at anew from the first instruction that it touches.
void CodeScanner::written(GuestPhysical address, u64 bytes) {
  Page* page = pages_ != nullptr ? find(address) : nullptr;
  if (page == nullptr) return;
  ++generation_;
  const unsigned first = static_cast<unsigned>(address.page_offset());
  const unsigned last = static_cast<unsigned>(std::min<u64>(first + bytes, page_size) - 1);
  for (unsigned at = first; at <= last; ++at) {
    if (!get(page->written, at)) ++page->bytes_written;
    set(page->written, at);
  }
  if (page->bytes_written > most_written) return give_up(address.page());
  for (unsigned i = page->rewrites; i-- > 0;) {
    if (page->list[i].offset < first || page->list[i].offset > last) continue;
    clear(page->changed, page->list[i].offset);
    page->list[i] = page->list[--page->rewrites];
  }
  forget_guess(address);
  unsigned again = static_cast<unsigned>(page_size);
  for (unsigned at = first < longest_instruction ? 0 : first - longest_instruction + 1; at <= last; ++at) {
    if (!get(page->starts, at)) continue;
    again = std::min(again, at);
    clear(page->starts, at);
    undo(*page, address.page() + at);
  }
  if (again != page_size) guess_.from = std::min(guess_.from, page->linear + again);
  guess_.end = address + bytes;
  if (guess_.from == nothing) return;
  guess_.open = true;
  prepare(guess_.from, page->code_base, page->bits);
  guess_.open = false;
}

// Half an instruction and half of another make a third, whose end is the beginning of nothing: what was found last time is
// taken back when the next piece is written.
void CodeScanner::forget_guess(GuestPhysical first) {
  constexpr u64 near = 16;
  const bool goes_on = guess_.count != 0 && first.page() == guess_.end.page() &&
                       first.value + near >= guess_.end.value && first.value <= guess_.end.value + near;
  for (unsigned i = 0; goes_on && i < guess_.count; ++i) {
    Page* page = find(guess_.starts[i]);
    if (page == nullptr) continue;
    clear(page->starts, static_cast<unsigned>(guess_.starts[i].page_offset()));
    undo(*page, guess_.starts[i]);
  }
  guess_.count = 0;
  if (!goes_on) guess_.from = nothing;
}

void CodeScanner::give_up(GuestPhysical address) {
  if (pages_ == nullptr || find(address) == nullptr) return;
  Page*& page = pages_[memory_->page_index(address)];
  while (page->rewrites != 0) undo(*page, address.page() + page->list[0].offset);
  spare_ = page;
  page = nullptr;
}

}  // namespace bunshin::vmm::deprivileged
