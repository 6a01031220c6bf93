#include "tests/core/oracle_host.h"

#include <asm/ldt.h>
#include <cpuid.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "base/address.h"
#include "tests/core/oracle_segments.h"

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
  u64 start;  ///< the trampoline's last jump: near, or far by `far_code`
  u32 far_code;
  u32 far_selector;
  std::array<u16, 6> selectors_in;
  u32 abilities;  ///< 1: XSAVE with YMM; 2: RDFSBASE
  u64 fs_in, gs_in;
  alignas(256) std::array<u64, 16> out;
  u64 flags_out;
  u64 rip_out;
  std::array<u16, 6> selectors_out;
  u32 reserved;
  u64 fs_out, gs_out;
  u64 host_fs, host_gs;
  alignas(512) FxImage fx_in;
  alignas(512) FxImage fx_out;
};
static_assert(offsetof(Control, code) == 0x88 && offsetof(Control, exit) == 0x98 && offsetof(Control, start) == 0xc8 &&
              offsetof(Control, far_code) == 0xd0 && offsetof(Control, selectors_in) == 0xd8 &&
              offsetof(Control, abilities) == 0xe4 && offsetof(Control, fs_in) == 0xe8 &&
              offsetof(Control, out) == 0x100 && offsetof(Control, rip_out) == 0x188 &&
              offsetof(Control, selectors_out) == 0x190 && offsetof(Control, fs_out) == 0x1a0 &&
              offsetof(Control, host_fs) == 0x1b0 && offsetof(Control, fx_in) == 0x200 &&
              offsetof(Control, fx_out) == 0x600 && sizeof(Control) <= page_size);
constexpr u32 ability_ymm = 1, ability_bases = 2;

Control& control() { return *reinterpret_cast<Control*>(control_block); }  // NOLINT(performance-no-int-to-ptr)

extern "C" void oracle_enter();
extern "C" void oracle_start_near();
extern "C" void oracle_start_far();
extern "C" void oracle_exit();
extern "C" void oracle_leave();
extern "C" void oracle_signal(int, siginfo_t*, void*);
extern "C" void oracle_on_signal(int, siginfo_t*, void*);

// All addresses are absolute, so no register is needed to find them. A signal arrives with the segment registers, their
// bases and the AC flag of the tested code.
asm(R"(
  .set CB, 0x5b3a6000
  .text
  .globl oracle_enter, oracle_start_near, oracle_start_far, oracle_exit, oracle_leave, oracle_signal
oracle_enter:
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, CB+0x90
  testl $1, CB+0xe4
  jz 1f
  mov $7, %eax
  xor %edx, %edx
  xrstor64 CB+0x200
  jmp 2f
1:
  fxrstor64 CB+0x200
2:
  mov CB+0xd8, %es
  mov CB+0xdc, %ss
  mov CB+0xde, %ds
  testl $2, CB+0xe4
  jz 3f
  mov CB+0xe0, %fs
  mov CB+0xe2, %gs
  mov CB+0xe8, %rax
  wrfsbase %rax
  mov CB+0xf0, %rax
  wrgsbase %rax
3:
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
  jmp *CB+0xc8
oracle_start_near:
  jmp *CB+0x88
oracle_start_far:
  ljmp *CB+0xd0
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
  mov %es, CB+0x190
  mov %ss, CB+0x194
  mov %ds, CB+0x196
  mov %fs, CB+0x198
  mov %gs, CB+0x19a
  testl $2, CB+0xe4
  jz 1f
  rdfsbase %rax
  mov %rax, CB+0x1a0
  rdgsbase %rax
  mov %rax, CB+0x1a8
1:
  testl $1, CB+0xe4
  jz 2f
  mov $7, %eax
  xor %edx, %edx
  xsave64 CB+0x600
  jmp oracle_leave
2:
  fxsave64 CB+0x600
oracle_leave:
  mov CB+0x90, %rsp
  pushq $0x202
  popfq
  fninit
  ldmxcsr CB+0xa0
  mov $0x2b, %eax
  mov %eax, %ss
  xor %eax, %eax
  mov %eax, %ds
  mov %eax, %es
  testl $1, CB+0xe4
  jz 1f
  vzeroupper
1:
  testl $2, CB+0xe4
  jz 2f
  mov %eax, %fs
  mov %eax, %gs
  mov CB+0x1b0, %rax
  wrfsbase %rax
  mov CB+0x1b8, %rax
  wrgsbase %rax
2:
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  ret
oracle_signal:
  pushfq
  andl $0xfffbffff, (%rsp)
  popfq
  mov %es, CB+0x190
  mov %ds, CB+0x196
  mov %fs, CB+0x198
  mov %gs, CB+0x19a
  testl $2, CB+0xe4
  jz 1f
  rdfsbase %rax
  mov %rax, CB+0x1a0
  rdgsbase %rax
  mov %rax, CB+0x1a8
  mov CB+0x1b0, %rax
  wrfsbase %rax
  mov CB+0x1b8, %rax
  wrgsbase %rax
1:
  jmp oracle_on_signal
)");

constexpr int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
constexpr std::size_t signal_stack_size = 64 * 1024;

