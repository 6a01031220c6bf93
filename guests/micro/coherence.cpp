// Lines between two processors: loads of what the other has modified, stores to what both share, and a line that goes to and
// fro.

#include "guests/micro/micro.h"

namespace micro {

namespace {

constexpr u64 lines = 128, turns = 512;

u8* shared;
/// A line of its own.
struct alignas(128) Ball {
  u64 turn;
};
Ball ball;

u8* place(u64 i) { return shared + i * line_bytes; }
/// Writes every line, and leaves the chase in them as it is.
void modify_all(u64) { micro_write_lines(shared + 8, 2 * lines); }
void read_all(u64) { micro_read_lines(shared, 2 * lines); }

void remote_load() {
  if (!wanted("remote", "modified_load")) return;
  link_randomly(lines, place);
  u64 once = ~u64{0};
  u64 half = ~u64{0};
  for (u64 i = repeats() + 1; i != 0; --i) {
    on_partner(modify_all, 0);
    half = least(half, time_of([](u64 n) { micro_chase(shared, n); }, lines / 2));
    on_partner(modify_all, 0);
    once = least(once, time_of([](u64 n) { micro_chase(shared, n); }, lines));
  }
  report("remote", "modified_load", once - half, lines / 2);
}

void upgrade(const char* parameter, u64 (*store)(void*, u64)) {
  if (!wanted("remote", parameter)) return;
  u64 once = ~u64{0}, twice = ~u64{0};
  for (u64 i = repeats() + 1; i != 0; --i) {
    for (u64 n = lines; n <= 2 * lines; n += lines) {
      modify_all(0);
      on_partner(read_all, 0);
      read_all(0);
      u64& best = n == lines ? once : twice;
      best = least(best, time_of([=](u64 count) { store(shared, count); }, n));
    }
  }
  report("remote", parameter, twice - once, lines);
}

/// Waits for its turn and passes it on, every other one.
void play(u64 first) {
  for (u64 turn = first; turn < first + 2 * turns; turn += 2) {
    while (__atomic_load_n(&ball.turn, __ATOMIC_ACQUIRE) != turn) {}
    __atomic_store_n(&ball.turn, turn + 1, __ATOMIC_RELEASE);
  }
}

void ping_pong() {
  if (!wanted("remote", "round_trip")) return;
  u64 best = ~u64{0};
  for (u64 i = repeats() + 1; i != 0; --i) {
    __atomic_store_n(&ball.turn, 0, __ATOMIC_RELEASE);
    begin_on_partner(play, 1);
    best = least(best, time_of(play, 0));
    finish_partner();
  }
  report("remote", "round_trip", best, turns);
}

}  // namespace

void coherence() {
  if (!wanted("remote") || !have_partner()) return;
  shared = memory(2 * lines * line_bytes, giant_page);
  if (shared == nullptr) return;
  remote_load();
  upgrade("shared_store", micro_write_lines);
  upgrade("shared_locked_add", micro_lock_lines);
  ping_pong();
}

}  // namespace micro
