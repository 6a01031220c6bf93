#pragma once

// What the launcher says about itself goes to standard error; standard output is the guest's console.

namespace launcher {

/// Exit statuses of the program.
enum Status : int {
  guest_powered_off = 0,
  guest_failed = 1,    ///< reset, triple fault, or a non-zero value at the debug-exit port
  cannot_start = 2,    ///< bad usage, an unreadable file, or no usable /dev/kvm
  cannot_continue = 3  ///< KVM left the guest for a reason that this program does not handle
};

/// Prints "kvm_launcher: TEXT" (as printf) and ends the program.
[[noreturn]] void fail(int status, const char* format, ...) __attribute__((format(printf, 2, 3)));

/// The same with the text of errno.
[[noreturn]] void fail_errno(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace launcher
