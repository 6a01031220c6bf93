#pragma once

// System calls: the number in RAX, arguments in RDI, RSI and RDX, the result in RAX. With SYSCALL on 64-bit processors, INT 80H
// on 32-bit ones. All ones is refusal.

namespace lab {

enum class Call : unsigned {
  Nothing,  ///< what a system call costs by itself
  Exit,     ///< (status)
  Fork,     ///< the child's number, 0 in the child
  Execute,  ///< (name, arguments): the first word of what the program gets is its name
  Wait,     ///< (number, int* status): until that child ends
  Write,    ///< (text, bytes) to the console
  Read,     ///< (text, bytes) from the console: at least one byte
  ProcessNumber,
  Yield,
  Sleep,          ///< (ticks)
  Ticks,          ///< since the start, 100 a second
  Arguments,      ///< (text, bytes)
  ReadFile,       ///< (name, text, bytes): from its beginning
  WriteFile,      ///< (name, text, bytes): replaces the file
  FileName,       ///< (index, text, bytes)
  Unmap,          ///< (begin, end) of heap pages
  MapLarge,       ///< (bytes): where they are
  OnDivideError,  ///< (address): where the program goes on after #DE
  FreePages,
  KernelLoop,  ///< (KernelLoop, count, u64* cycles)
  Sensitive,   ///< reports what instructions that do not trap show the kernel
  Misbehave,   ///< (Misbehaviour)
  PowerOff,    ///< (status)
};

/// Loops whose operations only the kernel may do.
enum class KernelLoop : unsigned { Empty, In, WriteCr8, ModifyEntry };

enum class Misbehaviour : unsigned { Panic, Hang, Scribble, TripleFault };

}  // namespace lab
