// Any bytes decode to something, in any mode, without looking beyond them.

#include <algorithm>

#include "base/check.h"
#include "core/decode/decoder.h"
#include "tests/fuzz/target.h"

namespace {

using namespace bunshin;

const OpcodeTable& table() {
  static const OpcodeTable opcodes;
  return opcodes;
}

const CpuProfile& profile() {
  static const CpuProfile everything = [] {
    CpuProfile p;
    p.resolve();
    return p;
  }();
  return everything;
}

CodeMode mode_from(u8 bits) {
  constexpr u8 sizes[] = {16, 32, 64};
  CodeMode mode;
  mode.bits = sizes[bits % 3];
  mode.flat = mode.bits == 64 || (bits & 4) != 0;
  mode.protected_mode = mode.bits == 64 || (bits & 8) != 0;
  mode.sse = mode.fpu = (bits & 16) != 0;
  mode.cpl = (bits & 32) != 0 ? 3 : 0;
  return mode;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  if (size == 0) return 0;
  const CodeMode mode = mode_from(data[0]);
  const std::span<const u8> bytes(data + 1, size - 1);
  for (std::size_t at = 0; at < std::min<std::size_t>(bytes.size(), 4000);) {
    Decoded decoded;
    const auto offset = static_cast<unsigned>(at);
    if (decode(table(), profile(), mode, bytes.subspan(at), offset, offset, decoded) != DecodeStatus::Ok) break;
    SIM_CHECK(decoded.record.run != nullptr);
    SIM_CHECK(decoded.record.length >= 1 && decoded.record.length <= 15);
    SIM_CHECK(decoded.record.length <= bytes.size() - at);
    at += decoded.record.length;
  }
  return 0;
}
