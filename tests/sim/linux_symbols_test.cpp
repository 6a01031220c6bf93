// The symbol table in a Linux kernel's memory: one made here in each of the layouts, and what only looks like one.

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "sim/debug/linux_symbols.h"

namespace bunshin {
namespace {

constexpr u64 base = 0xffffffff81000000, base_32 = 0xc1000000;
constexpr u32 symbols = 600;

std::vector<LinuxKernel> kernels_in(std::span<const u8> image) { return linux_kernels(image, HostPhysical(0)); }

class Image {
 public:
  explicit Image(std::size_t word) : word_(word) {}
  std::size_t size() const { return bytes_.size(); }
  void align() { bytes_.resize((bytes_.size() + word_ - 1) & ~(word_ - 1)); }
  template <class T>
  void put(T value) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(&bytes_[at], &value, sizeof(T));
  }
  void text(const std::string& s) {
    for (const char c : s) bytes_.push_back(static_cast<u8>(c));
    bytes_.push_back(0);
  }
  const std::vector<u8>& bytes() const { return bytes_; }

 private:
  std::vector<u8> bytes_ = std::vector<u8>(4096);
  std::size_t word_;
};

/// Symbol i is "tf" + its decimal digits, at base + 16 i. Token 1 is "tf", the others are their characters.
void put_names(Image& image, std::vector<u32>& markers) {
  const std::size_t begin = image.size();
  for (u32 i = 0; i < symbols; ++i) {
    if (i % 256 == 0) markers.push_back(static_cast<u32>(image.size() - begin));
    const std::string digits = std::to_string(i);
    image.put(static_cast<u8>(digits.size() + 1));
    image.put(u8{1});
    for (const char c : digits) image.put(static_cast<u8>(c));
  }
}

void put_tokens(Image& image) {
  std::vector<u16> index;
  const std::size_t begin = image.size();
  for (unsigned i = 0; i < 256; ++i) {
    index.push_back(static_cast<u16>(image.size() - begin));
    image.text(i == 1 ? "tf" : i < 33 || i > 126 ? "xy" : std::string(1, static_cast<char>(i)));
  }
  image.align();
  for (const u16 at : index) image.put(at);
}

void put_addresses(Image& image) {
  for (u32 i = 0; i < symbols; ++i) image.put(static_cast<i32>(-1 - static_cast<i32>(16 * i)));
  image.align();
  image.put(base);
}

/// i386 has no per-CPU addresses: distances count upward.
void put_addresses_32(Image& image) {
  for (u32 i = 0; i < symbols; ++i) image.put(16 * i);
  image.put(static_cast<u32>(base_32));
}

enum class Layout { Until64, With61Sequences, From65, Until64On32Bits, From65On32Bits };

bool is_32(Layout layout) { return layout == Layout::Until64On32Bits || layout == Layout::From65On32Bits; }

std::vector<u8> kernel(Layout layout) {
  Image image(is_32(layout) ? 4 : 8);
  const bool behind = layout == Layout::From65 || layout == Layout::From65On32Bits;
  const auto addresses = [&] { return is_32(layout) ? put_addresses_32(image) : put_addresses(image); };
  if (!behind) addresses();
  image.put(symbols);
  image.align();
  std::vector<u32> markers;
  put_names(image, markers);
  image.align();
  for (const u32 marker : markers) image.put(marker);
  image.align();
  if (layout == Layout::With61Sequences) {
    for (u32 i = 0; i < 3 * symbols; ++i) image.put(static_cast<u8>(i * 7));
    image.align();
  }
  put_tokens(image);
  if (behind) addresses();
  image.align();
  return image.bytes();
}

TEST(LinuxSymbols, AreReadFromEachLayout) {
  for (const Layout layout :
       {Layout::Until64, Layout::With61Sequences, Layout::From65, Layout::Until64On32Bits, Layout::From65On32Bits}) {
    const std::vector<LinuxKernel> kernels = kernels_in(kernel(layout));
    ASSERT_EQ(kernels.size(), 1u) << static_cast<int>(layout);
    const std::map<u64, std::string>& found = kernels.front().symbols;
    ASSERT_EQ(found.size(), symbols) << static_cast<int>(layout);
    const u64 first = is_32(layout) ? base_32 : base;
    EXPECT_EQ(found.at(first), "f0");
    EXPECT_EQ(found.at(first + u64{16} * 599), "f599");
  }
}

TEST(LinuxSymbols, EveryKernelInMemoryIsFound) {
  PhysicalMemory memory(64 << 20);
  EXPECT_TRUE(linux_kernels(memory).empty());
  const std::vector<u8> first = kernel(Layout::With61Sequences), second = kernel(Layout::Until64On32Bits);
  memory.write(HostPhysical(3 << 20), first);
  memory.write(HostPhysical(40 << 20), second);
  const std::vector<LinuxKernel> kernels = linux_kernels(memory);
  ASSERT_EQ(kernels.size(), 2u);
  EXPECT_EQ(kernels[0].symbols.at(base + 16), "f1");
  EXPECT_EQ(kernels[1].symbols.at(base_32 + 16), "f1");
  EXPECT_LT(kernels[0].table - HostPhysical(3 << 20), first.size());
  EXPECT_LT(kernels[1].table - HostPhysical(40 << 20), second.size());
}

TEST(LinuxSymbols, ThereAreNoneInOtherMemory) {
  EXPECT_TRUE(kernels_in(std::vector<u8>(100'000)).empty());
  EXPECT_TRUE(kernels_in(std::vector<u8>{}).empty());
}

TEST(LinuxSymbols, ATornTableIsNoTable) {
  const std::vector<u8> whole = kernel(Layout::With61Sequences);
  for (std::size_t length = 0; length < whole.size(); length += 61) {
    EXPECT_TRUE(kernels_in(std::span(whole).first(length)).empty()) << length;
  }
}

TEST(LinuxSymbols, ADamagedTableIsReadWithoutHarm) {
  std::vector<u8> image = kernel(Layout::Until64);
  for (std::size_t at = 4096; at < image.size(); at += 13) {
    const u8 before = image[at];
    image[at] = 0xff;
    kernels_in(image);
    image[at] = before;
  }
}

}  // namespace
}  // namespace bunshin
