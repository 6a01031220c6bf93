#include "guests/lab/system_calls.h"

#include "guests/lab/files.h"
#include "guests/lab/frames.h"
#include "guests/lab/power.h"
#include "guests/lab/terminal.h"
#include "guests/lab/timer.h"
#include "guests/runtime/segments.h"

extern "C" {
void system_call_entry();
void handle_system_call(guest::Frame* frame);
}

namespace lab {

namespace {

constexpr word refused = ~word{0};
constexpr unsigned interrupt_vector = 0x80;
constexpr u32 msr_star = 0xc000'0081, msr_lstar = 0xc000'0082, msr_fmask = 0xc000'0084;
constexpr word flags_to_clear = 0x4'7700;  // AC, NT, IOPL, DF, IF, TF
constexpr unsigned name_bytes = 32;

/// A program's argument that points to its own memory. The kernel reads and writes through it: faults are the program's.
bool in_user_memory(word address, word bytes) {
  return address >= user_begin && address < user_end && bytes <= user_end - address;
}

/// A zero-terminated text of the program's, cut off where it does not fit.
template <unsigned bytes>
class UserText {
 public:
  explicit UserText(word address) {
    unsigned i = 0;
    while (i + 1 < bytes && in_user_memory(address + i, 1) && at(address + i) != 0) text_[i] = at(address + i), ++i;
    text_[i] = 0;
  }
  operator const char*() const { return text_; }

 private:
  static char at(word address) { return *reinterpret_cast<const char*>(address); }
  char text_[bytes];
};

char* text(word address) { return reinterpret_cast<char*>(address); }

word give_text(const char* from, word to, word bytes) {
  if (from == nullptr || bytes == 0 || !in_user_memory(to, bytes)) return refused;
  word i = 0;
  for (; i + 1 < bytes && from[i] != 0; ++i) text(to)[i] = from[i];
  text(to)[i] = 0;
  return i;
}

word write_console(word from, word bytes) {
  if (!in_user_memory(from, bytes)) return refused;
  for (word i = 0; i < bytes; ++i) guest::write(text(from)[i]);
  return bytes;
}

word sleep(word count) {
  current().wake_tick = ticks() + count;
  block(Process::State::Sleeping);
  return 0;
}

word wait(word number, word status_at) {
  if (!in_user_memory(status_at, sizeof(int))) return refused;
  int status = 0;
  const word result = wait_for(number, status);
  if (result != refused) *reinterpret_cast<int*>(status_at) = status;
  return result;
}

word unmap(word begin, word end) {
  if (begin < heap_begin || end > heap_end || begin % page_bytes != 0) return refused;
  current().space.unmap(begin, end);
  return 0;
}

word map_large(word bytes) {
  if (bytes == 0 || bytes > large_end - large_begin) return refused;
  for (word at = large_begin; at < large_begin + bytes; at += large_bytes) {
    if (!current().space.map_large(at)) return refused;
  }
  return large_begin;
}

word kernel_loop(word loop, word count, word cycles_at) {
  if (!in_user_memory(cycles_at, sizeof(u64))) return refused;
  *reinterpret_cast<u64*>(cycles_at) = run_kernel_loop(static_cast<KernelLoop>(loop), count);
  return 0;
}

word serve(Frame& frame) {
  const word a = frame.rdi, b = frame.rsi, c = frame.rdx;
  switch (static_cast<Call>(frame.rax)) {
    case Call::Nothing: return 0;
    case Call::Exit: end_current(static_cast<int>(a));
    case Call::Fork: return fork(frame);
    case Call::Execute:
      return execute(UserText<name_bytes>(a), UserText<argument_bytes>(b), frame) ? frame.rax : refused;
    case Call::Wait: return wait(a, b);
    case Call::Write: return write_console(a, b);
    case Call::Read: return in_user_memory(a, b) && b != 0 ? read_terminal(text(a), b) : refused;
    case Call::ProcessNumber: return current().number;
    case Call::Yield: schedule(); return 0;
    case Call::Sleep: return sleep(a);
    case Call::Ticks: return ticks();
    case Call::Arguments: return give_text(current().arguments, a, b);
    case Call::ReadFile:
      return in_user_memory(b, c) ? static_cast<word>(read_file(UserText<name_bytes>(a), text(b), static_cast<u32>(c)))
                                  : refused;
    case Call::WriteFile:
      return in_user_memory(b, c) && write_file(UserText<name_bytes>(a), text(b), static_cast<u32>(c)) ? c : refused;
    case Call::FileName: return give_text(file_name(static_cast<unsigned>(a)), b, c);
    case Call::Unmap: return unmap(a, b);
    case Call::MapLarge: return map_large(a);
    case Call::OnDivideError: current().divide_handler = a; return 0;
    case Call::FreePages: return free_frames();
    case Call::KernelLoop: return kernel_loop(a, b, c);
    case Call::Sensitive: return check_sensitive_instructions();
    case Call::Misbehave: misbehave(static_cast<Misbehaviour>(a));
    case Call::PowerOff: power_off(static_cast<u32>(a));
  }
  return refused;
}

void serve_interrupt(Frame& frame) { frame.rax = serve(frame); }

}  // namespace

void initialize_system_calls() {
  guest::set_handler(interrupt_vector, serve_interrupt);
  guest::set_gate_privilege(interrupt_vector, 3);
  if constexpr (long_mode) {
    guest::write_msr(msr_star, u64{guest::user_code32_selector} << 48 | u64{guest::code_selector} << 32);
    guest::write_msr(msr_lstar, reinterpret_cast<word>(system_call_entry));
    guest::write_msr(msr_fmask, flags_to_clear);
  }
}

}  // namespace lab

void handle_system_call(guest::Frame* frame) { lab::serve_interrupt(*frame); }
