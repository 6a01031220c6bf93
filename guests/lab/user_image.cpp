#include "guests/lab/user_image.h"

extern "C" const guest::u8 user_image[];

namespace lab {

namespace {

/// user/start.S.
struct Header {
  word text_bytes, file_bytes, memory_bytes;
  word entry, programs, program_count;
};

struct Program {
  const char* name;
  word main;
};

const Header& header() { return *reinterpret_cast<const Header*>(user_image); }

/// Where the kernel finds what a program finds at `linear`.
template <class T>
const T* in_image(word linear) {
  return reinterpret_cast<const T*>(user_image + (linear - image_begin));
}

bool equal(const char* a, const char* b) {
  while (*a != 0 && *a == *b) ++a, ++b;
  return *a == *b;
}

}  // namespace

UserPage user_page(word linear) {
  const word offset = linear - image_begin;
  if (linear >= image_begin && offset < header().file_bytes) {
    return {true, offset >= header().text_bytes, reinterpret_cast<word>(user_image) + offset};
  }
  const bool zero = (linear >= image_begin && offset < header().memory_bytes) ||
                    (linear >= heap_begin && linear < heap_end) || (linear >= stack_begin && linear < user_end);
  return {zero, zero, 0};
}

int find_program(const char* name) {
  const auto* const programs = in_image<Program>(header().programs);
  for (word i = 0; i < *in_image<word>(header().program_count); ++i) {
    if (equal(in_image<char>(reinterpret_cast<word>(programs[i].name)), name)) return static_cast<int>(i);
  }
  return -1;
}

word program_entry() { return header().entry; }

}  // namespace lab
