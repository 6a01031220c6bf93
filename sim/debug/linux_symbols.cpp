#include "sim/debug/linux_symbols.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <string_view>
#include <vector>

namespace bunshin {

namespace {

constexpr std::size_t tokens = 256, symbols_per_marker = 256;

/// The token of a character that names use is that character. So the digits' tokens stand in a row.
constexpr std::string_view digit_tokens("0\0001\0002\0003\0004\0005\0006\0007\0008\0009\000", 20);

/// Where they are, from `from` on; the image's size if they are not.
std::size_t find_digits(std::span<const u8> image, std::size_t from) {
  const std::string_view text(reinterpret_cast<const char*>(image.data()), image.size());
  return std::min(text.find(digit_tokens, from), text.size());
}

/// As scripts/kallsyms.c writes it: names are compressed by a table of 256 tokens, an index into that, and markers, the
/// positions of every 256th name. Addresses are 32-bit distances from a base. Parts are aligned to a word of the kernel's.
class KallsymsTable {
 public:
  /// `word`: 8 bytes or 4.
  KallsymsTable(std::span<const u8> image, std::size_t word) : image_(image), word_(word) {}

  /// Of the table whose digits' tokens stand at `digits`; empty if there is none.
  std::map<u64, std::string> read(std::size_t digits) {
    std::map<u64, std::string> symbols;
    digits_ = digits;
    if (check_tokens() && find_names() && find_addresses()) collect(symbols);
    return symbols;
  }

 private:
  std::size_t aligned(std::size_t position) const { return (position + word_ - 1) & ~(word_ - 1); }
  template <class T>
  T get(std::size_t position) const {
    T value{};
    if (position <= image_.size() && image_.size() - position >= sizeof(T))
      std::memcpy(&value, &image_[position], sizeof(T));
    return value;
  }

  /// The digits have 48 other tokens in front of them.
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
    for (std::size_t at = table_ & ~(word_ - 1); at >= lowest + 2 * word_; at -= word_) {
      count_ = get<u32>(at - word_);
      if ((word_ == 8 && get<u32>(at - 4) != 0) || count_ < symbols_per_marker || count_ > table_ - at) continue;
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

  /// An address in the half of the address space that kernels have.
  bool is_kernel(u64 address) const { return word_ == 8 ? address >> 40 == 0xffffff : address >> 31 == 1; }
  u64 address_at(std::size_t position) const { return word_ == 8 ? get<u64>(position) : get<u32>(position); }

  /// Until Linux 6.4 addresses stand in front of the names, then behind the tokens' index.
  bool find_addresses() {
    const std::size_t before = names_ - 2 * word_;
    base_ = address_at(before);
    if (is_kernel(base_)) {
      if (before < 4 * count_) return false;
      offsets_ = (before - 4 * count_) & ~(word_ - 1);
      return true;
    }
    offsets_ = aligned(index_ + 2 * tokens);
    base_ = address_at(aligned(offsets_ + 4 * count_));
    return is_kernel(base_);
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
  std::size_t word_;
  std::size_t digits_ = 0;  ///< where the token of '0' is
  std::array<std::size_t, tokens> token_{};
  std::size_t table_ = 0, index_ = 0, markers_ = 0, names_ = 0, count_ = 0, offsets_ = 0;
  u64 base_ = 0;
};

std::map<u64, std::string> symbols_at(std::span<const u8> image, std::size_t digits) {
  std::map<u64, std::string> symbols = KallsymsTable(image, 8).read(digits);
  return symbols.empty() ? KallsymsTable(image, 4).read(digits) : symbols;
}

}  // namespace

std::vector<LinuxKernel> linux_kernels(std::span<const u8> bytes, HostPhysical begin) {
  // In front of their tokens the largest kernels have less than this of names and addresses, and behind them of addresses.
  constexpr std::size_t before = std::size_t{32} << 20, behind = std::size_t{8} << 20;
  std::vector<LinuxKernel> kernels;
  for (std::size_t at = find_digits(bytes, 0); at != bytes.size(); at = find_digits(bytes, at + 1)) {
    const std::size_t first = at > before ? (at - before) & ~std::size_t{page_size - 1} : 0;
    const std::size_t end = std::min(bytes.size(), at + behind);
    std::map<u64, std::string> symbols = symbols_at(bytes.subspan(first, end - first), at - first);
    if (!symbols.empty()) kernels.push_back({begin + at, std::move(symbols)});
  }
  return kernels;
}

std::vector<LinuxKernel> linux_kernels(const PhysicalMemory& memory) {
  std::vector<LinuxKernel> kernels;
  for (const PhysicalMemory::Run& run : memory.touched()) {
    std::ranges::move(linux_kernels(run.bytes, run.begin), std::back_inserter(kernels));
  }
  return kernels;
}

}  // namespace bunshin
