#pragma once

// What the loader says: the command line and how much memory there is.

#include "guests/lab/layout.h"

namespace lab {

/// Copies the command line; call it before anything else uses memory.
void read_boot_information();
const char* command_line();
/// Bytes of the command line that count.
u32 command_line_bytes();
/// Whether it has the word, anywhere.
bool command_line_holds(const char* word);

/// Where the memory that begins below the kernel ends, at most `user_begin`.
word memory_end();

}  // namespace lab
