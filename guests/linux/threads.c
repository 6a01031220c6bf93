/* The first and only program of a Linux guest: a load of threads that share memory in every way Linux knows, each part
 * with a sum that does not depend on who runs when. A stale translation, a lost wake-up or a torn atomic changes a sum,
 * or makes the guest hang. Prints a line a part and one for all of them, then powers off. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { threads = 12, page_bytes = 4096 };

static pthread_barrier_t barrier;
static _Atomic uint64_t sum; /* of the part that runs */
static _Atomic unsigned errors;

static void fail(const char* what, uint64_t is, uint64_t expected) {
  if (atomic_fetch_add(&errors, 1) < 20)
    printf("threads: WRONG %s: %llu, not %llu\n", what, (unsigned long long)is, (unsigned long long)expected);
}

static void expect(const char* what, uint64_t is, uint64_t expected) {
  if (is != expected) fail(what, is, expected);
}

static uint64_t mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  return x ^ x >> 33;
}

static void meet(void) { pthread_barrier_wait(&barrier); }

/* --- Counters: one that is atomic, one behind a mutex, one behind a futex of our own --- */

static _Atomic uint64_t atomic_counter;
static uint64_t mutex_counter, futex_counter;
static pthread_mutex_t counter_mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint32_t futex_word; /* 0 free, 1 taken, 2 taken and waited for */

