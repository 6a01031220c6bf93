#include "guests/virt/checks.h"

namespace guest {

namespace {

const char* group = "";
unsigned failed = 0;
bool line_is_open = false;

}  // namespace

void open_line() {
  if (!line_is_open) print(group, ": ");
  line_is_open = true;
}

void begin_group(const char* name) { group = name; }

void check_fields(const char* name, const Field* fields, unsigned count) {
  begin_line(name, ": ");
  line_is_open = false;
  bool passed = true;
  for (unsigned i = 0; i < count; ++i) {
    const Field& field = fields[i];
    if (field.wanted == any || field.got == field.wanted) continue;
    print(passed ? "FAILED " : ", ", field.name, " ", Hex{field.got}, " not ", Hex{field.wanted});
    passed = false;
  }
  print(passed ? "ok\n" : "\n");
  failed += passed ? 0 : 1;
}

void absent(const char* name) {
  begin_line(name, ": not present\n");
  line_is_open = false;
}

void leave_out(const char* name, const char* reason) {
  begin_line(name, ": left out, ", reason, "\n");
  line_is_open = false;
}

bool would_end_qemu(const char* name, const char* reason) {
  const CpuId leaf = cpuid(0x4000'0000);
  constexpr u32 tcgt = 0x5447'4354, cgtc = 0x4354'4743;
  if (leaf.ebx != tcgt || leaf.ecx != cgtc) return false;
  leave_out(name, reason);
  return true;
}

unsigned failed_checks() { return failed; }

}  // namespace guest