/// Components in their initial state need not have been stored (SDM vol. 1, 13.6).
void complete(FxImage& fx) {
  const u64 in_use = fx.get<u64>(FxImage::in_use);
  const auto clear = [&fx](unsigned from, unsigned size) { std::memset(fx.bytes.data() + from, 0, size); };
  if ((in_use & 4) == 0) clear(FxImage::upper0, 256);
  if ((in_use & 2) == 0) clear(FxImage::xmm0, 256);
  if ((in_use & 1) != 0) return;
  clear(FxImage::st0, 128);
  clear(FxImage::control, 24);
  fx.set<u16>(FxImage::control, 0x37f);
}

/// What the kernel has saved on the signal's stack (asm/sigcontext.h).
void take_vectors(const void* saved, FxImage& out) {
  constexpr unsigned magic_at = 464, legacy_size = 512;
  u32 magic = 0;
  std::memcpy(&magic, static_cast<const u8*>(saved) + magic_at, sizeof magic);
  const bool extended = (control().abilities & ability_ymm) != 0 && magic == 0x46505853;
  std::memcpy(out.bytes.data(), saved, extended ? FxImage::size : legacy_size);
  if (extended) complete(out);
}

/// Hands the interrupted registers to run() and makes the signal return into oracle_leave.
void oracle_on_signal(int number, siginfo_t*, void* context) {
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
  const auto code_and_stack = static_cast<u64>(g[REG_CSGSFS]);
  c.selectors_out[static_cast<unsigned>(Seg::CS)] = static_cast<u16>(code_and_stack);
  c.selectors_out[static_cast<unsigned>(Seg::SS)] = static_cast<u16>(code_and_stack >> 48);
  take_vectors(u->uc_mcontext.fpregs, c.fx_out);
  c.trapped = 1;
  c.vector = static_cast<u64>(g[REG_TRAPNO]);
  c.error_code = static_cast<u64>(g[REG_ERR]);
  c.address = static_cast<u64>(g[REG_CR2]);
  g[REG_RIP] = reinterpret_cast<greg_t>(&oracle_leave);
  g[REG_RSP] = static_cast<greg_t>(c.host_rsp);
  g[REG_EFL] = 0x202;
  g[REG_CSGSFS] = static_cast<greg_t>(code64_selector | u64{data_selector} << 48);
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

/// XCR0 has it, and its place is the one of every processor so far.
bool find_ymm() {
  u32 a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0 || (c & bit_AVX) == 0) return false;
  u32 low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & FxImage::components) != FxImage::components) return false;
  return __get_cpuid_count(13, 2, &a, &b, &c, &d) != 0 && a == 256 && b == FxImage::upper0;
}

bool install_local_segments() {
  for (unsigned i = 0; i < local_segments.size(); ++i) {
    const LocalSegment& s = local_segments[i];
    user_desc d{};
    d.entry_number = i;
    d.base_addr = s.base;
    d.limit = s.limit;
    d.seg_32bit = s.big;
    d.contents = s.contents & 3u;
    d.read_exec_only = s.execute_only_or_read_only;
    d.limit_in_pages = s.pages;
    d.seg_not_present = s.not_present;
    constexpr int write_new_form = 0x11;
    if (syscall(SYS_modify_ldt, write_new_form, &d, sizeof d) != 0) return false;
  }
  return true;
}

/// LAR tells the same of the host's GDT as of ours.
bool gdt_is_as_expected() {
  for (unsigned i = 1; i < gdt_image.size() - 1; ++i) {
    const u32 selector = i << 3 | 3;
    u32 rights = 0;
    bool visible = false;
    asm("lar %2, %0" : "+r"(rights), "=@ccz"(visible) : "r"(selector));
    const bool expected = (gdt_image[i] >> 45 & 3) == 3;
    if (visible != expected) return false;
    if (visible && ((gdt_image[i] >> 32 ^ rights) & 0xf0ff00) != 0) return false;
  }
  return true;
}

}  // namespace

HostProcessor::HostProcessor() {
  map(data_begin, data_end, PROT_READ | PROT_WRITE);
  map(data_end, read_only_end, PROT_READ);
  map(code_begin, code_end, PROT_READ | PROT_WRITE | PROT_EXEC);
  map(control_block, control_block + page_size, PROT_READ | PROT_WRITE);
  map(return_gate, return_gate + page_size, PROT_READ | PROT_WRITE | PROT_EXEC);
  control().default_mxcsr = 0x1f80;
  control().exit = reinterpret_cast<u64>(&oracle_exit);
  const auto gate = quiet_pad(CodeKind::Long);
  std::memcpy(at(return_gate), gate.data(), gate.size());
  stack_t stack{};
  stack.ss_sp = signal_stack().data();
  stack.ss_size = signal_stack_size;
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = oracle_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (const int number : signals) sigaction(number, &action, nullptr);
  find_abilities();
}

