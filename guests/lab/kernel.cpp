// The lab kernel: processes with page tables of their own, a timer, system calls, a console. An ordinary operating system,
// as small as it gets, for the simulated machine, for hypervisors on it, for QEMU and Bochs (docs/lab_kernel.md).

#include "guests/lab/boot_information.h"
#include "guests/lab/files.h"
#include "guests/lab/frames.h"
#include "guests/lab/process.h"
#include "guests/lab/system_calls.h"
#include "guests/lab/terminal.h"
#include "guests/lab/timer.h"
#include "guests/runtime/apic.h"

extern "C" char image_end[];

namespace lab {

namespace {

constexpr unsigned divide_error = 0, page_fault = 14, exceptions = 32;
constexpr unsigned timer_line = 0, serial_line = 4;
constexpr word fault_was_write = 2, privilege_mask = 3;

bool from_user(const Frame& frame) { return (frame.cs & privilege_mask) != 0; }

/// A program's exception kills it; the kernel's own is the end.
void handle_exception(Frame& frame) {
  if (!from_user(frame)) {
    guest::print("lab: exception ", frame.vector, " error ", guest::Hex{frame.error}, " at ", guest::Hex{frame.rip},
                 " cr2 ", guest::Hex{guest::read_cr2()}, "\n");
    panic("exception in the kernel");
  }
  guest::print("lab: process ", current().number, " killed by exception ", frame.vector, "\n");
  end_current(killed_status + static_cast<int>(frame.vector));
}

void handle_divide_error(Frame& frame) {
  if (!from_user(frame) || current().divide_handler == 0) return handle_exception(frame);
  frame.rip = current().divide_handler;
}

/// The kernel's own accesses to a program's memory count as the program's.
void handle_page_fault(Frame& frame) {
  const word linear = guest::read_cr2();
  const FaultKind kind = (frame.error & fault_was_write) != 0 ? FaultKind::Write : FaultKind::Read;
  if (current().space.resolve(linear, kind)) return;
  if (!from_user(frame) && linear >= user_begin && linear < user_end) {
    guest::print("lab: process ", current().number, " killed by exception ", frame.vector, "\n");
    end_current(killed_status + static_cast<int>(page_fault));
  }
  handle_exception(frame);
}

void handle_tick(Frame& frame) {
  guest::end_of_pic_interrupt();
  receive_input();
  wake_sleepers(count_tick());
  if (from_user(frame)) schedule();
}

void handle_serial(Frame&) {
  guest::end_of_pic_interrupt();
  receive_input();
}

void install_handlers() {
  for (unsigned vector = 0; vector < exceptions; ++vector) guest::set_handler(vector, handle_exception);
  guest::set_handler(divide_error, handle_divide_error);
  guest::set_handler(page_fault, handle_page_fault);
  guest::set_handler(guest::pic_vector + timer_line, handle_tick);
  guest::set_handler(guest::pic_vector + serial_line, handle_serial);
}

}  // namespace

}  // namespace lab

guest::u32 kernel_main() {
  using namespace lab;
  read_boot_information();
  guest::print("lab: ", long_mode ? "64" : "32", "-bit\n");
  install_handlers();
  initialize_frames(reinterpret_cast<word>(image_end), memory_end());
  AddressSpace::initialize();
  initialize_system_calls();
  guest::initialize_pics(1u << timer_line | 1u << serial_line);
  initialize_terminal();
  start_timer();
  write_file("cmdline", command_line(), command_line_bytes());
  run_first("init", "");
}
