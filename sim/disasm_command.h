#pragma once

#include <ostream>

#include "sim/command_line.h"

namespace bunshin {

/// `bunshin disasm`: the code of an ELF file's executable sections (or segments), of a bzImage's kernel, or of a raw
/// file.
/// Throws std::runtime_error if the file is unreadable or the symbol unknown.
void disassemble_file(const DisasmOptions& options, std::ostream& out);

}  // namespace bunshin
