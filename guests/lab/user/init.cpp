// The first process: runs what the command line names, in order, and powers off with how many failed.

#include "guests/lab/user/library.h"
#include "guests/lab/user/programs.h"

namespace user {

namespace {

constexpr unsigned line_bytes = 512;

/// One command of the line: "run=NAME ARGUMENTS" among words that may stand before it (the kernel's own name, "lab:").
int run_command(const char* command) {
  const char* at = command;
  while (*at != 0 && !starts_with(at, "run=")) ++at;
  if (*at == 0) return 0;
  char name[32];
  const char* const arguments = take_word(at + 4, name, sizeof(name));
  const int status = run(name, arguments);
  print("lab: ", name, " ended with status ", status, "\n");
  return status;
}

}  // namespace

int init(const char*) {
  char line[line_bytes];
  const word bytes = call(Call::ReadFile, address("cmdline"), address(line), line_bytes - 1);
  line[bytes] = 0;
  unsigned failed = 0;
  bool any = false;
  for (char* at = line; *at != 0;) {
    char* end = at;
    while (*end != 0 && *end != ';') ++end;
    const bool last = *end == 0;
    *end = 0;
    for (const char* c = at; *c != 0 && !any; ++c) any = starts_with(c, "run=");
    if (run_command(at) != 0) ++failed;
    at = last ? end : end + 1;
  }
  if (!any) failed = static_cast<unsigned>(run("shell", ""));
  print("lab: power off, ", failed, " failed\n");
  call(Call::PowerOff, failed == 0 ? 0 : 1);
  return 0;
}

}  // namespace user
