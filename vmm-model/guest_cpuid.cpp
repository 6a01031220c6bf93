#include "vmm-model/guest_cpuid.h"

#include <algorithm>

namespace bunshin::vmm {

namespace {

constexpr u32 bit(unsigned number) { return u32{1} << number; }

// CPUID.1:ECX: MONITOR, VMX, SMX, EST, TM2, PDCM, PCID, x2APIC.
constexpr u32 hidden_1_ecx = bit(3) | bit(5) | bit(6) | bit(7) | bit(8) | bit(15) | bit(17) | bit(21);
constexpr u32 os_xsave_bit = bit(27);
// CPUID.1:EDX: thermal control, debug store, multi-threading.
constexpr u32 hidden_1_edx = bit(21) | bit(22) | bit(28) | bit(29) | bit(31);
// CPUID.7.0:EBX: TSC_ADJUST, SGX, HLE, INVPCID, RTM, PQM, MPX, PQE, processor trace.
constexpr u32 hidden_7_ebx = bit(1) | bit(2) | bit(4) | bit(10) | bit(11) | bit(12) | bit(14) | bit(15) | bit(25);
// CPUID.7.0:ECX: PKU, OSPKE, WAITPKG, CET, LA57, bus lock, SGX, PKS.
constexpr u32 hidden_7_ecx = bit(3) | bit(4) | bit(5) | bit(7) | bit(16) | bit(24) | bit(28) | bit(30) | bit(31);
// CPUID.80000001H:ECX: SVM, OSVW, IBS, SKINIT, watchdog, LWP, topology, performance counters, MWAITX.
constexpr u32 hidden_extended_ecx = bit(1) | bit(2) | bit(9) | bit(10) | bit(12) | bit(13) | bit(15) | bit(22) |
                                    bit(23) | bit(24) | bit(26) | bit(27) | bit(28) | bit(29);

CpuidResult basic(CpuidResult r, bool os_xsave) {
  r.ebx = (r.ebx & 0xffff) | 1 << 16;  // APIC id 0, one logical processor
  r.ecx = (r.ecx & ~(hidden_1_ecx | os_xsave_bit)) | (os_xsave ? os_xsave_bit : 0);
  r.edx &= ~hidden_1_edx;
  return r;
}

CpuidResult structured(CpuidResult r, u32 subleaf) {
  if (subleaf != 0) return {};
  return {0, r.ebx & ~hidden_7_ebx, r.ecx & ~hidden_7_ecx, 0};
}

/// The area's size with everything shown enabled: software compares it with the sum of the parts.
u32 largest_area(Hardware& hardware, u32 states) {
  u32 end = 0x240;  // legacy area and header (SDM vol. 1, 13.4)
  for (u32 i = 2; i < 32; ++i) {
    if ((states >> i & 1) == 0) continue;
    const CpuidResult part = hardware.cpuid(0xd, i);
    end = std::max(end, part.ebx + part.eax);
  }
  return end;
}

CpuidResult extended_state(Hardware& hardware, CpuidResult r, u32 subleaf) {
  if (subleaf == 0) return {r.eax & guest_states, r.ebx, largest_area(hardware, r.eax & guest_states), 0};
  if (subleaf == 1) return {r.eax & ~bit(3), r.ebx, 0, 0};  // no XSAVES: IA32_XSS is not virtualized
  return subleaf < 32 && (guest_states >> subleaf & 1) != 0 ? r : CpuidResult{};
}

}  // namespace

CpuidResult guest_cpuid(Hardware& hardware, u32 leaf, u32 subleaf, bool os_xsave) {
  const CpuidResult r = hardware.cpuid(leaf, subleaf);
  switch (leaf) {
    case 1: return basic(r, os_xsave);
    case 4: return {r.eax & 0x3fff, r.ebx, r.ecx, r.edx};  // caches shared by nobody
    case 5:
    case 0xa:
    case 0x14:
    case 0x8000'000a:
    case 0x8000'001f: return {};
    case 6: return {r.eax & bit(2), 0, 0, 0};  // the APIC timer runs always, whatever the processor's power
    case 7: return structured(r, subleaf);
    case 0xb:
    case 0x1f:
      return {0, subleaf < 2 ? 1u : 0u, (subleaf & 0xff) | (subleaf == 0 ? 0x100u : subleaf == 1 ? 0x200u : 0u), 0};
    case 0xd: return extended_state(hardware, r, subleaf);
    case 0x8000'0001: return {r.eax, r.ebx, r.ecx & ~hidden_extended_ecx, r.edx};
    case 0x8000'0008: return {r.eax, 0, 0, 0};
    default: return r;
  }
}

u8 physical_bits(Hardware& hardware) {
  constexpr u32 leaf = 0x8000'0008;
  if (hardware.cpuid(0x8000'0000, 0).eax < leaf) return 36;
  return static_cast<u8>(hardware.cpuid(leaf, 0).eax);
}

Clock apic_timer_clock(Hardware& hardware, Clock otherwise) {
  constexpr u32 leaf = 0x15;
  if (guest_cpuid(hardware, 0, 0, false).eax < leaf) return otherwise;
  const u32 crystal = guest_cpuid(hardware, leaf, 0, false).ecx;
  return crystal != 0 ? Clock{crystal} : otherwise;
}

}  // namespace bunshin::vmm
