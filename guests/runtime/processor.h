#pragma once

// Instructions that C++ has no words for. Header of the guest runtime: freestanding, for 64-bit kernels and 32-bit ones.

namespace guest {

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = __UINT64_TYPE__;
/// As wide as a register and a linear address.
using uptr = __UINTPTR_TYPE__;

inline void out8(u16 port, u8 value) { asm volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
inline void out16(u16 port, u16 value) { asm volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }
inline void out32(u16 port, u32 value) { asm volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }

inline u16 in16(u16 port) {
  u16 value;
  asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

inline u8 in8(u16 port) {
  u8 value;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

inline u64 read_msr(u32 number) {
  u32 low, high;
  asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
  return u64{high} << 32 | low;
}

inline void write_msr(u32 number, u64 value) {
  asm volatile("wrmsr" : : "c"(number), "a"(static_cast<u32>(value)), "d"(static_cast<u32>(value >> 32)) : "memory");
}

inline u64 read_tsc() {
  u32 low, high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high));
  return u64{high} << 32 | low;
}

inline uptr read_cr2() {
  uptr value;
  asm volatile("mov %%cr2, %0" : "=r"(value));
  return value;
}

struct CpuId {
  u32 eax, ebx, ecx, edx;
};

inline CpuId cpuid(u32 leaf, u32 subleaf = 0) {
  CpuId r{};
  asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
  return r;
}

inline uptr read_cr0() {
  uptr value;
  asm volatile("mov %%cr0, %0" : "=r"(value));
  return value;
}
inline void write_cr0(uptr value) { asm volatile("mov %0, %%cr0" : : "r"(value) : "memory"); }

inline uptr read_cr4() {
  uptr value;
  asm volatile("mov %%cr4, %0" : "=r"(value));
  return value;
}
inline void write_cr4(uptr value) { asm volatile("mov %0, %%cr4" : : "r"(value) : "memory"); }
inline void write_cr3(uptr value) { asm volatile("mov %0, %%cr3" : : "r"(value) : "memory"); }

/// `value / divisor`, by two divisions of 32 bits where the processor has no others.
inline u64 divide(u64 value, u32 divisor, u32* rest = nullptr) {
  const u32 high = static_cast<u32>(value >> 32);
  u32 quotient, remainder;
  asm("divl %4" : "=a"(quotient), "=d"(remainder) : "a"(static_cast<u32>(value)), "d"(high % divisor), "rm"(divisor));
  if (rest != nullptr) *rest = remainder;
  return u64{high / divisor} << 32 | quotient;
}

inline void invalidate_page(uptr address) { asm volatile("invlpg (%0)" : : "r"(address) : "memory"); }
inline void enable_interrupts() { asm volatile("sti" : : : "memory"); }
inline void disable_interrupts() { asm volatile("cli" : : : "memory"); }
/// STI's shadow makes the pair atomic: an interrupt that is pending wakes the HLT.
inline void wait_for_interrupt() { asm volatile("sti; hlt; cli" : : : "memory"); }
inline void pause() { asm volatile("pause" : : : "memory"); }

}  // namespace guest
