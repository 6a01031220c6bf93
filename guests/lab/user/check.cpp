// Whether the kernel does what it says: one line for each.

#include "guests/lab/user/library.h"
#include "guests/lab/user/programs.h"

namespace user {

namespace {

constexpr word page = lab::page_bytes;
constexpr int killed_by_page_fault = 128 + 14, killed_by_divide_error = 128, killed_by_protection = 128 + 13;

volatile word in_data = 1, in_zeros;

volatile word& word_at(word linear) { return *reinterpret_cast<volatile word*>(linear); }

/// The exit status of a child that runs `body`.
template <class Body>
int in_child(Body body) {
  const word child = fork();
  if (child == 0) exit(body());
  return wait_for(child);
}

bool child_has_its_own_number() {
  const word parent = call(Call::ProcessNumber);
  return in_child([&] { return call(Call::ProcessNumber) != parent ? 7 : 0; }) == 7;
}

bool writes_of_a_child_stay_its_own() {
  in_data = 1;
  in_zeros = 2;
  const int status = in_child([] {
    const bool inherited = in_data == 1 && in_zeros == 2;
    in_data = 3;
    in_zeros = 4;
    return inherited && in_data == 3 && in_zeros == 4 ? 0 : 1;
  });
  return status == 0 && in_data == 1 && in_zeros == 2;
}

bool writes_of_a_parent_stay_its_own() {
  in_data = 1;
  const word child = fork();
  if (child == 0) {
    call(Call::Yield);
    exit(in_data == 1 ? 0 : 1);
  }
  in_data = 5;
  return wait_for(child) == 0 && in_data == 5;
}

bool heap_is_zero_and_keeps_what_is_written() {
  bool good = true;
  for (word i = 0; i < 64; ++i) good = good && word_at(lab::heap_begin + i * page) == 0;
  for (word i = 0; i < 64; ++i) word_at(lab::heap_begin + i * page) = i + 1;
  for (word i = 0; i < 64; ++i) good = good && word_at(lab::heap_begin + i * page) == i + 1;
  call(Call::Unmap, lab::heap_begin, lab::heap_begin + 64 * page);
  return good && word_at(lab::heap_begin) == 0;
}

bool memory_comes_back() {
  const word before = call(Call::FreePages);
  in_child([] {
    for (word i = 0; i < 64; ++i) word_at(lab::heap_begin + i * page) = 1;
    return 0;
  });
  return call(Call::FreePages) == before;
}

bool large_pages_are_memory() {
  return in_child([] {
           const word at = call(Call::MapLarge, lab::large_bytes);
           if (at == refused) return 1;
           word_at(at) = 1;
           word_at(at + lab::large_bytes - sizeof(word)) = 2;
           return word_at(at) == 1 && word_at(at + lab::large_bytes - sizeof(word)) == 2 ? 0 : 1;
         }) == 0;
}

int touch(word linear) {
  word_at(linear) = 1;
  return 0;
}

bool kernel_memory_is_closed() {
  return in_child([] { return touch(0x10'0000); }) == killed_by_page_fault;
}
bool text_is_not_writable() {
  return in_child([] { return touch(lab::image_begin); }) == killed_by_page_fault;
}
bool nothing_is_at_the_end() {
  return in_child([] { return touch(lab::user_end); }) == killed_by_page_fault;
}

bool division_by_zero_kills() {
  return in_child([] {
           asm volatile("div %0" : : "r"(0), "a"(0), "d"(0) : "cc");
           return 0;
         }) == killed_by_divide_error;
}

bool privileged_instructions_kill() {
  return in_child([] {
           asm volatile("cli");
           return 0;
         }) == killed_by_protection;
}

bool bad_pointers_are_refused() {
  return call(Call::Write, 0x10'0000, 4) == refused && call(Call::Write, lab::user_end - 2, 4) == refused;
}

bool a_program_replaces_another() { return run("echo", "lab: a program with arguments") == 0; }

bool files_keep_what_is_written() {
  char data[8] = {};
  call(Call::WriteFile, address("check"), address("abc"), 3);
  return call(Call::ReadFile, address("check"), address(data), sizeof(data)) == 3 && equal(data, "abc") &&
         call(Call::ReadFile, address("no such"), address(data), sizeof(data)) == refused;
}

bool sleep_takes_its_time() {
  const word before = call(Call::Ticks);
  call(Call::Sleep, 2);
  return call(Call::Ticks) - before >= 2;
}

/// The parent never gives way: without a timer the child would not run.
bool the_timer_preempts() {
  const word begin = call(Call::Ticks);
  const word child = fork();
  if (child == 0) {
    call(Call::WriteFile, address("preempt"), address("x"), 1);
    exit(0);
  }
  char c = 0;
  while (call(Call::ReadFile, address("preempt"), address(&c), 1) == refused && call(Call::Ticks) - begin < 50) {}
  return wait_for(child) == 0 && c == 'x';
}

struct Check {
  const char* name;
  bool (*holds)();
};
constexpr Check checks[] = {
    {"a child has its own number", child_has_its_own_number},
    {"a child's writes stay its own", writes_of_a_child_stay_its_own},
    {"a parent's writes stay its own", writes_of_a_parent_stay_its_own},
    {"heap pages come as zeros", heap_is_zero_and_keeps_what_is_written},
    {"memory comes back", memory_comes_back},
    {"large pages", large_pages_are_memory},
    {"kernel memory is closed", kernel_memory_is_closed},
    {"text is read-only", text_is_not_writable},
    {"nothing beyond the end", nothing_is_at_the_end},
    {"division by zero", division_by_zero_kills},
    {"privileged instructions", privileged_instructions_kill},
    {"bad pointers", bad_pointers_are_refused},
    {"exec", a_program_replaces_another},
    {"files", files_keep_what_is_written},
    {"sleep", sleep_takes_its_time},
    {"preemption", the_timer_preempts},
};

}  // namespace

int check(const char*) {
  int failed = 0;
  for (const Check& c : checks) {
    const bool holds = c.holds();
    failed += holds ? 0 : 1;
    print("lab: check ", c.name, holds ? " ok\n" : " FAILED\n");
  }
  return failed;
}

}  // namespace user
