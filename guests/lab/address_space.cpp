#include "guests/lab/address_space.h"

#include "guests/lab/frames.h"
#include "guests/lab/user_image.h"

namespace lab {

namespace {

/// Intel SDM vol. 3, tables 4-5, 4-6, 4-17 to 4-19; bit 9 is software's.
enum EntryBits : word {
  Present = 1,
  Writable = 2,
  User = 4,
  Accessed = 0x20,
  Dirty = 0x40,
  Large = 0x80,
  Global = 0x100,
  CopyOnWrite = 0x200,
};
/// What a fault maps is about to be used: set beforehand, as Linux does, these spare the processor a locked update.
constexpr word user_page_bits = Present | User | Accessed;
constexpr word frame_mask = ~word{page_bytes - 1};
constexpr word cr0_pg_wp = 0x8001'0000, cr4_pse = 0x10, cr4_pge = 0x80;
constexpr u32 cpuid_pge = 1u << 13;

word kernel_root = 0;
/// What memory that was never written reads as.
alignas(page_bytes) u8 zeros[page_bytes];

constexpr unsigned shift(unsigned level) { return 12 + level * index_bits; }
constexpr word index_of(word linear, unsigned level) { return linear >> shift(level) & (table_entries - 1); }
word* table_at(word entry) { return at_physical<word>(entry & frame_mask); }

/// Calls `visit(index, level's part of the linear address)` for each entry of a table that maps user memory.
template <class Visit>
bool for_user_entries(unsigned level, word base, Visit visit) {
  const word bytes = word{1} << shift(level);
  for (word i = 0; i < table_entries; ++i) {
    const word begin = base + i * bytes;
    if (begin >= user_end) return true;
    if (begin + bytes > user_begin && !visit(i, begin)) return false;
  }
  return true;
}

bool copy_leaf(word& from, word& to) {
  if ((from & Large) != 0) return true;
  if ((from & Writable) != 0) from = (from & ~word{Writable}) | CopyOnWrite;
  to = from;
  share_frame(from & frame_mask);
  return true;
}

/// The kernel's part is shared, the user's copied.
bool copy_table(word* from, word* to, unsigned level, word base) {
  for (word i = 0; i < table_entries && base + ((i + 1) << shift(level)) <= user_begin; ++i) to[i] = from[i];
  return for_user_entries(level, base, [&](word i, word begin) {
    if ((from[i] & Present) == 0) return true;
    if (level == 0 || (from[i] & Large) != 0) return copy_leaf(from[i], to[i]);
    const word table = allocate_cleared_frame();
    if (table == 0) return false;
    to[i] = table | Present | Writable | User;
    return copy_table(table_at(from[i]), table_at(table), level - 1, begin);
  });
}

void release_table(word table, unsigned level, word base) {
  word* const entries = table_at(table);
  for_user_entries(level, base, [&](word i, word begin) {
    const word entry = entries[i];
    if ((entry & Present) == 0) return true;
    if (level == 0) {
      release_frame(entry & frame_mask);
    } else if ((entry & Large) != 0) {
      release_large_frame(entry & frame_mask);
    } else {
      release_table(entry & frame_mask, level - 1, begin);
    }
    return true;
  });
  release_frame(table);
}

/// The entry of `linear` at `level`, or nullptr if there is no table for it, or none can be made.
word* find(word root, word linear, unsigned level, bool make) {
  word* entries = table_at(root);
  for (unsigned at = levels - 1; at > level; --at) {
    word& entry = entries[index_of(linear, at)];
    if ((entry & Present) == 0) {
      if (!make) return nullptr;
      const word table = allocate_cleared_frame();
      if (table == 0) return nullptr;
      entry = table | Present | Writable | User;
    }
    if ((entry & Large) != 0) return nullptr;
    entries = table_at(entry);
  }
  return &entries[index_of(linear, level)];
}

}  // namespace

void AddressSpace::initialize() {
  kernel_root = allocate_cleared_frame();
  guest::write_cr4(guest::read_cr4() | cr4_pse);
  for (word at = 0; at < user_begin; at += large_bytes) {
    *find(kernel_root, at, 1, true) = at | Present | Writable | Large | Global;
  }
  guest::write_cr3(kernel_root);
  guest::write_cr0(guest::read_cr0() | cr0_pg_wp);
  if ((guest::cpuid(1).edx & cpuid_pge) != 0) guest::write_cr4(guest::read_cr4() | cr4_pge);
}

void AddressSpace::activate_kernel() { guest::write_cr3(kernel_root); }

bool AddressSpace::create() {
  root_ = allocate_cleared_frame();
  return root_ != 0 && copy_table(table_at(kernel_root), table_at(root_), levels - 1, 0);
}

bool AddressSpace::copy_from(AddressSpace& parent) {
  root_ = allocate_cleared_frame();
  const bool done = root_ != 0 && copy_table(table_at(parent.root_), table_at(root_), levels - 1, 0);
  parent.activate();  // its writable pages are no longer
  return done;
}

void AddressSpace::destroy() {
  if (root_ != 0) release_table(root_, levels - 1, 0);
  root_ = 0;
}

bool AddressSpace::copy_on_write(word& entry, word frame, word linear) {
  word own = frame;
  if (is_shared(frame)) {
    own = allocate_frame();
    if (own == 0) return false;
    copy_page(own, frame);
    release_frame(frame);
  }
  entry = own | user_page_bits | Writable | Dirty;
  guest::invalidate_page(linear);
  return true;
}

bool AddressSpace::map_page(word& entry, word linear, FaultKind kind) {
  const UserPage page = user_page(round_down(linear, page_bytes));
  if (!page.exists || (kind == FaultKind::Write && !page.writable)) return false;
  const word frame = page.image_frame != 0 ? page.image_frame : reinterpret_cast<word>(zeros);
  if (kind == FaultKind::Write) return copy_on_write(entry, frame, linear);
  entry = frame | user_page_bits | (page.writable ? CopyOnWrite : word{0});
  return true;
}

bool AddressSpace::resolve(word linear, FaultKind kind) {
  if (linear < user_begin || linear >= user_end) return false;
  word* const entry = find(root_, linear, 0, true);
  if (entry == nullptr) return false;
  if ((*entry & Present) == 0) return map_page(*entry, linear, kind);
  return kind == FaultKind::Write && (*entry & CopyOnWrite) != 0 && copy_on_write(*entry, *entry & frame_mask, linear);
}

void AddressSpace::unmap(word begin, word end) {
  for (word at = begin; at < end; at += page_bytes) {
    word* const entry = find(root_, at, 0, false);
    if (entry == nullptr || (*entry & Present) == 0) continue;
    release_frame(*entry & frame_mask);
    *entry = 0;
    guest::invalidate_page(at);
  }
}

bool AddressSpace::map_large(word linear) {
  word* const entry = find(root_, linear, 1, true);
  if (entry == nullptr || *entry != 0) return false;
  const word frame = allocate_large_frame();
  if (frame == 0) return false;
  *entry = frame | Present | Writable | User | Large;
  return true;
}

volatile word* AddressSpace::entry_of(word linear) const {
  word* const entry = find(root_, linear, 0, false);
  return entry != nullptr && (*entry & Present) != 0 ? entry : nullptr;
}

}  // namespace lab