static void futex_lock(void) {
  uint32_t free_value = 0;
  if (atomic_compare_exchange_strong(&futex_word, &free_value, 1)) return;
  while (atomic_exchange(&futex_word, 2) != 0) syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

static void futex_unlock(void) {
  if (atomic_exchange(&futex_word, 0) == 2) syscall(SYS_futex, &futex_word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void counters(unsigned me) {
  enum { rounds = 3000 };
  for (unsigned i = 0; i < rounds; ++i) {
    atomic_fetch_add(&atomic_counter, me + 1);
    if (i % 4 == 0) {
      pthread_mutex_lock(&counter_mutex);
      ++mutex_counter;
      pthread_mutex_unlock(&counter_mutex);
      futex_lock();
      futex_counter += 3;
      if (i % 64 == 0) sched_yield();
      futex_unlock();
    }
  }
  meet();
  if (me != 0) return;
  expect("atomic counter", atomic_counter, (uint64_t)rounds * threads * (threads + 1) / 2);
  expect("mutex counter", mutex_counter, (uint64_t)rounds / 4 * threads);
  expect("futex counter", futex_counter, (uint64_t)rounds / 4 * threads * 3);
  sum = mix(atomic_counter) ^ mix(mutex_counter) ^ mix(futex_counter);
}

/* --- Pairs of threads that hand a ball back and forth with a condition variable --- */

static struct Pair {
  pthread_mutex_t mutex;
  pthread_cond_t moved;
  uint64_t ball;
  unsigned turn;
} pairs[threads / 2];

static void ping_pong(unsigned me) {
  enum { rounds = 300 };
  struct Pair* pair = &pairs[me / 2];
  if (me % 2 == 0) {
    pthread_mutex_init(&pair->mutex, NULL);
    pthread_cond_init(&pair->moved, NULL);
    pair->ball = me;
    pair->turn = 0;
  }
  meet();
  for (unsigned i = 0; i < rounds; ++i) {
    pthread_mutex_lock(&pair->mutex);
    while (pair->turn != me % 2) pthread_cond_wait(&pair->moved, &pair->mutex);
    pair->ball = mix(pair->ball + me);
    pair->turn ^= 1;
    pthread_cond_signal(&pair->moved);
    pthread_mutex_unlock(&pair->mutex);
  }
  meet();
  if (me % 2 == 0) atomic_fetch_add(&sum, pair->ball);
}

/* --- Rounds between barriers: everyone reads what everyone wrote --- */

static uint64_t slots[threads];

static void rounds_of_barriers(unsigned me) {
  enum { rounds = 100 };
  uint64_t value = me;
  slots[me] = value;
  for (unsigned i = 0; i < rounds; ++i) {
    meet();
    uint64_t all = 0;
    for (unsigned t = 0; t < threads; ++t) all += slots[t] * (t + 1);
    meet();
    value = mix(all + me);
    slots[me] = value;
  }
  atomic_fetch_add(&sum, value);
}

/* --- Translations that are taken away while everyone has them cached --- */

static volatile uint64_t* window;
static _Atomic unsigned faults;
static __thread sigjmp_buf recovery;
static __thread volatile int recoverable;

static void on_fault(int signal_number) {
  if (!recoverable) {
    printf("threads: unexpected signal %d\n", signal_number);
    _exit(1);
  }
  recoverable = 0;
  siglongjmp(recovery, 1);
}

/* 1 if the store went through. */
static int try_store(volatile uint64_t* where, uint64_t value) {
  if (sigsetjmp(recovery, 1) != 0) {
    atomic_fetch_add(&faults, 1);
    return 0;
  }
  recoverable = 1;
  *where = value;
  recoverable = 0;
  return 1;
}

static void map_window(uint64_t fill, unsigned pages) {
  void* mapped = mmap((void*)window, (size_t)pages * page_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | (window != NULL ? MAP_FIXED : 0), -1, 0);
  if (mapped == MAP_FAILED) {
    fail("mmap", (uint64_t)errno, 0);
    _exit(1);
  }
  window = mapped;
  for (unsigned page = 0; page < pages; ++page) {
    for (unsigned t = 0; t < threads; ++t) window[page * page_bytes / 8 + t] = fill + page;
  }
}

static void shoot_downs(unsigned me) {
  enum { rounds = 60, pages = 4, words = page_bytes / 8 };
  uint64_t mine = 0;
  if (me == 0) {
    faults = 0;
    map_window(1000, pages);
  }
  for (unsigned i = 0; i < rounds; ++i) {
    meet();
    /* Writable: every thread's TLB has every page, dirty. */
    for (unsigned page = 0; page < pages; ++page) {
      const uint64_t seen = window[page * words + me];
      expect("freshly mapped page", seen, 1000 + i + page);
      mine = mix(mine + seen);
      if (!try_store(&window[page * words + me], mine)) fail("store to a writable page", 0, 1);
    }
    meet();
    const unsigned owner = i % threads;
    if (me == owner) mprotect((void*)window, pages * page_bytes, PROT_READ);
    meet();
    for (unsigned page = 0; page < pages; ++page) {
      if (try_store(&window[page * words + me], 0)) fail("store to a read-only page", 1, 0);
    }
    expect("read-only page", window[(pages - 1) * words + me], mine);
    meet();
    if (me == owner) {
      munmap((void*)window, pages * page_bytes);
    }
    meet();
    if (try_store(&window[(i % pages) * words + me], 0)) fail("store to an unmapped page", 1, 0);
    meet();
    if (me == owner) map_window(1000 + i + 1, pages);
  }
  meet();
  if (me == 0) {
    expect("page faults", faults, (uint64_t)rounds * threads * (pages + 1));
    munmap((void*)window, pages * page_bytes);
    window = NULL;
  }
  atomic_fetch_add(&sum, mine);
}

/* --- Private arenas that come and go beside each other --- */

static void arenas(unsigned me) {
  enum { rounds = 40, pages = 16, words = page_bytes / 8 };
  uint64_t mine = me;
  for (unsigned i = 0; i < rounds; ++i) {
    uint64_t* arena =
        mmap(NULL, pages * page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED) {
      fail("mmap of an arena", (uint64_t)errno, 0);
      return;
    }
    for (unsigned page = 0; page < pages; ++page) {
      expect("anonymous memory", arena[page * words], 0);
      arena[page * words] = mix(mine + page);
    }
    if (i % 2 == 0) madvise(arena, pages / 2 * page_bytes, MADV_DONTNEED);
    for (unsigned page = 0; page < pages; ++page) mine += arena[page * words];
    munmap(arena, pages * page_bytes);
  }
  atomic_fetch_add(&sum, mine);
}

/* --- From processor to processor, and barriers that interrupt all others --- */

static _Atomic uint32_t flags[2];

static void processors(unsigned me) {
  enum { rounds = 30 };
  const unsigned online = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
  for (unsigned i = 0; i < rounds; ++i) {
    cpu_set_t set;
    CPU_ZERO(&set);
    const unsigned target = (me * 5 + i) % online;
    CPU_SET(target, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) fail("sched_setaffinity", (uint64_t)errno, 0);
    expect("processor after a move", (uint64_t)sched_getcpu(), target);
    /* A store and a load cross only if the other side's barrier interrupts this one. */
    if (me < 2) {
      atomic_store_explicit(&flags[me], i + 1, memory_order_relaxed);
      syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    }
    meet();
    expect("the other side's flag", flags[1 - me % 2], i + 1);
    meet();
  }
  cpu_set_t all;
  CPU_ZERO(&all);
  for (unsigned i = 0; i < online; ++i) CPU_SET(i, &all);
  sched_setaffinity(0, sizeof all, &all);
  atomic_fetch_add(&sum, mix(me + rounds));
}

/* --- Signals from thread to thread --- */

static pthread_t ids[threads];
static _Atomic unsigned received[threads];
static __thread unsigned self;

static void on_signal(int signal_number) {
  (void)signal_number;
  atomic_fetch_add(&received[self], 1);
}

static void signals(unsigned me) {
  enum { rounds = 40 };
  received[me] = 0;
  meet();
  const unsigned next = (me + 1) % threads;
  for (unsigned i = 0; i < rounds; ++i) {
    pthread_kill(ids[next], SIGUSR1);
    while (atomic_load(&received[next]) <= i) sched_yield();
  }
  meet();
  expect("signals", received[me], rounds);
  atomic_fetch_add(&sum, mix(received[me] + me));
}

/* --- Children, copy on write --- */

static void forks(unsigned me) {
  enum { rounds = 6, pages = 8, words = page_bytes / 8 };
  uint64_t* shared = mmap(NULL, pages * page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint64_t mine = me;
  for (unsigned page = 0; page < pages; ++page) shared[page * words] = me + page;
  for (unsigned i = 0; i < rounds; ++i) {
    int channel[2];
    if (pipe(channel) != 0) fail("pipe", (uint64_t)errno, 0);
    const pid_t child = fork();
    if (child == 0) {
      uint64_t value = i;
      for (unsigned page = 0; page < pages; ++page) value = mix(value + (shared[page * words] += me * i + 1));
      _exit(write(channel[1], &value, sizeof value) == sizeof value ? 0 : 1);
    }
    for (unsigned page = 0; page < pages; ++page) shared[page * words] += 0; /* copies while the child reads */
    uint64_t value = 0;
    if (child < 0 || read(channel[0], &value, sizeof value) != sizeof value) fail("fork", (uint64_t)errno, 0);
    int status = 0;
    waitpid(child, &status, 0);
    expect("child's status", (uint64_t)status, 0);
    close(channel[0]);
    close(channel[1]);
    mine += value;
    expect("the parent's copy", shared[0], me);
  }
  munmap(shared, pages * page_bytes);
  atomic_fetch_add(&sum, mine);
}

/* --- A ring of pipes --- */

static int ring[threads][2];

static void pipes(unsigned me) {
  enum { rounds = 60 };
  if (pipe(ring[me]) != 0) fail("pipe", (uint64_t)errno, 0);
  meet();
  uint64_t token = 1;
  for (unsigned i = 0; i < rounds; ++i) {
    if (me == 0 && i == 0) {
      if (write(ring[1][1], &token, sizeof token) < 0) fail("write", 0, 1);
    }
    if (read(ring[me][0], &token, sizeof token) != sizeof token) fail("read", 0, sizeof token);
    token = mix(token + me);
    const int last = me == 0 && i + 1 == rounds;
    if (!last && write(ring[(me + 1) % threads][1], &token, sizeof token) < 0) fail("write", 0, 1);
  }
  if (me == 0) sum = token;
  meet();
  close(ring[me][0]);
  close(ring[me][1]);
}

/* --- A sort in parallel --- */

enum { chunk = 4000 };
static uint32_t numbers[threads * chunk], merged[threads * chunk];

static int compare(const void* a, const void* b) {
  const uint32_t x = *(const uint32_t*)a, y = *(const uint32_t*)b;
  return (x > y) - (x < y);
}

static void merge(uint32_t* from, uint32_t* to, size_t left, size_t count) {
  size_t a = 0, b = left;
  for (size_t i = 0; i < count; ++i) {
    const int take_left = b == count || (a < left && from[a] <= from[b]);
    to[i] = take_left ? from[a++] : from[b++];
  }
  memcpy(from, to, count * sizeof *from);
}

static void sorting(unsigned me) {
  for (unsigned i = 0; i < chunk; ++i) numbers[me * chunk + i] = (uint32_t)mix(me * chunk + i);
  qsort(&numbers[me * chunk], chunk, sizeof numbers[0], compare);
  meet();
  for (unsigned width = 1; width < threads; width *= 2) {
    if (me % (2 * width) == 0 && me + width < threads) {
      const unsigned end = me + 2 * width < threads ? me + 2 * width : threads;
      merge(&numbers[me * chunk], &merged[me * chunk], (size_t)width * chunk, (size_t)(end - me) * chunk);
    }
    meet();
  }
  if (me != 0) return;
  uint64_t hash = 0;
  for (unsigned i = 0; i < threads * chunk; ++i) {
    if (i > 0 && numbers[i - 1] > numbers[i]) fail("order", numbers[i - 1], numbers[i]);
    hash = mix(hash + numbers[i]);
  }
  sum = hash;
}

/* --- All of it --- */

static const struct Part {
  const char* name;
  void (*run)(unsigned me);
} parts[] = {{"counters", counters},  {"ping-pong", ping_pong}, {"barriers", rounds_of_barriers},
             {"shoot-downs", shoot_downs}, {"arenas", arenas},  {"processors", processors},
             {"signals", signals},    {"forks", forks},         {"pipes", pipes},
             {"sort", sorting}};

static uint64_t total;

static void* worker(void* argument) {
  const unsigned me = (unsigned)(uintptr_t)argument;
  self = me;
  for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; ++i) {
    if (me == 0) sum = 0;
    meet();
    parts[i].run(me);
    meet();
    if (me == 0) {
      printf("threads: %s %016llx\n", parts[i].name, (unsigned long long)sum);
      total = mix(total + sum);
    }
  }
  return NULL;
}

static void become_init(void) {
  mkdir("/dev", 0755);
  mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
  const int console = open("/dev/console", O_RDWR);
  if (console < 0) return;
  for (int descriptor = 0; descriptor < 3; ++descriptor) dup2(console, descriptor);
}

static int load(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("threads: %d threads on %ld processors\n", (int)threads, sysconf(_SC_NPROCESSORS_ONLN));
  syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
  signal(SIGSEGV, on_fault);
  signal(SIGBUS, on_fault);
  signal(SIGUSR1, on_signal);
  pthread_barrier_init(&barrier, NULL, threads);
  for (uintptr_t i = 1; i < threads; ++i) pthread_create(&ids[i], NULL, worker, (void*)i);
  ids[0] = pthread_self();
  worker(NULL);
  for (unsigned i = 1; i < threads; ++i) pthread_join(ids[i], NULL);
  if (errors == 0)
    printf("threads: checksum %016llx\n", (unsigned long long)total);
  else
    printf("threads: %u errors\n", (unsigned)errors);
  fflush(stdout);
  return errors == 0 ? 0 : 1;
}

int main(void) {
  if (getpid() != 1) return load();
  /* In a child: the kernel reports every fault of the first process, handled or not. */
  become_init();
  const pid_t child = fork();
  if (child == 0) _exit(load());
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) dprintf(1, "threads: ended with status %x\n", (unsigned)status);
  sync();
  reboot(RB_POWER_OFF);
}
