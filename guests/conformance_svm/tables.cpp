#include "guests/conformance_svm/tables.h"

extern "C" {
alignas(4096) guest::Tables nested_tables, guest_tables;
}

namespace guest {

alignas(4096) u8 frame_memory[frames][4096];

void fill(Tables& tables) {
  __builtin_memset(&tables, 0, sizeof tables);
  constexpr u64 open = present | writable | user;
  tables.level4[0] = reinterpret_cast<u64>(tables.level3) | open;
  tables.level3[0] = reinterpret_cast<u64>(tables.level2) | open;
  tables.level3[1] = reinterpret_cast<u64>(tables.window2) | open;
  for (unsigned i = 0; i < 512; ++i) tables.level2[i] = u64{i} << 21 | open | large;
  tables.window2[0] = reinterpret_cast<u64>(tables.window1) | open;
  for (unsigned n = 0; n < frames; ++n) {
    __builtin_memset(frame_memory[n], 0, sizeof frame_memory[n]);
    frame_memory[n][0] = 0xc3;
    frame_memory[n][8] = static_cast<u8>(n);
  }
}

void prepare_nested(Mode mode, Code code) {
  prepare(mode, code);
  fill(nested_tables);
  vmcb.nested_control = 1;
  vmcb.nested_cr3 = reinterpret_cast<u64>(&nested_tables);
}

}  // namespace guest
