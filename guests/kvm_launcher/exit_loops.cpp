#include "guests/kvm_launcher/exit_loops.h"

#include <cstdio>
#include <cstring>

#include "guests/kvm_launcher/failure.h"

// Position-independent guest code: `body` leaves the guest once.
#define BUNSHIN_EXIT_LOOP(name, body) \
  asm(".pushsection .rodata\n"        \
      "exit_loop_" name               \
      ":\n"                           \
      "  mov $2, %r11\n"              \
      "1: mov %rsi, %r8\n"            \
      "  rdtsc\n"                     \
      "  shl $32, %rdx\n"             \
      "  or %rdx, %rax\n"             \
      "  mov %rax, %r9\n"             \
      "2: " body                      \
      "  dec %r8\n"                   \
      "  jnz 2b\n"                    \
      "  rdtsc\n"                     \
      "  shl $32, %rdx\n"             \
      "  or %rdx, %rax\n"             \
      "  sub %r9, %rax\n"             \
      "  mov %rax, (%rdi)\n"          \
      "  dec %r11\n"                  \
      "  jnz 1b\n"                    \
      "  xor %eax, %eax\n"            \
      "  out %al, $0xf4\n"            \
      "  hlt\n"                       \
      "exit_loop_" name               \
      "_end:\n"                       \
      ".popsection\n")

BUNSHIN_EXIT_LOOP("cpuid", "xor %eax, %eax\n cpuid\n");
// KVM takes VMCALL on AMD processors too: it emulates the other maker's instruction, which costs an exit as well.
BUNSHIN_EXIT_LOOP("vmcall", "mov $-1, %rax\n vmcall\n");
BUNSHIN_EXIT_LOOP("vmmcall", "mov $-1, %rax\n vmmcall\n");
BUNSHIN_EXIT_LOOP("port", "mov $0x608, %edx\n in %dx, %eax\n");
BUNSHIN_EXIT_LOOP("apic", "mov $0xfee00030, %r10d\n mov (%r10), %eax\n");

extern "C" {
extern const std::uint8_t exit_loop_cpuid[], exit_loop_cpuid_end[];
extern const std::uint8_t exit_loop_vmcall[], exit_loop_vmcall_end[];
extern const std::uint8_t exit_loop_vmmcall[], exit_loop_vmmcall_end[];
extern const std::uint8_t exit_loop_port[], exit_loop_port_end[];
extern const std::uint8_t exit_loop_apic[], exit_loop_apic_end[];
}

namespace launcher {

namespace {

struct Loop {
  const char* kind;
  const std::uint8_t* begin;
  const std::uint8_t* end;
};

constexpr Loop loops[] = {{"cpuid", exit_loop_cpuid, exit_loop_cpuid_end},
                          {"vmcall", exit_loop_vmcall, exit_loop_vmcall_end},
                          {"vmmcall", exit_loop_vmmcall, exit_loop_vmmcall_end},
                          {"port", exit_loop_port, exit_loop_port_end},
                          {"apic", exit_loop_apic, exit_loop_apic_end}};

}  // namespace

void load_exit_loop(const Machine& machine, const char* kind) {
  for (const Loop& loop : loops) {
    if (strcmp(loop.kind, kind) != 0) continue;
    const auto size = static_cast<std::uint64_t>(loop.end - loop.begin);
    memcpy(machine.memory(flat_address, size, "the loop"), loop.begin, size);
    return;
  }
  fail(cannot_start, "--exits takes cpuid, vmcall, vmmcall, port or apic, not '%s'", kind);
}

void print_exit_loop(const Machine& machine, const Options& options) {
  std::uint64_t cycles = 0;
  memcpy(&cycles, machine.memory(place::result, sizeof cycles, "the result"), sizeof cycles);
  const std::uint64_t tenths = cycles * 10 / options.rounds;
  printf("exits: %s: %llu rounds, %llu.%llu cycles each\n", options.exits,
         static_cast<unsigned long long>(options.rounds), static_cast<unsigned long long>(tenths / 10),
         static_cast<unsigned long long>(tenths % 10));
}

}  // namespace launcher
