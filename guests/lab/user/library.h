#pragma once

// What programs share: system calls by name, text, numbers, options.

#include "guests/lab/call_numbers.h"
#include "guests/lab/layout.h"

extern "C" guest::uptr system_call(lab::Call number, guest::uptr a, guest::uptr b, guest::uptr c);

namespace user {

using guest::u32;
using guest::u64;
using lab::Call;
using lab::word;

constexpr word refused = ~word{0};

inline word call(Call number, word a = 0, word b = 0, word c = 0) { return system_call(number, a, b, c); }
template <class T>
word address(T* object) {
  return reinterpret_cast<word>(object);
}

inline word fork() { return call(Call::Fork); }
[[noreturn]] inline void exit(int status) {
  call(Call::Exit, static_cast<word>(status));
  __builtin_unreachable();
}
/// The child's exit status; -1 if there is no such child.
inline int wait_for(word child) {
  int status = -1;
  return call(Call::Wait, child, address(&status)) == refused ? -1 : status;
}
/// Runs `program` in a child and waits; -1: no such program.
int run(const char* program, const char* arguments);

unsigned length(const char* text);
bool equal(const char* a, const char* b);
bool starts_with(const char* text, const char* beginning);
const char* skip_spaces(const char* text);
/// Copies the word at the beginning of `text`, cut off where it does not fit; what comes after it.
const char* take_word(const char* text, char* to, unsigned bytes);
/// The value of "name=VALUE" (with K, M or G after it) among the words of `text`.
word option(const char* text, const char* name, word otherwise);

void print_one(char c);
void print_one(const char* text);
void print_one(u64 value);
void print_one(u32 value);
inline void print_one(int value) { print_one(static_cast<u32>(value)); }
/// One system call for the whole line.
void flush();
template <class... Parts>
void print(const Parts&... parts) {
  (print_one(parts), ...);
  flush();
}

/// `main` gets its name and arguments as one text.
struct Program {
  const char* name;
  int (*main)(const char* arguments);
};

}  // namespace user
