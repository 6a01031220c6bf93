// What the compiler and the library's headers call: block operations, and the ends that must never be reached.

#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "vmm-model/bare/interrupts.h"

using bunshin::vmm::bare::fatal;

namespace {
using word = std::size_t;
/// A repeated string instruction takes longer to start than so many words take one by one.
constexpr std::size_t few = 16;
}  // namespace

extern "C" {

// Whole words first: processors without fast short strings move an element of any size in the same time.
void* memset(void* to, int value, std::size_t bytes) {
  void* at = to;
  std::size_t words = bytes / sizeof(word), rest = bytes % sizeof(word);
  const word pattern = ~word{0} / 0xff * static_cast<unsigned char>(value);
  if constexpr (sizeof(word) == 8) {
    asm volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(pattern) : "memory");
  } else {
    asm volatile("rep stosl" : "+D"(at), "+c"(words) : "a"(pattern) : "memory");
  }
  asm volatile("rep stosb" : "+D"(at), "+c"(rest) : "a"(pattern) : "memory");
  return to;
}

void* memcpy(void* to, const void* from, std::size_t bytes) {
  void* at = to;
  std::size_t words = bytes / sizeof(word), rest = bytes % sizeof(word);
  if (words <= few) {
    auto* target = static_cast<word*>(to);
    const auto* source = static_cast<const word*>(from);
    for (; words != 0; --words) *target++ = *source++;
    auto* last = reinterpret_cast<unsigned char*>(target);
    const auto* last_source = reinterpret_cast<const unsigned char*>(source);
    for (; rest != 0; --rest) *last++ = *last_source++;
    return to;
  }
  if constexpr (sizeof(word) == 8) {
    asm volatile("rep movsq" : "+D"(at), "+S"(from), "+c"(words) : : "memory");
  } else {
    asm volatile("rep movsl" : "+D"(at), "+S"(from), "+c"(words) : : "memory");
  }
  asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(rest) : : "memory");
  return to;
}

void* memmove(void* to, const void* from, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(from) >= bytes)
    return memcpy(to, from, bytes);
  char* last = static_cast<char*>(to) + bytes - 1;
  const char* source = static_cast<const char*>(from) + bytes - 1;
  asm volatile("std; rep movsb; cld" : "+D"(last), "+S"(source), "+c"(bytes) : : "memory");
  return to;
}

int memcmp(const void* a, const void* b, std::size_t bytes) {
  const unsigned char* left = static_cast<const unsigned char*>(a);
  const unsigned char* right = static_cast<const unsigned char*>(b);
  for (std::size_t i = 0; i < bytes; ++i) {
    if (left[i] != right[i]) return left[i] < right[i] ? -1 : 1;
  }
  return 0;
}

void* memchr(const void* from, int value, std::size_t bytes) {
  const unsigned char* at = static_cast<const unsigned char*>(from);
  for (std::size_t i = 0; i < bytes; ++i) {
    if (at[i] == static_cast<unsigned char>(value)) return const_cast<unsigned char*>(at + i);
  }
  return nullptr;
}

std::size_t strlen(const char* text) {
  std::size_t length = 0;
  while (text[length] != 0) ++length;
  return length;
}

void __cxa_pure_virtual() { fatal("a pure virtual function was called"); }
}

namespace std {
void __throw_out_of_range_fmt(const char*, ...) { fatal("out of range"); }
}  // namespace std

namespace bunshin {
void simulator_bug(const char* what, std::source_location where) { vmm::bare::fatal(what, where.line()); }
}  // namespace bunshin
