#pragma once

// Runs one x87 instruction on the host's own FPU from any architectural state, by FRSTOR, the instruction and FNSAVE in
// generated code. Nothing of core/x87/host_fpu is used.

#include <sys/mman.h>

#include <array>
#include <cstring>
#include <stdexcept>

#include "base/types.h"

namespace bunshin::x87_test {

/// What FNSAVE stores in 64-bit mode.
using SaveImage = std::array<u8, 108>;
using Memory = std::array<u8, 16>;

class HostInstruction {
 public:
  HostInstruction() : code_(map()) {}
  HostInstruction(const HostInstruction&) = delete;
  HostInstruction& operator=(const HostInstruction&) = delete;
  ~HostInstruction() { munmap(code_, size); }

  /// For memory forms `modrm` must be [rdx] (mod 0, rm 2). `flags` are the status flags before and after.
  void run(u8 opcode, u8 modrm, const SaveImage& before, SaveImage& after, Memory& memory, u64& flags) {
    const std::array<u8, 16> code{0xdd,   0x27,         // frstor [rdi]
                                  0x51,   0x9d,         // push rcx; popfq
                                  opcode, modrm,        //
                                  0x9c,   0x58,         // pushfq; pop rax
                                  0x49,   0x89,  0x00,  // mov [r8], rax
                                  0xdd,   0x36,         // fnsave [rsi]
                                  0xc3};
    std::memcpy(code_, code.data(), code.size());
    using Function = void (*)(const u8*, u8*, u8*, u64, u64*);
    Function function = nullptr;
    std::memcpy(&function, &code_, sizeof function);
    u64 flags_after = 0;
    function(before.data(), after.data(), memory.data(), flags | 0x202, &flags_after);
    flags = flags_after & 0x8d5;
  }

 private:
  static constexpr std::size_t size = 4096;
  static void* map() {
    void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::runtime_error("no executable memory on this host");
    return p;
  }
  void* code_;
};

}  // namespace bunshin::x87_test
