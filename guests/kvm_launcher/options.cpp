#include "guests/kvm_launcher/options.h"

#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "guests/kvm_launcher/failure.h"

namespace launcher {

namespace {

constexpr const char* usage =
    "Runs a Linux kernel in a virtual machine of /dev/kvm; the guest's serial line is standard output.\n"
    "  kvm_launcher --kernel BZIMAGE [--initrd FILE] [--cmdline TEXT]\n"
    "  kvm_launcher --flat FILE                      64-bit code, loaded and entered at 1 MiB\n"
    "  kvm_launcher --exits cpuid|vmcall|vmmcall|port|apic [--rounds N]   cycles from the guest and back\n"
    "  --memory MIB (256)  --cpus N (1)  --seconds N (no limit)  --prefix TEXT  --input  --stats  --no-paravirtual\n"
    "Exit status: 0 the guest powered off (debug-exit port 0xf4: value 0), 1 it was reset, crashed or said so,\n"
    "  2 it could not be started, 3 KVM left it for a reason that is not handled here.\n";

std::uint64_t number(const char* option, const char* text, std::uint64_t least, std::uint64_t most) {
  char* end = nullptr;
  const std::uint64_t value = strtoull(text, &end, 0);
  if (*text < '0' || *text > '9' || *end != 0 || value < least || value > most) {
    fail(cannot_start, "%s takes a number from %llu to %llu, not '%s'", option, static_cast<unsigned long long>(least),
         static_cast<unsigned long long>(most), text);
  }
  return value;
}

/// Options without an argument. False if `name` is none of them.
bool parse_switch(const char* name, Options& options) {
  if (strcmp(name, "--stats") == 0) {
    options.stats = true;
  } else if (strcmp(name, "--input") == 0) {
    options.input = true;
  } else if (strcmp(name, "--no-paravirtual") == 0) {
    options.paravirtual = false;
  } else if (strcmp(name, "--help") == 0) {
    fputs(usage, stdout);
    exit(0);
  } else {
    return false;
  }
  return true;
}

bool parse_value(const char* name, const char* value, Options& options) {
  struct Text {
    const char* name;
    const char* Options::*field;
  };
  constexpr Text texts[] = {{"--kernel", &Options::kernel},   {"--initrd", &Options::initrd},
                            {"--cmdline", &Options::cmdline}, {"--flat", &Options::flat},
                            {"--exits", &Options::exits},     {"--prefix", &Options::prefix}};
  for (const Text& text : texts) {
    if (strcmp(name, text.name) != 0) continue;
    options.*text.field = value;
    return true;
  }
  if (strcmp(name, "--memory") == 0) {
    options.memory = number(name, value, 16, 1 << 20) << 20;
  } else if (strcmp(name, "--cpus") == 0) {
    options.processors = static_cast<unsigned>(number(name, value, 1, 64));
  } else if (strcmp(name, "--seconds") == 0) {
    options.seconds = static_cast<unsigned>(number(name, value, 1, 1'000'000));
  } else if (strcmp(name, "--rounds") == 0) {
    options.rounds = number(name, value, 1, 1'000'000'000);
  } else {
    return false;
  }
  return true;
}

}  // namespace

Options parse_options(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const char* name = arguments[i];
    if (parse_switch(name, options)) continue;
    const bool last = i + 1 == count;
    if (last || !parse_value(name, arguments[i + 1], options)) {
      fail(cannot_start, "%s '%s'; see kvm_launcher --help", last ? "no value for, or unknown:" : "unknown option",
           name);
    }
    ++i;
  }
  const int what = (options.kernel != nullptr) + (options.flat != nullptr) + (options.exits != nullptr);
  if (what != 1) fail(cannot_start, "one of --kernel, --flat and --exits is needed; see kvm_launcher --help");
  return options;
}

}  // namespace launcher
