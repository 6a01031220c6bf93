#include "guests/lab/process.h"

#include "guests/lab/terminal.h"
#include "guests/lab/user_image.h"
#include "guests/runtime/segments.h"

extern "C" {
/// entry64.S and entry32.S: saves the caller's registers and stack pointer and goes on where another caller left off.
void switch_stacks(guest::uptr* save, guest::uptr load);
void return_from_interrupt();
/// The stack of the process that runs, for SYSCALL, which does not load one.
guest::uptr system_call_stack = 0;
}

namespace lab {

namespace {

constexpr word kernel_stack_bytes = 8192, refused = ~word{0};
/// What switch_stacks() keeps on the stack: RBX, RBP and the registers R12 to R15, or ESI and EDI.
constexpr unsigned saved_registers = long_mode ? 6 : 4;
constexpr word user_flags = 0x202;  // interrupts on

Process processes[max_processes];
alignas(16) u8 stacks[max_processes][kernel_stack_bytes];
Process* running = nullptr;
word last_number = 0;

word stack_top(const Process& process) {
  return reinterpret_cast<word>(stacks[&process - processes]) + kernel_stack_bytes;
}

void copy_text(char* to, const char* from, unsigned bytes) {
  unsigned i = 0;
  for (; i + 1 < bytes && from[i] != 0; ++i) to[i] = from[i];
  to[i] = 0;
}

Process* free_process() {
  for (Process& process : processes) {
    if (process.state == Process::State::Free) return &process;
  }
  return nullptr;
}

/// The next in turn after the one that runs, itself last.
Process* next_ready() {
  const unsigned at = static_cast<unsigned>(running - processes);
  for (unsigned i = 1; i <= max_processes; ++i) {
    Process& process = processes[(at + i) % max_processes];
    if (process.state == Process::State::Ready) return &process;
  }
  return nullptr;
}

/// A stack on which switch_stacks() finds the way out to user mode as `frame` has it.
void prepare_stack(Process& process, const Frame& frame) {
  word at = stack_top(process) - sizeof(Frame);
  *reinterpret_cast<Frame*>(at) = frame;
  at -= sizeof(word);
  *reinterpret_cast<word*>(at) = reinterpret_cast<word>(return_from_interrupt);
  process.stack_pointer = at - saved_registers * sizeof(word);
}

void enter(Process& process) {
  running = &process;
  system_call_stack = stack_top(process);
  guest::set_kernel_stack(stack_top(process));
  process.space.activate();
}

/// Orphans end without anybody waiting for them.
void leave_children(const Process& process) {
  for (Process& child : processes) {
    if (child.state == Process::State::Free || child.parent != &process) continue;
    child.parent = nullptr;
    if (child.state == Process::State::Ended) child.state = Process::State::Free;
  }
}

/// A template because a 64-bit frame has no such members: there data segments are not looked at.
template <class AnyFrame>
void set_data_segments(AnyFrame& frame) {
  if constexpr (!long_mode) frame.ds = frame.es = guest::user_data_selector;
}

Frame first_frame(int program) {
  Frame frame{};
  set_data_segments(frame);
  frame.rdi = static_cast<word>(program);
  frame.rip = program_entry();
  frame.cs = long_mode ? guest::user_code_selector : guest::user_code32_selector;
  frame.rflags = user_flags;
  frame.rsp = user_end - 16;
  frame.ss = guest::user_data_selector;
  return frame;
}

/// The name and the arguments with a space between.
void set_arguments(Process& process, const char* name, const char* arguments) {
  copy_text(process.arguments, name, argument_bytes);
  unsigned used = 0;
  while (process.arguments[used] != 0) ++used;
  if (arguments[0] == 0 || used + 2 >= argument_bytes) return;
  process.arguments[used++] = ' ';
  copy_text(process.arguments + used, arguments, argument_bytes - used);
}

}  // namespace

Process& current() { return *running; }

void run_first(const char* program, const char* arguments) {
  Process& process = processes[0];
  process.state = Process::State::Ready;
  process.number = ++last_number;
  set_arguments(process, program, arguments);
  const int number = find_program(program);
  if (number < 0 || !process.space.create()) panic("no first program");
  prepare_stack(process, first_frame(number));
  enter(process);
  word boot_stack;
  switch_stacks(&boot_stack, process.stack_pointer);
  __builtin_unreachable();
}

void schedule() {
  Process* next = next_ready();
  while (next == nullptr) {
    guest::wait_for_interrupt();
    next = next_ready();
  }
  if (next == running) return;
  Process& previous = *running;
  enter(*next);
  switch_stacks(&previous.stack_pointer, next->stack_pointer);
}

void block(Process::State reason) {
  running->state = reason;
  schedule();
}

void wake(Process::State reason) {
  for (Process& process : processes) {
    if (process.state == reason) process.state = Process::State::Ready;
  }
}

void wake_sleepers(word tick) {
  for (Process& process : processes) {
    if (process.state == Process::State::Sleeping && process.wake_tick <= tick) process.state = Process::State::Ready;
  }
}

word fork(const Frame& frame) {
  Process* const child = free_process();
  if (child == nullptr) return refused;
  child->space = AddressSpace{};
  if (!child->space.copy_from(running->space)) {
    child->space.destroy();
    return refused;
  }
  child->state = Process::State::Ready;
  child->number = ++last_number;
  child->parent = running;
  child->divide_handler = running->divide_handler;
  copy_text(child->arguments, running->arguments, argument_bytes);
  Frame copy = frame;
  copy.rax = 0;
  prepare_stack(*child, copy);
  return child->number;
}

bool execute(const char* name, const char* arguments, Frame& frame) {
  const int program = find_program(name);
  AddressSpace space;
  if (program < 0) return false;
  if (!space.create()) {
    space.destroy();
    return false;
  }
  AddressSpace old = running->space;
  running->space = space;
  running->space.activate();
  old.destroy();
  running->divide_handler = 0;
  set_arguments(*running, name, arguments);
  frame = first_frame(program);
  return true;
}

word wait_for(word number, int& status) {
  while (true) {
    Process* child = nullptr;
    for (Process& process : processes) {
      if (process.state != Process::State::Free && process.parent == running && process.number == number)
        child = &process;
    }
    if (child == nullptr) return refused;
    if (child->state == Process::State::Ended) {
      status = child->status;
      child->state = Process::State::Free;
      return number;
    }
    block(Process::State::WaitingForChild);
  }
}

void end_current(int status) {
  AddressSpace::activate_kernel();
  running->space.destroy();
  running->status = status;
  leave_children(*running);
  Process* const parent = running->parent;
  running->state = parent != nullptr ? Process::State::Ended : Process::State::Free;
  if (parent != nullptr && parent->state == Process::State::WaitingForChild) parent->state = Process::State::Ready;
  schedule();
  __builtin_unreachable();
}

}  // namespace lab
