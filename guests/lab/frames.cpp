#include "guests/lab/frames.h"

namespace lab {

namespace {

/// Frames below `fresh` have been used at least once, those from `fresh` to `limit` never: memory that nobody needed is not
/// even touched. Large frames come from the upper end.
word first = 0, fresh = 0, limit = 0;
u16* owners = nullptr;
/// Each free frame's first word holds the next one's address.
word free_list = 0, free_large_list = 0;
word free_count = 0;

bool is_managed(word frame) { return frame >= first && frame < limit; }
u16& owners_of(word frame) { return owners[(frame - first) / page_bytes]; }

word take(word& list) {
  const word frame = list;
  if (frame != 0) list = *at_physical<word>(frame);
  return frame;
}

void give(word& list, word frame) {
  *at_physical<word>(frame) = list;
  list = frame;
}

}  // namespace

void initialize_frames(word begin, word end) {
  owners = at_physical<u16>(round_up(begin, page_bytes));
  const word pages = (end - begin) / page_bytes;
  first = fresh = round_up(begin, page_bytes) + round_up(pages * sizeof(u16), page_bytes);
  limit = round_down(end, page_bytes);
}

word allocate_frame() {
  word frame = take(free_list);
  if (frame != 0) {
    --free_count;
  } else if (fresh < limit) {
    frame = fresh;
    fresh += page_bytes;
  } else {
    return 0;
  }
  owners_of(frame) = 1;
  return frame;
}

word allocate_cleared_frame() {
  const word frame = allocate_frame();
  if (frame != 0) clear_page(frame);
  return frame;
}

void share_frame(word frame) {
  if (is_managed(frame)) ++owners_of(frame);
}

void release_frame(word frame) {
  if (!is_managed(frame) || --owners_of(frame) != 0) return;
  give(free_list, frame);
  ++free_count;
}

bool is_shared(word frame) { return !is_managed(frame) || owners_of(frame) != 1; }

word allocate_large_frame() {
  if (const word frame = take(free_large_list)) return frame;
  const word frame = round_down(limit, large_bytes) - large_bytes;
  if (frame < fresh || frame > limit) return 0;
  // What alignment leaves between the last large frame and this one stays unused.
  limit = frame;
  return frame;
}

void release_large_frame(word frame) { give(free_large_list, frame); }

word free_frames() { return free_count + (limit - fresh) / page_bytes; }

void clear_page(word frame) {
  word count = page_bytes / 4;
  asm volatile("rep stosl" : "+D"(frame), "+c"(count) : "a"(0) : "memory");
}

void copy_page(word to, word from) {
  word count = page_bytes / 4;
  asm volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

}  // namespace lab
