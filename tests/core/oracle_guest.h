#pragma once

// The modeled processor in the situation of oracle_host.h: user code of a 64-bit operating system, the same pages
// mapped, the same descriptor tables, faults caught by gates into the kernel.

#include <span>

#include "tests/core/engine_fixture.h"
#include "tests/core/oracle_state.h"

namespace bunshin::oracle {

class GuestProcessor {
 public:
  /// `with_ldt`: the local segments exist.
  GuestProcessor(CodeKind kind, std::string vendor, bool with_ldt);

  /// Executes one instruction.
  Outcome run(const Registers& registers, u64 rip);
  void write_code(u64 address, std::span<const u8> bytes);
  /// RAM behind a mapped linear address, to the end of its mapping.
  u8* at(u64 address);
  TestMachine& machine() { return machine_; }

 private:
  /// Linear address of physical 0; the rest are physical.
  static constexpr u64 kernel = 0xffff'8000'0000'0000;
  static constexpr u64 idt = 0x1'0000, gdt = 0x1'1000, tss = 0x1'2000, ldt = 0x1'3000, handlers = 0x2'0000,
                       kernel_stack = 0x9'0000;
  void build_page_tables();
  void build_descriptor_tables();
  void enter_user(const Registers& registers);
  void load(const Registers& registers);
  Registers store() const;

  CodeKind kind_;
  bool with_ldt_;
  TestMachine machine_;
};

}  // namespace bunshin::oracle
