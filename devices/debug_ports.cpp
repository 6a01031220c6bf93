#include "devices/debug_ports.h"

namespace bunshin {

u64 IsaDebugExit::read(unsigned, u64, unsigned) { return 0; }

void IsaDebugExit::write(unsigned, u64, unsigned, u64 value) {
  value_ = static_cast<u32>(value);
  host_.set_pin(0, true);
}

u64 DebugConsole::read(unsigned, u64, unsigned) { return 0xe9; }

void DebugConsole::write(unsigned, u64, unsigned, u64 value) {
  if (console_ != nullptr) console_->transmit(static_cast<u8>(value));
}

u64 PostCode::read(unsigned, u64, unsigned) { return code_; }

void PostCode::write(unsigned, u64, unsigned, u64 value) { code_ = static_cast<u8>(value); }

}  // namespace bunshin
