#pragma once

// Frames of physical memory, shared by count.

#include "guests/lab/layout.h"

namespace lab {

void initialize_frames(word begin, word end);

/// The physical address of a frame that one owner has; 0 if there is none left. Its contents are undefined.
word allocate_frame();
/// The same, zeroed.
word allocate_cleared_frame();

/// Frames that initialize_frames() was not given (the kernel's own) are everybody's and are never freed.
void share_frame(word frame);
void release_frame(word frame);
bool is_shared(word frame);

/// `large_bytes` of contiguous, aligned memory.
word allocate_large_frame();
void release_large_frame(word frame);

/// In frames.
word free_frames();

void clear_page(word frame);
void copy_page(word to, word from);

}  // namespace lab
