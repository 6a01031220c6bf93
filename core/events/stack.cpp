#include "core/events/stack.h"

#include "core/events/segmentation.h"

namespace bunshin {

bool Stack::push(unsigned width, u64 value) {
  skip(~u64{width} + 1);
  if (fresh_ != nullptr) return push_fresh(width, value);
  switch (width) {
    case 2: return cpu_.store(Seg::SS, offset(), static_cast<u16>(value));
    case 4: return cpu_.store(Seg::SS, offset(), static_cast<u32>(value));
    default: return cpu_.store(Seg::SS, offset(), value);
  }
}

bool Stack::push_fresh(unsigned width, u64 value) {
  if (!within_limit(*fresh_, offset(), width)) return cpu_.raise(Vector::SS, selector_code(fresh_->selector));
  return cpu_.write_slow(static_cast<u32>(fresh_->base + offset()), &value, width, Cpu::Privilege::System);
}

bool Stack::pop(unsigned width, u64& value) {
  u16 word = 0;
  u32 dword = 0;
  switch (width) {
    case 2:
      if (!cpu_.load(Seg::SS, offset(), word)) return false;
      value = word;
      break;
    case 4:
      if (!cpu_.load(Seg::SS, offset(), dword)) return false;
      value = dword;
      break;
    default:
      if (!cpu_.load(Seg::SS, offset(), value)) return false;
      break;
  }
  skip(width);
  return true;
}

}  // namespace bunshin
