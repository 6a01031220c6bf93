#pragma once

// A virtual processor and the loop that enters it again and again.

#include <linux/kvm.h>
#include <cstdint>

#include "guests/kvm_launcher/machine.h"
#include "guests/kvm_launcher/ports.h"

namespace launcher {

/// How often KVM_RUN came back, by reason; reasons beyond the last are counted there.
struct ReturnCounts {
  static constexpr unsigned size = 40;
  std::uint64_t of[size] = {};
};

class VirtualProcessor {
 public:
  VirtualProcessor(const Machine& machine, Ports& ports, const Options& options, unsigned index);

  /// 64-bit mode with everything below 4 GiB mapped to itself, interrupts off, RSI at the boot parameters (boot.rst).
  void enter_at(std::uint64_t address) const;
  /// The same with arguments for the loops of exit_loops.h.
  void enter_loop(std::uint64_t address, std::uint64_t rounds, std::uint64_t result) const;

  /// Until the machine ends, or a signal finds the program stopping. Returns the status for the program.
  int run();
  /// Makes run() of every processor end at its next signal.
  static void stop_all();

  const ReturnCounts& returns() const { return returns_; }
  int file() const { return file_; }

 private:
  void set_cpuid(const Machine& machine, const Options& options, unsigned index) const;
  void set_system_registers() const;
  void set_registers(const kvm_regs& registers) const;
  int control(unsigned long request, const char* name, void* argument) const;

  /// The status that ends the program, or -1 to go on.
  int handle_return();
  int handle_port();
  void handle_memory() const;
  int end(Ending ending) const;
  int give_up(const char* what, unsigned long long detail) const;
  void print_registers() const;

  const Machine& machine_;
  Ports& ports_;
  unsigned index_;
  int file_;
  kvm_run* run_;
  ReturnCounts returns_;
};

}  // namespace launcher
