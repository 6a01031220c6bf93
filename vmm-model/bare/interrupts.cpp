#include "vmm-model/bare/interrupts.h"

#include <type_traits>

#include "vmm-model/machine/clock.h"
#include "vmm-model/message.h"

extern "C" bunshin::u8 interrupt_entries[];

namespace bunshin::vmm::bare {

namespace {

constexpr unsigned vectors = 256, entry_bytes = 16, exceptions = 32;

/// A gate of the processor's mode (SDM vol. 3, figures 6-2 and 6-8).
struct Gate64 {
  u16 offset_low = 0, selector = 0;
  u8 stack = 0, attributes = 0;
  u16 offset_middle = 0;
  u32 offset_high = 0, reserved = 0;

  static Gate64 to(u64 entry, u16 selector, u8 attributes) {
    return {static_cast<u16>(entry),       selector, 0, attributes, static_cast<u16>(entry >> 16),
            static_cast<u32>(entry >> 32), 0};
  }
};
struct Gate32 {
  u16 offset_low = 0, selector = 0;
  u8 reserved = 0, attributes = 0;
  u16 offset_high = 0;

  static Gate32 to(u64 entry, u16 selector, u8 attributes) {
    return {static_cast<u16>(entry), selector, 0, attributes, static_cast<u16>(entry >> 16)};
  }
};
using Gate = std::conditional_t<sizeof(void*) == 8, Gate64, Gate32>;

struct [[gnu::packed]] TablePointer {
  u16 limit;
  std::uintptr_t base;
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
    const u64 entry = reinterpret_cast<std::uintptr_t>(interrupt_entries) + i * entry_bytes;
    globals.table[i] = Gate::to(entry, code_selector, interrupt_gate);
  }
  const TablePointer pointer{sizeof(globals.table) - 1, reinterpret_cast<std::uintptr_t>(globals.table.data())};
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

// Arguments are words of the processor's mode.
extern "C" void bare_interrupt(std::uintptr_t number, std::uintptr_t error_code, std::uintptr_t rip,
                               std::uintptr_t cr2) {
  if (number == MachineClock::timer_vector) {
    *reinterpret_cast<volatile u32*>(static_cast<std::uintptr_t>(MachineClock::end_of_interrupt)) = 0;
    return;
  }
  if (number >= exceptions) return;
  Message what;
  what << "exception " << u64{number} << " error, rip, cr2:";
  fatal(what.text(), error_code, rip, cr2);
}

}  // namespace bunshin::vmm::bare
