#pragma once

// The programs, all in one image that is part of the kernel (user/link.ld), and what a program's pages hold at first.

#include "guests/lab/layout.h"

namespace lab {

struct UserPage {
  bool exists = false, writable = false;
  /// The frame with its contents; 0 if they are zeros.
  word image_frame = 0;
};
UserPage user_page(word linear);

/// The number of the program with the name, or -1.
int find_program(const char* name);
/// Where programs begin; the program's number is in RDI.
word program_entry();

}  // namespace lab
