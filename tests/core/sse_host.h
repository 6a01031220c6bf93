#pragma once

// Runs one SIMD instruction on the host's own processor.

#include <sys/mman.h>

#include <array>
#include <cstring>
#include <span>
#include <stdexcept>

#include "core/profile.h"
#include "core/state.h"

namespace bunshin::sse_test {

/// The registers the instructions under test use; rsi and rdi point to the memory operand.
struct HostState {
  std::array<Xmm, 3> xmm;
  std::array<u64, 3> mmx;
  u64 rax, rcx, rdx, rflags;
  void* memory;
  u32 mxcsr;
};

class HostInstruction {
 public:
  HostInstruction() {
    code_ = mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code_ == MAP_FAILED) throw std::runtime_error("cannot map a page for generated code");
  }
  HostInstruction(const HostInstruction&) = delete;
  HostInstruction& operator=(const HostInstruction&) = delete;
  ~HostInstruction() { munmap(code_, 4096); }

  void run(std::span<const u8> instruction, HostState& s) {
    std::memcpy(code_, instruction.data(), instruction.size());
    static_cast<u8*>(code_)[instruction.size()] = 0xc3;
    const u32 own = 0x1f80;
    asm volatile(
        "lea -256(%%rsp), %%rsp\n"  // beyond the red zone
        "movdqa 0(%[s]), %%xmm0\n movdqa 16(%[s]), %%xmm1\n movdqa 32(%[s]), %%xmm2\n"
        "movq 48(%[s]), %%mm0\n movq 56(%[s]), %%mm1\n movq 64(%[s]), %%mm2\n"
        "mov 72(%[s]), %%rax\n mov 80(%[s]), %%rcx\n mov 88(%[s]), %%rdx\n"
        "mov 104(%[s]), %%rsi\n mov %%rsi, %%rdi\n"
        "push 96(%[s])\n popfq\n"
        "ldmxcsr 112(%[s])\n"
        "call *%[code]\n"
        "stmxcsr 112(%[s])\n"
        "pushfq\n pop 96(%[s])\n"
        "ldmxcsr %[own]\n"
        "mov %%rax, 72(%[s])\n mov %%rcx, 80(%[s])\n mov %%rdx, 88(%[s])\n"
        "movq %%mm0, 48(%[s])\n movq %%mm1, 56(%[s])\n movq %%mm2, 64(%[s])\n"
        "movdqa %%xmm0, 0(%[s])\n movdqa %%xmm1, 16(%[s])\n movdqa %%xmm2, 32(%[s])\n"
        "emms\n cld\n"
        "lea 256(%%rsp), %%rsp\n"
        :
        : [s] "r"(&s), [code] "r"(code_), [own] "m"(own)
        : "rax", "rcx", "rdx", "rsi", "rdi", "xmm0", "xmm1", "xmm2", "mm0", "mm1", "mm2", "st", "st(1)", "st(2)",
          "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "memory", "cc");
  }

 private:
  void* code_ = nullptr;
};
static_assert(offsetof(HostState, mmx) == 48 && offsetof(HostState, rax) == 72 && offsetof(HostState, rflags) == 96 &&
              offsetof(HostState, memory) == 104 && offsetof(HostState, mxcsr) == 112);

/// Whether the host has what a row needs.
inline bool host_has(Feature f) {
  switch (f) {
    case Feature::Sse3: return __builtin_cpu_supports("sse3");
    case Feature::Ssse3: return __builtin_cpu_supports("ssse3");
    case Feature::Sse41: return __builtin_cpu_supports("sse4.1");
    case Feature::Sse42: return __builtin_cpu_supports("sse4.2");
    case Feature::Aes: return __builtin_cpu_supports("aes");
    case Feature::Pclmulqdq: return __builtin_cpu_supports("pclmul");
    case Feature::Sha: {
      u32 a = 7, b = 0, c = 0, d = 0;
      asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
      return ((b >> 29) & 1) != 0;
    }
    default: return true;  // x86-64 has SSE2
  }
}

}  // namespace bunshin::sse_test
