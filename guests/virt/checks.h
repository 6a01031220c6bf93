#pragma once

// One line for each fact that the manual asks for: "group: name: ok", or what was found instead. Features that a processor
// lacks are named as not present, so that every profile and every simulator prints the same number of lines.

#include "guests/runtime/console.h"

namespace guest {

/// A value that the manual leaves open.
constexpr u64 any = 0x616e'7900'616e'7900;

struct Field {
  const char* name;
  u64 got, wanted;
};

/// Names the group that the lines to come belong to.
void begin_group(const char* name);

/// Prints the beginning of a line, whose name the next check completes.
void open_line();
template <class... Parts>
void begin_line(const Parts&... parts) {
  open_line();
  print(parts...);
}

/// Prints one line; passes if every field is what it should be.
void check_fields(const char* name, const Field* fields, unsigned count);

template <class... Fields>
void check(const char* name, const Fields&... fields) {
  const Field all[] = {fields...};
  check_fields(name, all, sizeof...(fields));
}
inline void check_true(const char* name, bool holds) { check(name, Field{"holds", holds, 1}); }

/// Prints the line of a check whose feature this processor lacks.
void absent(const char* name);

/// Prints the line of a check that would end the simulator at hand, with the reason.
void leave_out(const char* name, const char* reason);
/// Prints that line on QEMU's interpreter; false elsewhere.
bool would_end_qemu(const char* name, const char* reason);

unsigned failed_checks();

}  // namespace guest
