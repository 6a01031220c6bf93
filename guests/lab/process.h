#pragma once

// Processes, one running at a time. The kernel itself is not preempted: it runs with interrupts off and gives way in
// schedule() only.

#include "guests/lab/address_space.h"
#include "guests/runtime/interrupts.h"

namespace lab {

using guest::Frame;

constexpr unsigned max_processes = 32, argument_bytes = 128;
/// The exit status of a process that an exception killed: this and the vector.
constexpr int killed_status = 128;

struct Process {
  enum class State { Free, Ready, WaitingForChild, WaitingForInput, Sleeping, Ended };

  State state = State::Free;
  word number = 0;
  Process* parent = nullptr;
  AddressSpace space;
  /// Where switch_stacks() left off.
  word stack_pointer = 0;
  int status = 0;
  word wake_tick = 0;
  /// Where #DE goes on; 0: it kills.
  word divide_handler = 0;
  char arguments[argument_bytes] = {};
};

Process& current();

/// Starts the first process and never comes back.
[[noreturn]] void run_first(const char* program, const char* arguments);

/// Lets the next process run that can; comes back when it is the caller's turn again.
void schedule();
void block(Process::State reason);
/// Makes all that wait for this ready.
void wake(Process::State reason);
void wake_sleepers(word tick);

/// The system calls of the same names; -1 is refusal.
word fork(const Frame& frame);
bool execute(const char* name, const char* arguments, Frame& frame);
word wait_for(word number, int& status);
[[noreturn]] void end_current(int status);

}  // namespace lab
