// The harness on a real processor, under Linux. Pinned to one processor; ticks of the time-stamp counter become core cycles by
// a chain of additions timed beside each point: one takes one cycle on every processor that there is.

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "guests/micro/micro.h"

namespace micro {

namespace {

std::vector<std::string> words;
int first_processor = 0, second_processor = -1;

u64 time_stamp() {
  u32 low, high;
  asm volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
  return u64{high} << 32 | low;
}

/// Core cycles of a tick, now.
double cycles_per_tick() {
  constexpr u64 rounds = 400;
  u64 best = ~u64{0};
  micro_add_chain(rounds);
  for (unsigned i = 0; i < 5; ++i) {
    const u64 begin = time_stamp();
    micro_add_chain(rounds);
    best = least(best, time_stamp() - begin);
  }
  return static_cast<double>(rounds * micro_adds_per_round) / static_cast<double>(best);
}

/// Linear space that nothing else is in, aligned to 2 MiB; what an earlier call gave is gone.
u8* reserve(u64 bytes, int protection, int flags, u8*& held, u64& held_bytes) {
  if (held != nullptr) munmap(held, held_bytes);
  held = nullptr;
  held_bytes = bytes + large_page;
  void* const space = mmap(nullptr, held_bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (space == MAP_FAILED) return nullptr;
  held = static_cast<u8*>(space);
  return held + (large_page - reinterpret_cast<u64>(held) % large_page) % large_page;
}

/// Half of what is free, so that nothing else has to go.
bool fits(u64 bytes) {
  const auto free = static_cast<u64>(sysconf(_SC_AVPHYS_PAGES)) * static_cast<u64>(sysconf(_SC_PAGESIZE));
  return bytes <= free / 2;
}

/// Whether the kernel has given what was asked for: AnonHugePages of the mapping that holds the address.
bool is_large(const u8* address) {
  std::FILE* const maps = std::fopen("/proc/self/smaps", "r");
  if (maps == nullptr) return false;
  char line[512];
  bool here = false, large = false;
  while (std::fgets(line, sizeof(line), maps) != nullptr) {
    unsigned long begin = 0, end = 0, kilobytes = 0;
    if (std::sscanf(line, "%lx-%lx ", &begin, &end) == 2) {
      here = begin <= reinterpret_cast<u64>(address) && reinterpret_cast<u64>(address) < end;
    } else if (here && std::sscanf(line, "AnonHugePages: %lu", &kilobytes) == 1) {
      large = kilobytes != 0;
    }
  }
  std::fclose(maps);
  return large;
}

struct Space {
  u8* held = nullptr;
  u64 bytes = 0;
};
Space data_space, code_space;

/// Memory in pages of the size, every one touched. Null if the kernel does not give them.
u8* mapped(u64 bytes, u64 page, int protection, Space& space) {
  if (!fits(bytes)) return nullptr;
  u8* const begin = reserve(bytes, protection, 0, space.held, space.bytes);
  if (begin == nullptr) return nullptr;
  madvise(begin, bytes, page == small_page ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
  for (u64 at = 0; at < bytes; at += small_page) begin[at] = 0;
  if (page != small_page && bytes >= large_page && !is_large(begin)) return nullptr;
  return begin;
}

void pin(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  sched_setaffinity(0, sizeof(set), &set);
}

std::atomic<void (*)(u64)> partner_work{nullptr};
std::atomic<u64> partner_argument{0};
bool partner_started = false;

void* partner(void*) {
  pin(second_processor);
  for (;;) {
    void (*const work)(u64) = partner_work.load(std::memory_order_acquire);
    if (work == nullptr) continue;
    work(partner_argument);
    partner_work.store(nullptr, std::memory_order_release);
  }
}

}  // namespace

u64 ticks() { return time_stamp(); }

u64 repeats() { return 15; }

u64 far_bytes() {
  for (const std::string& word : words) {
    if (word.starts_with("far=")) return std::strtoull(word.c_str() + 4, nullptr, 10);
  }
  return u64{256} << 20;
}

bool wanted(const char* name, const char* parameter) {
  const std::string point = std::string(name) + "=" + parameter;
  bool chosen = false;
  for (const std::string& word : words) {
    if (word == name || word == point) return true;
    chosen = chosen || !word.starts_with("far=");
  }
  return !chosen;
}

bool wanted(const char* name) {
  const std::string begin = std::string(name) + "=";
  bool chosen = false;
  for (const std::string& word : words) {
    if (word == name || word.starts_with(begin)) return true;
    chosen = chosen || !word.starts_with("far=");
  }
  return !chosen;
}

void report(const char* name, const char* parameter, u64 ticks, u64 count) {
  std::printf("%s %s %.3f\n", name, parameter,
              static_cast<double>(ticks) * cycles_per_tick() / static_cast<double>(count));
  std::fflush(stdout);
}

u8* memory(u64 bytes, u64 page) {
  return mapped(bytes, page == small_page ? small_page : large_page, PROT_READ | PROT_WRITE, data_space);
}

u8* pages(u64 count, u64 page, u64 stride) {
  if (page == giant_page || stride != page) return nullptr;
  return mapped(count * page, page, PROT_READ | PROT_WRITE, data_space);
}

u8* code_pages(u64 count, u64 page) {
  return mapped(count * page, page, PROT_READ | PROT_WRITE | PROT_EXEC, code_space);
}

bool forget_translations() { return false; }
bool evict_tables() { return false; }

bool have_partner() {
  if (second_processor < 0) return false;
  pthread_t thread{};
  if (!partner_started) partner_started = pthread_create(&thread, nullptr, partner, nullptr) == 0;
  return partner_started;
}

void begin_on_partner(void (*work)(u64), u64 argument) {
  partner_argument = argument;
  partner_work.store(work, std::memory_order_release);
}

void finish_partner() {
  while (partner_work.load(std::memory_order_acquire) != nullptr) {}
}

void on_partner(void (*work)(u64), u64 argument) {
  begin_on_partner(work, argument);
  finish_partner();
}

}  // namespace micro

/// Arguments: points to measure, as micro.h says. The first two processors that we may use are used.
int main(int count, char** arguments) {
  using namespace micro;
  words.assign(arguments + 1, arguments + count);
  cpu_set_t permitted;
  sched_getaffinity(0, sizeof(permitted), &permitted);
  int found = 0;
  for (int i = 0; i < CPU_SETSIZE && found < 2; ++i) {
    if (CPU_ISSET(i, &permitted)) (found++ == 0 ? first_processor : second_processor) = i;
  }
  pin(first_processor);
  run_all();
  // The other thread never ends by itself.
  std::fflush(stdout);
  std::_Exit(0);
}
