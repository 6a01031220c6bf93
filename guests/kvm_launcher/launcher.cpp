// kvm_launcher: a machine of /dev/kvm around an unmodified Linux kernel, small enough for an initramfs.

#include <pthread.h>
#include <termios.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <new>

#include "guests/kvm_launcher/acpi.h"
#include "guests/kvm_launcher/exit_loops.h"
#include "guests/kvm_launcher/failure.h"
#include "guests/kvm_launcher/linux_boot.h"
#include "guests/kvm_launcher/machine.h"
#include "guests/kvm_launcher/options.h"
#include "guests/kvm_launcher/ports.h"
#include "guests/kvm_launcher/statistics.h"
#include "guests/kvm_launcher/uart.h"
#include "guests/kvm_launcher/vcpu.h"

namespace launcher {

namespace {

constexpr unsigned most_processors = 64;

/// Where the first processor that ends leaves the program's status.
struct End {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t happened = PTHREAD_COND_INITIALIZER;
  int status = -1;
};

struct Thread {
  pthread_t id{};
  VirtualProcessor* processor = nullptr;
  End* end = nullptr;
};

void* run_processor(void* argument) {
  const auto* thread = static_cast<const Thread*>(argument);
  const int status = thread->processor->run();
  pthread_mutex_lock(&thread->end->mutex);
  if (thread->end->status < 0) thread->end->status = status;
  pthread_cond_signal(&thread->end->happened);
  pthread_mutex_unlock(&thread->end->mutex);
  return nullptr;
}

void* read_input(void* argument) {
  auto* uart = static_cast<Uart*>(argument);
  char character = 0;
  while (read(STDIN_FILENO, &character, 1) == 1) uart->receive(static_cast<std::uint8_t>(character));
  return nullptr;
}

pthread_t start(void* (*function)(void*), void* argument) {
  pthread_t thread{};
  if (pthread_create(&thread, nullptr, function, argument) != 0) fail(cannot_start, "a thread cannot be made");
  return thread;
}

/// Until a processor has ended, or for `seconds` if that is not 0. Returns the program's status.
int wait_for(End& end, Thread* threads, const Options& options) {
  timespec until{};
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += options.seconds;
  pthread_mutex_lock(&end.mutex);
  while (end.status < 0) {
    if (options.seconds == 0) {
      pthread_cond_wait(&end.happened, &end.mutex);
    } else if (pthread_cond_timedwait(&end.happened, &end.mutex, &until) == ETIMEDOUT) {
      VirtualProcessor::stop_all();
      for (unsigned i = 0; i < options.processors; ++i) pthread_kill(threads[i].id, SIGUSR1);
      pthread_cond_wait(&end.happened, &end.mutex);
    }
  }
  const int status = end.status;
  pthread_mutex_unlock(&end.mutex);
  return status;
}

/// A terminal hands every key to the guest while this lives.
class RawTerminal {
 public:
  explicit RawTerminal(bool wanted) : active_(wanted && tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!active_) return;
    termios raw = before_;
    cfmakeraw(&raw);
    raw.c_oflag |= OPOST | ONLCR;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  ~RawTerminal() {
    if (active_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  termios before_{};
  bool active_;
};

void load(const Machine& machine, const Options& options, const VirtualProcessor& first) {
  if (options.exits != nullptr) {
    load_exit_loop(machine, options.exits);
    first.enter_loop(flat_address, options.rounds, place::result);
  } else if (options.flat != nullptr) {
    load_flat(machine, options.flat, flat_address);
    first.enter_at(flat_address);
  } else {
    write_acpi_tables(machine, options.processors);
    first.enter_at(load_linux(machine, options));
  }
}

int run(const Options& options) {
  const Machine machine(options);
  Uart uart(machine, options.prefix, options.input);
  Ports ports(uart);
  alignas(VirtualProcessor) static unsigned char storage[most_processors][sizeof(VirtualProcessor)];
  End end;
  Thread threads[most_processors];
  for (unsigned i = 0; i < options.processors; ++i) {
    threads[i].processor = new (storage[i]) VirtualProcessor(machine, ports, options, i);
    threads[i].end = &end;
  }
  load(machine, options, *threads[0].processor);

  const RawTerminal terminal(options.input);
  if (options.input) start(read_input, &uart);
  // Its only purpose is to interrupt KVM_RUN.
  signal(SIGUSR1, [](int) {});
  for (unsigned i = 0; i < options.processors; ++i) threads[i].id = start(run_processor, &threads[i]);
  const int status = wait_for(end, threads, options);

  uart.flush();
  if (options.exits != nullptr && status == guest_powered_off) print_exit_loop(machine, options);
  fflush(stdout);
  if (options.stats) {
    for (unsigned i = 0; i < options.processors; ++i) print_statistics(*threads[i].processor, i);
  }
  return status;
}

}  // namespace

}  // namespace launcher

int main(int count, char** arguments) {
  const int status = launcher::run(launcher::parse_options(count, arguments));
  // Other processors may still be inside KVM_RUN: nothing is destroyed under them.
  _exit(status);
}
