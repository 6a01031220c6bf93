// A few instructions of each kind; the exhaustive comparison with a real processor is in tests/core.

#include "guests/selftest/selftest.h"

namespace guest {

namespace {

bool copies_backwards() {
  char buffer[] = "-abcdef";
  char* const text = buffer + 1;
  const char* from = text + 3;
  char* to = text + 5;
  u64 count = 4;
  asm volatile("std; rep movsb; cld" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
  return text[2] == 'a' && text[5] == 'd' && count == 0 && from == buffer;
}

bool fills() {
  u64 words[8];
  u64* to = words;
  u64 count = 8;
  asm volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(0x0123'4567'89ab'cdef) : "memory");
  return words[0] == 0x0123'4567'89ab'cdef && words[7] == words[0] && to == words + 8;
}

bool searches() {
  const char text[] = "needle";
  const char* at = text;
  u64 count = sizeof(text);
  asm volatile("repne scasb" : "+D"(at), "+c"(count) : "a"('d'), "m"(text));
  return at == text + 4 && count == 3;
}

bool compares() {
  const char left[] = "samea", right[] = "sameb";
  const char* a = left;
  const char* b = right;
  u64 count = 5;
  bool below = false;
  asm volatile("repe cmpsb; setb %3" : "+S"(a), "+D"(b), "+c"(count), "=r"(below) : "m"(left), "m"(right));
  return below && count == 0;
}

bool carries() {
  u64 low = ~u64{0}, high = 1;
  asm("add $1, %0; adc $0, %1" : "+r"(low), "+r"(high));
  return low == 0 && high == 2;
}

bool multiplies() {
  u64 low = ~u64{0}, high = 0;
  asm("mul %2" : "+a"(low), "=d"(high) : "r"(~u64{0}));
  return low == 1 && high == ~u64{1};
}

bool divides_signed() {
  u64 quotient = static_cast<u64>(-7), remainder = ~u64{0};
  asm("idivq %2" : "+a"(quotient), "+d"(remainder) : "r"(u64{2}));
  return quotient == static_cast<u64>(-3) && remainder == static_cast<u64>(-1);
}

bool shifts() {
  u64 value = 0x8000'0000'0000'0001;
  asm("shldq $4, %1, %0; rolq $8, %0" : "+r"(value) : "r"(0xf000'0000'0000'0000));
  return value == 0x1f00;
}

bool scans_bits() {
  u64 low = 0, high = 0;
  bool set = false;
  asm("bsf %3, %0; bsr %3, %1; bt $12, %3; setc %2" : "=&r"(low), "=&r"(high), "=&r"(set) : "r"(u64{0x1'1000}));
  return low == 12 && high == 16 && set;
}

bool exchanges() {
  u64 memory[2] __attribute__((aligned(16))) = {1, 2};
  bool equal = false;
  u64 low = 1, high = 2;
  asm volatile("lock cmpxchg16b %0; sete %1" : "+m"(memory), "=q"(equal), "+a"(low), "+d"(high) : "b"(3ul), "c"(4ul));
  u32 counter = 5, add = 7;
  asm volatile("lock xadd %1, %0" : "+m"(counter), "+r"(add));
  return equal && memory[0] == 3 && memory[1] == 4 && counter == 12 && add == 5;
}

bool computes_with_sse() {
  alignas(16) float a[4] = {1, 2, 3, 4}, b[4] = {0.5f, 0.5f, 0.5f, 0.5f};
  alignas(16) u32 sums[4];
  asm volatile("movaps %1, %%xmm0; addps %2, %%xmm0; pshufd $0x1b, %%xmm0, %%xmm0; movaps %%xmm0, %0"
               : "=m"(sums)
               : "m"(a), "m"(b));
  return sums[0] == 0x4090'0000 && sums[3] == 0x3fc0'0000;  // 4.5 and 1.5
}

bool computes_with_x87() {
  u64 result = 0;
  asm volatile("fninit; fldl2t; fldpi; fmulp; fistpll %0" : "=m"(result));
  return result == 10;  // log2(10) * pi = 10.436
}

bool identifies() {
  constexpr u32 sse2 = 1u << 26, long_mode = 1u << 29;
  return cpuid(0).eax >= 1 && (cpuid(1).edx & sse2) != 0 && (cpuid(0x8000'0001).edx & long_mode) != 0;
}

bool writes_post_code() {
  out8(0x80, 0x42);
  return true;
}

bool counts_time() {
  u64 last = read_tsc();
  for (int i = 0; i < 1000; ++i) {
    const u64 now = read_tsc();
    if (now < last) return false;
    last = now;
  }
  return true;
}

bool rewrites_itself() {
  // mov $1, %eax; ret
  alignas(16) static u8 code[] = {0xb8, 1, 0, 0, 0, 0xc3};
  auto* const function = reinterpret_cast<u32 (*)()>(&code);
  const u32 before = function();
  *const_cast<volatile u8*>(code + 1) = 2;
  return before == 1 && function() == 2;
}

constexpr Check checks[] = {
    {"REP MOVSB downwards", copies_backwards},
    {"REP STOSQ", fills},
    {"REPNE SCASB", searches},
    {"REPE CMPSB", compares},
    {"ADC", carries},
    {"MUL", multiplies},
    {"IDIV", divides_signed},
    {"SHLD and ROL", shifts},
    {"BSF, BSR and BT", scans_bits},
    {"CMPXCHG16B and XADD", exchanges},
    {"SSE", computes_with_sse},
    {"x87", computes_with_x87},
    {"CPUID", identifies},
    {"port 0x80", writes_post_code},
    {"RDTSC never goes back", counts_time},
    {"code that changes itself", rewrites_itself},
};

}  // namespace

unsigned check_instructions() { return run_checks("instructions", checks); }

}  // namespace guest
