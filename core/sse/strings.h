#pragma once

// SSE4.2 string comparisons PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM vol. 2, 4.1), and CRC32.

#include "core/sse/vector.h"

namespace bunshin::sse {

/// How many leading elements of each operand are valid; elements are words if imm[0], else bytes.
struct StringLengths {
  unsigned first = 0, second = 0;
};
constexpr unsigned string_elements(u8 imm) { return (imm & 1) != 0 ? 8 : 16; }
/// Lengths up to the first null element (implicit forms).
StringLengths implicit_lengths(Vec first, Vec second, u8 imm);
/// Absolute value of EAX/RAX or EDX/RDX, at most the number of elements (explicit forms).
unsigned explicit_length(i64 length, u8 imm);

struct StringResult {
  u32 bits = 0;   ///< IntRes2: one bit for each element of the second operand
  u64 flags = 0;  ///< status flags in RFLAGS layout
};
StringResult compare_strings(Vec first, Vec second, StringLengths lengths, u8 imm);
/// ECX of the index forms.
u32 string_index(u32 bits, u8 imm);
/// XMM0 of the mask forms.
Vec string_mask(u32 bits, u8 imm);

/// CRC-32C (polynomial 11EDC6F41H, reflected) of `bytes` low bytes of `data`, continued from `crc`.
u32 crc32c(u32 crc, u64 data, unsigned bytes);

}  // namespace bunshin::sse
