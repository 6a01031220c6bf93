#pragma once

// Files in memory: a few small ones, gone with the machine.

#include "guests/lab/layout.h"

namespace lab {

constexpr unsigned max_files = 8, file_name_bytes = 16, file_bytes = 1024;

/// -1: no such file. Else how many bytes were copied.
int read_file(const char* name, char* to, unsigned bytes);
/// False: no room.
bool write_file(const char* name, const char* from, unsigned bytes);
/// The name of the file with the index, or nullptr.
const char* file_name(unsigned index);

}  // namespace lab
