#pragma once

// Tables of the second dimension: the lowest GiB and the fourth onto themselves, a window of 4 KiB pages that checks fill
// (Intel SDM vol. 3, 28.2).

#include "guests/conformance_vmx/machine.h"

namespace guest {

constexpr u64 ept_read = 1, ept_write = 2, ept_execute = 4, ept_all = 7, ept_large = 0x80, ept_accessed = 0x100,
              ept_dirty = 0x200, ept_write_back = 6u << 3, ept_no_ve = u64{1} << 63;

struct EptTables {
  u64 level4[512], level3[512], level2[512], high2[512], window2[512], window1[512];
};
/// Guest-physical address of the window: the second GiB.
constexpr u64 window = u64{1} << 30;
constexpr unsigned frames = 4;

extern EptTables ept_tables, other_ept_tables;
/// What the window's pages may be mapped to: each begins with RET and has its number at 8.
extern u8 frame_memory[frames][4096];
inline u64 frame(unsigned n) { return reinterpret_cast<u64>(frame_memory[n]); }

/// IA32_VMX_EPT_VPID_CAP (A.10).
namespace ept_capability {
constexpr unsigned execute_only = 0, uncacheable = 8, write_back = 14, large_2m = 16, large_1g = 17, invept = 20,
                   accessed_dirty = 21, invept_single = 25, invept_all = 26, invvpid = 32, invvpid_address = 40,
                   invvpid_single = 41, invvpid_all = 42, invvpid_single_global = 43;
}
bool ept_can(unsigned bit);

void fill(EptTables& tables);
u64 ept_pointer(const EptTables& tables);
/// EPT over `ept_tables`, filled anew, in the VMCS at hand.
void enable_ept();
/// prepare() with EPT, if this processor has it.
bool prepare_ept(Mode mode, Code code);
u64 invept(u64 type, u64 pointer, u64 reserved = 0);
u64 invvpid(u64 type, u64 vpid, u64 address);

}  // namespace guest
