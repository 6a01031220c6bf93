#include "sim/debug/linux_symbols.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

namespace bunshin {

namespace {

constexpr std::size_t tokens = 256, symbols_per_marker = 256;

constexpr std::size_t aligned(std::size_t position) { return (position + 7) & ~std::size_t{7}; }

/// As scripts/kallsyms.c writes it: names are compressed by a table of 256 tokens, an index into that, and markers, the
/// positions of every 256th name. Addresses are 32-bit distances from a base.
class KallsymsTable {
 public:
  explicit KallsymsTable(std::span<const u8> image) : image_(image) {}

  std::map<u64, std::string> read() {
    std::map<u64, std::string> symbols;
    for (std::size_t from = 0; find_tokens(from); from = digits_ + 1) {
      if (find_names() && find_addresses()) {
        collect(symbols);
        return symbols;
      }
    }
    return symbols;
  }

 private:
  template <class T>
  T get(std::size_t position) const {
    T value{};
    if (position <= image_.size() && image_.size() - position >= sizeof(T))
      std::memcpy(&value, &image_[position], sizeof(T));
    return value;
  }

  /// The token of a character that names use is that character. So the digits stand in a row, behind 48 other tokens.
  bool find_tokens(std::size_t from) {
    static constexpr std::array<u8, 20> digits{'0', 0, '1', 0, '2', 0, '3', 0, '4', 0,
                                               '5', 0, '6', 0, '7', 0, '8', 0, '9', 0};
    while (from < image_.size()) {
      const auto found =
          std::search(image_.begin() + static_cast<std::ptrdiff_t>(from), image_.end(), digits.begin(), digits.end());
      if (found == image_.end()) return false;
      digits_ = static_cast<std::size_t>(found - image_.begin());
      if (check_tokens()) return true;
      from = digits_ + 1;
    }
    return false;
  }

  /// Back to the second token, on to the index, which says where the first one begins: nothing need be in front of that.
  bool check_tokens() {
    std::size_t at = digits_;
    for (unsigned i = 1; i < '0'; ++i) {
      if (at < 2) return false;
      --at;
      while (at > 0 && image_[at - 1] != 0) --at;
    }
    const std::size_t second = at;
    for (unsigned i = 1; i < tokens; ++i) {
      token_[i] = at;
      while (at < image_.size() && image_[at] != 0) ++at;
      ++at;
    }
    index_ = aligned(at);
    const std::size_t first_length = get<u16>(index_ + 2);
    if (first_length > second) return false;
    table_ = token_[0] = second - first_length;
    for (unsigned i = 0; i < tokens; ++i) {
      if (get<u16>(index_ + 2 * i) != token_[i] - table_) return false;
    }
    return index_ + 2 * tokens <= image_.size();
  }

  /// Somewhere in front of the tokens: the number of names, the names, and behind them the markers, which agree. (What lies
  /// between markers and tokens differs.)
  bool find_names() {
    constexpr std::size_t farthest = std::size_t{16} << 20;
    const std::size_t lowest = table_ > farthest ? table_ - farthest : 0;
    for (std::size_t at = table_ & ~std::size_t{7}; at >= lowest + 16; at -= 8) {
      count_ = get<u32>(at - 8);
      if (get<u32>(at - 4) != 0 || count_ < symbols_per_marker || count_ > table_ - at) continue;
      names_ = at;
      if (check_markers()) return true;
    }
    return false;
  }

  bool check_markers() {
    const std::size_t second = skip_names(names_, symbols_per_marker);
    markers_ = aligned(skip_names(second, count_ - symbols_per_marker));
    return second != 0 && markers_ > second && markers_ < table_ && get<u32>(markers_) == 0 &&
           get<u32>(markers_ + 4) == second - names_;
  }

  /// Length of the compressed name at `at`, which moves behind it: one byte, or two if the first one's top bit is set.
  std::size_t name_length(std::size_t& at) const {
    std::size_t length = get<u8>(at++);
    if ((length & 0x80) != 0) length = (length & 0x7f) | std::size_t{get<u8>(at++)} << 7;
    return length;
  }
  /// Behind the next `number` names; 0 if these are none.
  std::size_t skip_names(std::size_t at, std::size_t number) const {
    for (std::size_t i = 0; i < number; ++i) {
      const std::size_t length = name_length(at);
      if (length == 0 || at >= table_) return 0;
      at += length;
    }
    return at;
  }

  /// Until Linux 6.4 addresses stand in front of the names, then behind the tokens' index.
  bool find_addresses() {
    const auto kernel = [](u64 address) { return address >> 40 == 0xffffff; };
    base_ = get<u64>(names_ - 16);
    if (kernel(base_)) {
      if (names_ - 16 < 4 * count_) return false;
      offsets_ = (names_ - 16 - 4 * count_) & ~std::size_t{7};
      return true;
    }
    offsets_ = index_ + 2 * tokens;
    base_ = get<u64>(aligned(offsets_ + 4 * count_));
    return kernel(base_);
  }

  void collect(std::map<u64, std::string>& symbols) const {
    std::size_t negative = 0;
    for (std::size_t i = 0; i < count_; ++i) negative += get<u32>(offsets_ + 4 * i) >> 31;
    // With CONFIG_KALLSYMS_ABSOLUTE_PERCPU distances are negative, and addresses of per-CPU data are not.
    const bool absolute = negative > count_ / 2;
    std::size_t at = names_;
    for (std::size_t i = 0; i < count_ && at < markers_; ++i) {
      std::string name;
      for (std::size_t left = name_length(at); left != 0; --left) {
        for (std::size_t c = token_[get<u8>(at++)]; c < image_.size() && image_[c] != 0; ++c)
          name += static_cast<char>(image_[c]);
      }
      const u32 offset = get<u32>(offsets_ + 4 * i);
      if (name.size() < 2 || (name[0] != 't' && name[0] != 'T' && name[0] != 'W' && name[0] != 'w')) continue;
      if (absolute && offset >> 31 == 0) continue;
      symbols.try_emplace(
          absolute ? base_ - 1 - static_cast<u64>(static_cast<i64>(static_cast<i32>(offset))) : base_ + offset,
          name.substr(1));
    }
  }

  std::span<const u8> image_;
  std::size_t digits_ = 0;  ///< where the token of '0' is
  std::array<std::size_t, tokens> token_{};
  std::size_t table_ = 0, index_ = 0, markers_ = 0, names_ = 0, count_ = 0, offsets_ = 0;
  u64 base_ = 0;
};

}  // namespace

std::map<u64, std::string> linux_symbols(std::span<const u8> image) { return KallsymsTable(image).read(); }

std::map<u64, std::string> linux_symbols(const Cpu& cpu) {
  constexpr u64 before = u64{32} << 20;
  constexpr u64 size = u64{96} << 20;
  const u64 entry = cpu.state.msr.lstar;
  if (entry >> 31 != 0x1ffffffff || cpu.mode.bits != 64) return {};
  std::vector<u8> image(size);
  const u64 begin = (entry - before) & ~(page_size - 1);
  for (u64 at = 0; at < size; at += page_size) {
    if (begin + at < begin) break;
    const std::optional<HostPhysical> physical = cpu.mmu.peek(Linear(begin + at));
    if (physical) cpu.memory.read(*physical, std::span(image).subspan(at, page_size));
  }
  return linux_symbols(image);
}

}  // namespace bunshin
