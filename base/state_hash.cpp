#include "base/state_hash.h"

#include <cstring>

namespace bunshin {

void StateHash::add(std::span<const u8> bytes) {
  add(u64{bytes.size()});
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    u64 word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    add(word);
  }
  if (i < bytes.size()) {
    u64 word = 0;
    std::memcpy(&word, bytes.data() + i, bytes.size() - i);
    add(word);
  }
}

}  // namespace bunshin
