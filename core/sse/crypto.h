#pragma once

// AES-NI (FIPS 197), carry-less multiplication and the SHA extensions (FIPS 180-4), portably.

#include "core/sse/vector.h"

namespace bunshin::sse {

Vec aesenc(Vec d, Vec s);
Vec aesenclast(Vec d, Vec s);
Vec aesdec(Vec d, Vec s);
Vec aesdeclast(Vec d, Vec s);
Vec aesimc(Vec d, Vec s);
Vec aeskeygenassist(Vec d, Vec s, u8 imm);

Vec pclmulqdq(Vec d, Vec s, u8 imm);

Vec sha1rnds4(Vec d, Vec s, u8 imm);
Vec sha1nexte(Vec d, Vec s);
Vec sha1msg1(Vec d, Vec s);
Vec sha1msg2(Vec d, Vec s);
/// `keys` is XMM0: two rounds' K + W in its low elements.
Vec sha256rnds2(Vec d, Vec s, Vec keys);
Vec sha256msg1(Vec d, Vec s);
Vec sha256msg2(Vec d, Vec s);

}  // namespace bunshin::sse
