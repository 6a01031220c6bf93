#include "guests/kvm_launcher/vcpu.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "guests/kvm_launcher/failure.h"

namespace launcher {

namespace {

/// Set by the thread that gives up.
volatile bool stopping = false;

}  // namespace

void VirtualProcessor::stop_all() { stopping = true; }

VirtualProcessor::VirtualProcessor(const Machine& machine, Ports& ports, const Options& options, unsigned index)
    : machine_(machine),
      ports_(ports),
      index_(index),
      file_(machine.machine_control(KVM_CREATE_VCPU, "KVM_CREATE_VCPU", index)) {
  void* mapped = mmap(nullptr, machine.run_size(), PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (mapped == MAP_FAILED) fail_errno("a virtual processor's kvm_run");
  run_ = static_cast<kvm_run*>(mapped);
  set_cpuid(machine, options, index);
}

int VirtualProcessor::control(unsigned long request, const char* name, void* argument) const {
  const int result = ioctl(file_, request, argument);
  if (result < 0) fail_errno("%s", name);
  return result;
}

int VirtualProcessor::run() {
  for (;;) {
    if (ioctl(file_, KVM_RUN, 0) != 0) {
      if (errno == EINTR && stopping) return give_up("stopped after --seconds, last exit", run_->exit_reason);
      if (errno == EINTR || errno == EAGAIN) continue;
      const int error = errno;
      print_registers();
      fail(cannot_continue, "KVM_RUN: %s", strerror(error));
    }
    const unsigned reason = run_->exit_reason;
    ++returns_.of[reason < ReturnCounts::size ? reason : ReturnCounts::size - 1];
    const int status = handle_return();
    if (status >= 0) return status;
  }
}

int VirtualProcessor::handle_return() {
  switch (run_->exit_reason) {
    case KVM_EXIT_IO: return handle_port();
    case KVM_EXIT_MMIO: handle_memory(); return -1;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN: return -1;
    case KVM_EXIT_SHUTDOWN: fputs("kvm_launcher: the guest shut down (triple fault)\n", stderr); return guest_failed;
    case KVM_EXIT_SYSTEM_EVENT:
      return end(run_->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN ? Ending::PoweredOff : Ending::Reset);
    case KVM_EXIT_FAIL_ENTRY:
      return give_up("the processor refused the entry, reason", run_->fail_entry.hardware_entry_failure_reason);
    case KVM_EXIT_UNKNOWN: return give_up("unknown exit, hardware reason", run_->hw.hardware_exit_reason);
    case KVM_EXIT_INTERNAL_ERROR:
      for (unsigned i = 0; i < run_->internal.ndata && i < 16; ++i) {
        fprintf(stderr, "kvm_launcher: internal error data %u: %#llx\n", i,
                static_cast<unsigned long long>(run_->internal.data[i]));
      }
      return give_up("KVM's internal error", run_->internal.suberror);
    default: return give_up("no handler for exit reason", run_->exit_reason);
  }
}

int VirtualProcessor::handle_port() {
  auto* data = reinterpret_cast<std::uint8_t*>(run_) + run_->io.data_offset;
  for (unsigned i = 0; i < run_->io.count; ++i, data += run_->io.size) {
    if (run_->io.direction == KVM_EXIT_IO_IN) {
      ports_.read(run_->io.port, run_->io.size, data);
    } else if (const Ending ending = ports_.write(run_->io.port, run_->io.size, data); ending != Ending::None) {
      return end(ending);
    }
  }
  return -1;
}

void VirtualProcessor::handle_memory() const {
  if (run_->mmio.is_write == 0) memset(run_->mmio.data, 0xff, sizeof run_->mmio.data);
}

int VirtualProcessor::end(Ending ending) const {
  switch (ending) {
    case Ending::PoweredOff: return guest_powered_off;
    case Ending::DebugExit: return ports_.debug_value() == 0 ? guest_powered_off : guest_failed;
    default: fputs("kvm_launcher: the guest reset its machine\n", stderr); return guest_failed;
  }
}

int VirtualProcessor::give_up(const char* what, unsigned long long detail) const {
  fprintf(stderr, "kvm_launcher: processor %u: %s %#llx\n", index_, what, detail);
  print_registers();
  return cannot_continue;
}

void VirtualProcessor::print_registers() const {
  kvm_regs r{};
  kvm_sregs s{};
  if (ioctl(file_, KVM_GET_REGS, &r) != 0 || ioctl(file_, KVM_GET_SREGS, &s) != 0) return;
  const auto row = [](const char* names, __u64 a, __u64 b, __u64 c, __u64 d) {
    fprintf(stderr, "kvm_launcher: %-16s %016llx %016llx %016llx %016llx\n", names, a, b, c, d);
  };
  row("rip rfl cs ss", r.rip, r.rflags, s.cs.selector, s.ss.selector);
  row("rax rbx rcx rdx", r.rax, r.rbx, r.rcx, r.rdx);
  row("rsi rdi rbp rsp", r.rsi, r.rdi, r.rbp, r.rsp);
  row("r8 r9 r10 r11", r.r8, r.r9, r.r10, r.r11);
  row("cr0 cr2 cr3 cr4", s.cr0, s.cr2, s.cr3, s.cr4);
  row("efer idt gdt tr", s.efer, s.idt.base, s.gdt.base, s.tr.base);
}

}  // namespace launcher
