#pragma once

// Microbenchmarks that run twice from the same sources: on the simulated machine without an operating system, and on a real
// one as a Linux program (benchmarks/hardware.sh). What differs is the harness: bare.cpp there, host.cpp here.
//
// Each prints lines `name parameter cycles`. A benchmark measures a piece of work once and twice as long, and prints the
// difference: what measuring itself costs falls out. Words on the command line choose: `latency` all points of a benchmark,
// `latency=add` one. Without words everything runs.

namespace micro {

using u8 = unsigned char;
using u32 = unsigned int;
using u64 = unsigned long;

constexpr u64 line_bytes = 64, small_page = 4096, large_page = u64{2} << 20, giant_page = u64{1} << 30;

// --- The harness provides:

/// The time-stamp counter, with everything before it done.
u64 ticks();
/// How often to measure; the least counts.
u64 repeats();
/// Whether the point was asked for.
bool wanted(const char* name, const char* parameter);
/// Whether any point of the benchmark was.
bool wanted(const char* name);
/// How much memory is more than all caches hold; the word `far=BYTES` on the command line changes it.
u64 far_bytes();
/// Prints a line: what `ticks` are in core cycles, divided by `count`.
void report(const char* name, const char* parameter, u64 ticks, u64 count);

/// `bytes` of memory, linearly contiguous, in pages of the size or the next smaller one that there is; what it held
/// before is overwritten. Null if there is not so much.
u8* memory(u64 bytes, u64 page);
/// `count` pages of the size, each `stride` bytes after the one before, in which page i's line i (of 4 KiB pages: any
/// line) may be used. Null where that cannot be had.
u8* pages(u64 count, u64 page, u64 stride);
/// The same for code.
u8* code_pages(u64 count, u64 page);
/// Makes the next walk begin at the root (MOV to CR3). False where that is not permitted.
bool forget_translations();
/// Evicts the lines of the paging structures that translate the first 16 pages() of 4 KiB from every cache. False if not
/// permitted.
bool evict_tables();

/// Runs `work(argument)` on another processor and waits for it; the processors are pinned. False if there is one only.
bool have_partner();
void on_partner(void (*work)(u64), u64 argument);
/// The same without waiting; finish_partner() waits.
void begin_on_partner(void (*work)(u64), u64 argument);
void finish_partner();

// --- Everything else is shared.

struct CpuId {
  u32 eax, ebx, ecx, edx;
};
inline CpuId cpuid(u32 leaf, u32 subleaf = 0) {
  CpuId r{};
  asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
  return r;
}

/// A parameter that is a number.
class Number {
 public:
  explicit Number(u64 value) {
    char* at = text_ + sizeof(text_) - 1;
    *at = 0;
    do *--at = static_cast<char>('0' + value % 10);
    while ((value /= 10) != 0);
    begin_ = at;
  }
  const char* text() const { return begin_; }

 private:
  char text_[24];
  const char* begin_;
};

inline u64 least(u64 a, u64 b) { return a < b ? a : b; }
inline u64 most(u64 a, u64 b) { return a > b ? a : b; }

/// So many taken branches that what came before is out of every predictor's history.
inline void settle_history() {
  u64 count = 256;
  asm volatile("1: dec %0; jnz 1b" : "+r"(count));
}

template <typename Work>
u64 time_of(Work work, u64 amount) {
  settle_history();
  const u64 begin = ticks();
  work(amount);
  return ticks() - begin;
}

/// Ticks that `amount` of the work takes beyond the same amount before it. `work(n)` does n of it.
template <typename Work>
u64 ticks_of(Work work, u64 amount) {
  time_of(work, amount);
  // In one loop, so that once and twice begin with the same lines in the caches.
  alignas(line_bytes) u64 best[] = {~u64{0}, ~u64{0}};
  for (u64 i = 0; i < 2 * repeats(); ++i) best[i & 1] = least(best[i & 1], time_of(work, amount << (i & 1)));
  return best[1] > best[0] ? best[1] - best[0] : 0;
}

// Loops in kernels.S. A chase follows pointers; the others say there what they do.
extern "C" {
u64 micro_chase(const void* start, u64 steps);
u64 micro_read_lines(const void* begin, u64 lines);
u64 micro_write_lines(void* begin, u64 lines);
u64 micro_lock_lines(void* begin, u64 lines);
void micro_conditional(u64 branches, const u8* pattern, u64 period);
void micro_indirect(u64 jumps, const u8* pattern, u64 period);
void micro_call_depth(u64 rounds, u64 depth);
void micro_mispredicted_return(u64 calls);
void micro_add_chain(u64 rounds);
extern const u64 micro_adds_per_round;
}

/// Measures a chase around a circle of `count` places, of which `start` is one: whole rounds, several if they are short; if
/// they are long, parts of one that follow each other, so that nothing is met again sooner than it would be.
inline void report_chase(const char* name, const char* parameter, const void* start, u64 count) {
  constexpr u64 fewest = 4096, most = 32768;
  const u64 steps = least(most, count * ((fewest + count - 1) / count));
  u64 at = reinterpret_cast<u64>(start);
  const auto chase = [&at](u64 n) { at = micro_chase(reinterpret_cast<const void*>(at), n); };
  chase(count);
  report(name, parameter, ticks_of(chase, steps), steps);
}

/// A linear congruential generator, Knuth's MMIX constants: the same numbers everywhere.
class Random {
 public:
  u64 below(u64 limit) {
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    return (state_ >> 33) % limit;
  }

 private:
  u64 state_ = 1;
};

/// Links `count` places into one cycle in random order (Sattolo's algorithm); place(i) is where the i-th is.
template <typename Place>
void link_randomly(u64 count, Place place) {
  Random random;
  const auto word = [&](u64 i) -> u64& { return *reinterpret_cast<u64*>(place(i)); };
  for (u64 i = 0; i < count; ++i) word(i) = reinterpret_cast<u64>(place(i));
  for (u64 i = count - 1; i > 0; --i) {
    const u64 j = random.below(i);
    const u64 held = word(i);
    word(i) = word(j);
    word(j) = held;
  }
}

/// The same in order.
template <typename Place>
void link_in_order(u64 count, Place place) {
  for (u64 i = 0; i < count; ++i) {
    *reinterpret_cast<u64*>(place(i)) = reinterpret_cast<u64>(place(i + 1 == count ? 0 : i + 1));
  }
}

// The benchmarks.
void load_latency();
void tlb_reach();
void walk_cost();
void branches();
void instructions();
void memory_parallelism();
void memory_streams();
void coherence();

inline void run_all() {
  instructions();
  branches();
  load_latency();
  tlb_reach();
  walk_cost();
  memory_parallelism();
  memory_streams();
  coherence();
}

}  // namespace micro
