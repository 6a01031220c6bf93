#include "sim/config/units.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <vector>

#include <fmt/format.h>

namespace bunshin {

namespace {

struct Suffix {
  std::string_view text;
  u64 factor;
};

constexpr std::array<Suffix, 5> byte_suffixes{
    {{"TiB", u64{1} << 40}, {"GiB", u64{1} << 30}, {"MiB", u64{1} << 20}, {"KiB", u64{1} << 10}, {"B", 1}}};
constexpr std::array<Suffix, 4> hertz_suffixes{{{"GHz", 1'000'000'000}, {"MHz", 1'000'000}, {"kHz", 1'000}, {"Hz", 1}}};
// "s" last: the others end with it.
constexpr std::array<Suffix, 3> microsecond_suffixes{{{"ms", 1'000}, {"us", 1}, {"s", 1'000'000}}};

std::span<const Suffix> suffixes(std::string_view unit) {
  if (unit == "bytes") return byte_suffixes;
  if (unit == "Hz") return hertz_suffixes;
  if (unit == "us") return microsecond_suffixes;
  return {};
}

std::optional<u64> parse_digits(std::string_view text, int base) {
  u64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

/// "2.5" times factor, exactly.
std::optional<u64> parse_scaled(std::string_view number, u64 factor) {
  const std::size_t point = number.find('.');
  const std::optional<u64> whole = parse_digits(number.substr(0, point), 10);
  if (!whole) return std::nullopt;
  u128 result = u128{*whole} * factor;
  if (point != std::string_view::npos) {
    const std::string_view digits = number.substr(point + 1);
    const std::optional<u64> fraction = parse_digits(digits, 10);
    if (!fraction || digits.size() > 12) return std::nullopt;
    u128 scale = 1;
    for (std::size_t i = 0; i < digits.size(); ++i) scale *= 10;
    if (u128{*fraction} * factor % scale != 0) return std::nullopt;
    result += u128{*fraction} * factor / scale;
  }
  if (result > ~u64{0}) return std::nullopt;
  return static_cast<u64>(result);
}

}  // namespace

std::optional<u64> parse_quantity(std::string_view text, std::string_view unit) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (text.starts_with("0x") || text.starts_with("0X")) return parse_digits(text.substr(2), 16);
  u64 factor = 1;
  for (const Suffix& s : suffixes(unit)) {
    if (!text.ends_with(s.text)) continue;
    factor = s.factor;
    text.remove_suffix(s.text.size());
    break;
  }
  if (factor == 1 && !unit.empty() && text.size() > unit.size() && text.ends_with(unit)) {
    text.remove_suffix(unit.size());
  }
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return parse_scaled(text, factor);
}

std::string format_quantity(u64 value, std::string_view unit) {
  for (const Suffix& s : suffixes(unit)) {
    if (value != 0 && s.factor != 1 && value % s.factor == 0) return fmt::format("{}{}", value / s.factor, s.text);
  }
  return fmt::format("{}", value);
}

unsigned edit_distance(std::string_view a, std::string_view b) {
  std::vector<unsigned> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<unsigned>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    unsigned diagonal = row[0];
    row[0] = static_cast<unsigned>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const unsigned substitution = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitution});
    }
  }
  return row[b.size()];
}

}  // namespace bunshin
