#include "guests/conformance_vmx/ept.h"

namespace guest {

alignas(4096) EptTables ept_tables, other_ept_tables;
alignas(4096) u8 frame_memory[frames][4096];

bool ept_can(unsigned bit) {
  const bool exists = has_secondary(secondary_control::ept) || has_secondary(secondary_control::vpid);
  return exists && (read_msr(msr_ept_vpid) >> bit & 1) != 0;
}

void fill(EptTables& tables) {
  __builtin_memset(&tables, 0, sizeof tables);
  constexpr u64 leaf = ept_all | ept_large | ept_write_back;
  tables.level4[0] = reinterpret_cast<u64>(tables.level3) | ept_all;
  tables.level3[0] = reinterpret_cast<u64>(tables.level2) | ept_all;
  tables.level3[1] = reinterpret_cast<u64>(tables.window2) | ept_all;
  tables.level3[3] = reinterpret_cast<u64>(tables.high2) | ept_all;
  for (unsigned i = 0; i < 512; ++i) {
    tables.level2[i] = u64{i} << 21 | leaf;
    tables.high2[i] = u64{3} << 30 | u64{i} << 21 | ept_all | ept_large;
  }
  tables.window2[0] = reinterpret_cast<u64>(tables.window1) | ept_all;
  for (unsigned n = 0; n < frames; ++n) {
    __builtin_memset(frame_memory[n], 0, sizeof frame_memory[n]);
    frame_memory[n][0] = 0xc3;
    frame_memory[n][8] = static_cast<u8>(n);
  }
}

u64 ept_pointer(const EptTables& tables) {
  const u64 type = ept_can(ept_capability::write_back) ? 6 : 0;
  return reinterpret_cast<u64>(&tables) | 3u << 3 | type;
}

void enable_ept() {
  fill(ept_tables);
  enable(Word::Secondary, secondary_control::ept);
  put(vmcs::eptp, ept_pointer(ept_tables));
  if (ept_can(ept_capability::invept)) invept(ept_can(ept_capability::invept_all) ? 2 : 1, ept_pointer(ept_tables));
}

bool prepare_ept(Mode mode, Code code) {
  if (!has_secondary(secondary_control::ept) || !prepare(mode, code)) return false;
  enable_ept();
  return true;
}

u64 invept(u64 type, u64 pointer, u64 reserved) {
  const u64 descriptor[2] = {pointer, reserved};
  u64 flags;
  asm volatile("invept %1, %2; pushfq; pop %0" : "=r"(flags) : "m"(descriptor), "r"(type) : "memory", "cc");
  return flags & 0x8d5;
}

u64 invvpid(u64 type, u64 vpid, u64 address) {
  const u64 descriptor[2] = {vpid, address};
  u64 flags;
  asm volatile("invvpid %1, %2; pushfq; pop %0" : "=r"(flags) : "m"(descriptor), "r"(type) : "memory", "cc");
  return flags & 0x8d5;
}

}  // namespace guest
