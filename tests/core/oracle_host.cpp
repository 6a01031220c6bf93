#include "tests/core/oracle_host.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <stdexcept>
#include <vector>

#include "base/address.h"

namespace bunshin::oracle {

namespace {

/// At `control_block`; the trampoline knows the offsets.
struct Control {
  std::array<u64, 16> in;
  u64 flags_in;
  u64 code;
  u64 host_rsp;
  u64 exit;
  u32 default_mxcsr;
  u32 active;
  u64 trapped;
  u64 vector, error_code, address;
  alignas(256) std::array<u64, 16> out;
  u64 flags_out;
  u64 rip_out;
  alignas(512) FxImage fx_in;
  FxImage fx_out;
};
static_assert(offsetof(Control, code) == 0x88 && offsetof(Control, exit) == 0x98 && offsetof(Control, out) == 0x100 &&
              offsetof(Control, rip_out) == 0x188 && offsetof(Control, fx_in) == 0x200 &&
              offsetof(Control, fx_out) == 0x400);

Control& control() { return *reinterpret_cast<Control*>(control_block); }  // NOLINT(performance-no-int-to-ptr)

extern "C" void oracle_enter();
extern "C" void oracle_exit();
extern "C" void oracle_leave();

// All addresses are absolute, so no register is needed to find them.
asm(R"(
  .set CB, 0x10000000
  .text
  .globl oracle_enter, oracle_exit, oracle_leave
oracle_enter:
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, CB+0x90
  fxrstor64 CB+0x200
  pushq CB+0x80
  popfq
  mov CB+0x00, %rax
  mov CB+0x08, %rcx
  mov CB+0x10, %rdx
  mov CB+0x18, %rbx
  mov CB+0x28, %rbp
  mov CB+0x30, %rsi
  mov CB+0x38, %rdi
  mov CB+0x40, %r8
  mov CB+0x48, %r9
  mov CB+0x50, %r10
  mov CB+0x58, %r11
  mov CB+0x60, %r12
  mov CB+0x68, %r13
  mov CB+0x70, %r14
  mov CB+0x78, %r15
  mov CB+0x20, %rsp
  jmp *CB+0x88
oracle_exit:
  mov %rax, CB+0x100
  mov %rcx, CB+0x108
  mov %rdx, CB+0x110
  mov %rbx, CB+0x118
  mov %rsp, CB+0x120
  mov %rbp, CB+0x128
  mov %rsi, CB+0x130
  mov %rdi, CB+0x138
  mov %r8, CB+0x140
  mov %r9, CB+0x148
  mov %r10, CB+0x150
  mov %r11, CB+0x158
  mov %r12, CB+0x160
  mov %r13, CB+0x168
  mov %r14, CB+0x170
  mov %r15, CB+0x178
  mov CB+0x90, %rsp
  pushfq
  popq CB+0x180
  fxsave64 CB+0x400
oracle_leave:
  cld
  fninit
  ldmxcsr CB+0xa0
  mov CB+0x90, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  ret
)");

constexpr int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
constexpr std::size_t signal_stack_size = 64 * 1024;

/// Hands the interrupted registers to run() and makes the signal return into oracle_leave.
void on_signal(int number, siginfo_t*, void* context) {
  Control& c = control();
  if (c.active == 0) {
    signal(number, SIG_DFL);
    return;
  }
  auto* u = static_cast<ucontext_t*>(context);
  greg_t* g = u->uc_mcontext.gregs;
  constexpr int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                             REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  for (unsigned i = 0; i < 16; ++i) c.out[i] = static_cast<u64>(g[order[i]]);
  c.flags_out = static_cast<u64>(g[REG_EFL]);
  c.rip_out = static_cast<u64>(g[REG_RIP]);
  std::memcpy(c.fx_out.bytes.data(), u->uc_mcontext.fpregs, sizeof(FxImage));
  c.trapped = 1;
  c.vector = static_cast<u64>(g[REG_TRAPNO]);
  c.error_code = static_cast<u64>(g[REG_ERR]);
  c.address = static_cast<u64>(g[REG_CR2]);
  g[REG_RIP] = reinterpret_cast<greg_t>(&oracle_leave);
  g[REG_RSP] = static_cast<greg_t>(c.host_rsp);
  g[REG_EFL] = 0x202;
  u->uc_mcontext.fpregs->mxcsr = 0x1f80;
  u->uc_mcontext.fpregs->swd = 0;
}

void map(u64 begin, u64 end, int protection) {
  void* wanted = reinterpret_cast<void*>(begin);  // NOLINT(performance-no-int-to-ptr)
  // Populated, so that a fault tells of rights and not of laziness.
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE;
  if (mmap(wanted, end - begin, protection, flags, -1, 0) != wanted) {
    throw std::runtime_error("the host's linear address " + std::to_string(begin) +
                             " is taken; build the test as a position-independent executable");
  }
}

std::vector<u8>& signal_stack() {
  static std::vector<u8> stack(signal_stack_size);
  return stack;
}

}  // namespace

HostProcessor::HostProcessor() {
  map(data_begin, data_end, PROT_READ | PROT_WRITE);
  map(data_end, read_only_end, PROT_READ);
  map(code_begin, code_end, PROT_READ | PROT_WRITE | PROT_EXEC);
  map(control_block, control_block + page_size, PROT_READ | PROT_WRITE);
  control().default_mxcsr = 0x1f80;
  control().exit = reinterpret_cast<u64>(&oracle_exit);
  stack_t stack{};
  stack.ss_sp = signal_stack().data();
  stack.ss_size = signal_stack_size;
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (const int number : signals) sigaction(number, &action, nullptr);
}

HostProcessor::~HostProcessor() {
  for (const int number : signals) signal(number, SIG_DFL);
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  sigaltstack(&none, nullptr);
  munmap(at(data_begin), read_only_end - data_begin);
  munmap(at(code_begin), code_end - code_begin);
  munmap(at(control_block), page_size);
}

Outcome HostProcessor::run(const Registers& registers, u64 rip) {
  Control& c = control();
  c.in = registers.gpr;
  c.flags_in = registers.flags;
  c.fx_in = registers.fx;
  c.code = rip;
  c.trapped = 0;
  c.rip_out = 0;
  c.active = 1;
  oracle_enter();
  c.active = 0;
  Outcome outcome;
  outcome.registers = {c.out, c.flags_out, c.fx_out};
  outcome.rip = c.rip_out;
  if (c.trapped != 0) outcome.trap = Trap{static_cast<u8>(c.vector), c.error_code, c.address};
  return outcome;
}

std::array<u8, HostProcessor::pad_size> HostProcessor::landing_pad(u64 address) {
  // MOV dword [control.rip_out], address; JMP [control.exit]
  std::array<u8, pad_size> code = {0xc7, 0x04, 0x25, 0x88, 0x01, 0x00, 0x10, 0,    0,
                                   0,    0,    0xff, 0x24, 0x25, 0x98, 0x00, 0x00, 0x10};
  std::memcpy(code.data() + 7, &address, 4);
  return code;
}

u8* HostProcessor::at(u64 address) { return reinterpret_cast<u8*>(address); }  // NOLINT(performance-no-int-to-ptr)

}  // namespace bunshin::oracle
