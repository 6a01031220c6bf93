#include "guests/kvm_launcher/failure.h"

#include <unistd.h>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace launcher {

void fail(int status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("kvm_launcher: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  _exit(status);
}

void fail_errno(const char* format, ...) {
  const int error = errno;
  va_list arguments;
  va_start(arguments, format);
  fputs("kvm_launcher: ", stderr);
  vfprintf(stderr, format, arguments);
  fprintf(stderr, ": %s\n", strerror(error));
  va_end(arguments);
  _exit(cannot_start);
}

}  // namespace launcher
