// Nanobenchmarks as Adams and Agesen define them (A Comparison of Software and Hardware Techniques for x86 Virtualization,
// ASPLOS'06, section 6.3), and a few more: cycles for one operation, the loop around it subtracted (docs/lab_kernel.md).

#include "guests/lab/user/bench.h"

#include "guests/lab/user/library.h"
#include "guests/lab/user/programs.h"
#include "guests/runtime/bunshin_mark.h"

extern "C" {
void empty_loop(guest::uptr count);
void system_call_loop(guest::uptr count);
void call_loop(guest::uptr count);
void divide_loop(guest::uptr count);
extern char after_divide_error[];
}

namespace user {

namespace {

using lab::KernelLoop;

template <class Loop>
u64 cycles(Loop loop, word count) {
  const u64 begin = guest::read_tsc();
  loop(count);
  return guest::read_tsc() - begin;
}

Timing system_calls(word count) { return {cycles(system_call_loop, count), cycles(empty_loop, count)}; }
Timing calls(word count) { return {cycles(call_loop, count), cycles(empty_loop, count)}; }

Timing divisions(word count) {
  call(Call::OnDivideError, address(after_divide_error));
  return {cycles(divide_loop, count), cycles(empty_loop, count)};
}

u64 kernel_cycles(KernelLoop loop, word count) {
  u64 result = 0;
  call(Call::KernelLoop, static_cast<word>(loop), count, address(&result));
  return result;
}

template <KernelLoop loop>
Timing kernel_loop(word count) {
  return {kernel_cycles(loop, count), kernel_cycles(KernelLoop::Empty, count)};
}

volatile char& byte_at(word linear) { return *reinterpret_cast<volatile char*>(linear); }

/// The kernel changes the first page's entry between the frames of two pages.
Timing modifications(word count) {
  byte_at(lab::heap_begin) = 1;
  byte_at(lab::heap_begin + lab::page_bytes) = 1;
  // Two in each turn of the loop.
  const Timing result{kernel_cycles(KernelLoop::ModifyEntry, count), kernel_cycles(KernelLoop::Empty, (count + 1) / 2)};
  call(Call::Unmap, lab::heap_begin, lab::heap_begin + 2 * lab::page_bytes);
  return result;
}

/// Reads a page that is not there: the kernel maps the page of zeros. Only its tables exist already.
Timing page_faults(word count) {
  constexpr word chunk = 256;
  const auto touch = [](word pages, word stride) {
    for (word i = 0; i < pages; ++i) asm volatile("" : : "q"(byte_at(lab::heap_begin + i * stride)));
  };
  Timing sum{0, 0};
  for (word done = 0; done < count; done += chunk) {
    const word pages = count - done < chunk ? count - done : chunk;
    sum.loop += cycles([&](word n) { touch(n, lab::page_bytes); }, pages);
    call(Call::Unmap, lab::heap_begin, lab::heap_begin + pages * lab::page_bytes);
    touch(1, 0);
    sum.overhead += cycles([&](word n) { touch(n, 0); }, pages);
    call(Call::Unmap, lab::heap_begin, lab::heap_begin + lab::page_bytes);
  }
  return sum;
}

void fork_and_wait(word count) {
  for (word i = 0; i < count; ++i) {
    const word child = fork();
    if (child == 0) exit(0);
    wait_for(child);
  }
}

Timing forks(word count) { return {cycles(fork_and_wait, count), 0}; }

void yield(word count) {
  for (word i = 0; i < count; ++i) call(Call::Yield);
}

/// From one process to another: two give way to each other in turn. Half the way there and back, system call included.
Timing switches(word count) {
  const word turns = count / 2;
  const word child = fork();
  if (child == 0) {
    yield(turns + 1);
    exit(0);
  }
  const u64 taken = cycles(yield, turns);
  wait_for(child);
  return {taken, cycles(empty_loop, turns)};
}

struct Bench {
  const char* name;
  Timing (*run)(word count);
  word count;
};

constexpr Bench benches[] = {
    {"syscall", system_calls, 10000},
    {"in", kernel_loop<KernelLoop::In>, 1000},
    {"cr8wr", kernel_loop<KernelLoop::WriteCr8>, 10000},
    {"callret", calls, 10000},
    {"pgfault", page_faults, 2048},
    {"divzero", divisions, 4000},
    {"ptemod", modifications, 4000},
    {"forkwait", forks, 200},
    {"switch", switches, 4000},
};

void run_bench(const Bench& bench, word count) {
  if (count < 2) count = 2;
  bench.run(count < 256 ? 2 : 256);  // warms caches and predictors
  bunshin_begin(1);
  const Timing timing = bench.run(count);
  bunshin_end(1);
  report(bench.name, timing, count);
}

}  // namespace

void report(const char* name, const Timing& timing, word count) {
  if (timing.loop == 0) return print("lab: bench ", name, " none\n");
  const u64 taken = timing.loop > timing.overhead ? timing.loop - timing.overhead : 0;
  const u64 hundredths = guest::divide(taken * 100, static_cast<u32>(count));
  u32 fraction;
  const u64 whole = guest::divide(hundredths, 100, &fraction);
  print("lab: bench ", name, " ", whole, fraction < 10 ? ".0" : ".", fraction, " cycles\n");
}

int single_bench(const char* arguments) {
  char name[16];
  take_word(arguments, name, sizeof(name));
  for (const Bench& bench : benches) {
    if (equal(bench.name, name)) run_bench(bench, option(arguments, "count", bench.count));
  }
  for (const Walk& walk : walks) {
    if (equal(walk.name, name)) run_walk(walk, arguments);
  }
  return 0;
}

int bench(const char* arguments) {
  for (const Bench& one : benches) run_bench(one, option(arguments, "count", one.count));
  for (const Walk& walk : walks) run_walk(walk, arguments);
  return 0;
}

}  // namespace user