void HostProcessor::find_abilities() {
  constexpr u64 hwcap2_fsgsbase = 2;
  ymm_ = find_ymm();
  bases_ = (getauxval(AT_HWCAP2) & hwcap2_fsgsbase) != 0;
  ldt_ = install_local_segments();
  gdt_ = gdt_is_as_expected();
  Control& c = control();
  if (bases_) {
    asm volatile("rdfsbase %0" : "=r"(c.host_fs));
    asm volatile("rdgsbase %0" : "=r"(c.host_gs));
  }
  c.abilities = (ymm_ ? ability_ymm : 0) | (bases_ ? ability_bases : 0);
  Registers r;
  r.gpr[RSP] = data_begin + page_size;
  r.fx.set<u16>(FxImage::control, 0x37f);
  r.fx.set<u32>(FxImage::mxcsr, 0x1f80);
  r.selectors = {data_selector, 0, data_selector, data_selector, 0, 0};
  const auto pad = quiet_pad(CodeKind::Compatibility);
  std::memcpy(at(code_begin), pad.data(), pad.size());
  compatibility_ = !run(CodeKind::Compatibility, r, code_begin, code_begin).trap;
}

HostProcessor::~HostProcessor() {
  for (const int number : signals) signal(number, SIG_DFL);
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  sigaltstack(&none, nullptr);
  munmap(at(data_begin), read_only_end - data_begin);
  munmap(at(code_begin), code_end - code_begin);
  munmap(at(control_block), page_size);
  munmap(at(return_gate), page_size);
}

Outcome HostProcessor::run(CodeKind kind, const Registers& registers, u64 rip, u64 successor) {
  Control& c = control();
  const bool near = kind == CodeKind::Long;
  c.in = registers.gpr;
  c.flags_in = registers.flags;
  c.fx_in = registers.fx;
  c.fx_in.set<u64>(FxImage::in_use, FxImage::components);
  c.selectors_in = registers.selectors;
  c.fs_in = registers.fs_base;
  c.gs_in = registers.gs_base;
  c.start = reinterpret_cast<u64>(near ? &oracle_start_near : &oracle_start_far);
  c.code = rip;
  c.far_code = static_cast<u32>(rip - code_base(kind));
  c.far_selector = code_selector_of(kind);
  c.trapped = 0;
  c.rip_out = successor;
  c.selectors_out[static_cast<unsigned>(Seg::CS)] = code_selector_of(kind);
  c.active = 1;
  oracle_enter();
  c.active = 0;
  if (c.trapped == 0 && (c.abilities & ability_ymm) != 0) complete(c.fx_out);
  Outcome outcome;
  outcome.registers = {c.out, c.flags_out, c.fx_out, c.selectors_out, c.fs_out, c.gs_out};
  outcome.rip = c.rip_out;
  if (c.trapped != 0 && c.selectors_out[static_cast<unsigned>(Seg::CS)] == code16_selector)
    outcome.rip += code_base(kind);
  if (c.trapped != 0) outcome.trap = Trap{static_cast<u8>(c.vector), c.error_code, c.address};
  return outcome;
}

namespace {

/// Code as it grows.
template <std::size_t size>
class Code {
 public:
  Code& bytes(std::initializer_list<u8> b) {
    std::copy(b.begin(), b.end(), code_.begin() + at_);
    at_ += b.size();
    return *this;
  }
  Code& dword(u64 v) {
    std::memcpy(code_.data() + at_, &v, 4);
    at_ += 4;
    return *this;
  }
  const std::array<u8, size>& done() const { return code_; }

 private:
  std::array<u8, size> code_{};
  std::size_t at_ = 0;
};

}  // namespace

std::array<u8, HostProcessor::quiet_pad_size> HostProcessor::quiet_pad(CodeKind kind) {
  // JMP [control.exit], or JMP far to the gate that does that.
  Code<quiet_pad_size> code;
  if (kind == CodeKind::Long)
    return code.bytes({0xff, 0x24, 0x25}).dword(control_block + offsetof(Control, exit)).done();
  if (kind == CodeKind::Compatibility16) code.bytes({0x66});
  return code.bytes({0xea}).dword(return_gate).bytes({code64_selector, 0}).done();
}

std::array<u8, HostProcessor::pad_size> HostProcessor::landing_pad(CodeKind kind, u64 address) {
  // MOV [control.selectors_out], CS; MOV dword [control.rip_out], address. In 32-bit code SS is the one flat segment.
  constexpr u64 selector = control_block + offsetof(Control, selectors_out) + 2;
  constexpr u64 rip = control_block + offsetof(Control, rip_out);
  Code<pad_size> code;
  if (kind == CodeKind::Long)
    code.bytes({0x8c, 0x0c, 0x25}).dword(selector).bytes({0xc7, 0x04, 0x25}).dword(rip).dword(address);
  else
    code.bytes({0x36, 0x8c, 0x0d}).dword(selector).bytes({0x36, 0xc7, 0x05}).dword(rip).dword(address);
  auto pad = code.done();
  const auto end = quiet_pad(kind);
  std::copy(end.begin(), end.end(), pad.begin() + (pad_size - quiet_pad_size));
  return pad;
}

u8* HostProcessor::at(u64 address) { return reinterpret_cast<u8*>(address); }  // NOLINT(performance-no-int-to-ptr)

}  // namespace bunshin::oracle
