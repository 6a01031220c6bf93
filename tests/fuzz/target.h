#pragma once

#include <cstddef>

#include "base/types.h"

/// What libFuzzer calls, and tests/fuzz/replay.cpp where there is no libFuzzer. Always 0.
extern "C" int LLVMFuzzerTestOneInput(const bunshin::u8* data, std::size_t size);
