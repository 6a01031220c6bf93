#include "vmm-model/bare/interrupts.h"

#include "vmm-model/machine/clock.h"
#include "vmm-model/message.h"

extern "C" bunshin::u8 interrupt_entries[];

namespace bunshin::vmm::bare {

namespace {

constexpr unsigned vectors = 256, entry_bytes = 16, exceptions = 32;

struct Gate {
  u16 offset_low = 0, selector = 0;
  u8 stack = 0, attributes = 0;
  u16 offset_middle = 0;
  u32 offset_high = 0, reserved = 0;
};

struct [[gnu::packed]] TablePointer {
  u16 limit;
  u64 base;
};

// What the processor itself reaches without an argument: its interrupt table, and the console for the last message.
struct ProcessorGlobals {
  alignas(16) std::array<Gate, vectors> table;
  Hardware* console;
};
ProcessorGlobals globals;

}  // namespace

void load_interrupt_table() {
  constexpr u16 code_selector = 0x08;
  constexpr u8 interrupt_gate = 0x8e;
  for (unsigned i = 0; i < vectors; ++i) {
    const u64 entry = reinterpret_cast<u64>(interrupt_entries) + i * entry_bytes;
    globals.table[i] = {static_cast<u16>(entry),
                        code_selector,
                        0,
                        interrupt_gate,
                        static_cast<u16>(entry >> 16),
                        static_cast<u32>(entry >> 32),
                        0};
  }
  const TablePointer pointer{sizeof(globals.table) - 1, reinterpret_cast<u64>(globals.table.data())};
  asm volatile("lidt %0" : : "m"(pointer));
}

void set_fatal_console(Hardware& hardware) { globals.console = &hardware; }

[[noreturn]] void fatal(std::string_view what, u64 first, u64 second, u64 third) {
  if (globals.console != nullptr) {
    Message message;
    message << "bunshin-vmm: FATAL: " << what << " " << hex(first) << " " << hex(second) << " " << hex(third) << "\n";
    globals.console->log(message.text());
    globals.console->power_off(false);
  }
  for (;;) asm volatile("cli; hlt");
}

extern "C" void bare_interrupt(u64 number, u64 error_code, u64 rip, u64 cr2) {
  if (number == MachineClock::timer_vector) {
    *reinterpret_cast<volatile u32*>(MachineClock::end_of_interrupt) = 0;
    return;
  }
  if (number >= exceptions) return;
  Message what;
  what << "exception " << number << " error, rip, cr2:";
  fatal(what.text(), error_code, rip, cr2);
}

}  // namespace bunshin::vmm::bare
