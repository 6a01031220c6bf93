#include "vmm-model/config.h"

#include <algorithm>

namespace bunshin::vmm {

namespace {

constexpr u64 page = 4096, max_memory = u64{1} << 40, min_memory = u64{1} << 20;

constexpr bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && is_blank(s.front())) s.remove_prefix(1);
  while (!s.empty() && is_blank(s.back())) s.remove_suffix(1);
  return s;
}

/// A whole number, no sign, and what follows it.
bool number(std::string_view& s, u64& value) {
  value = 0;
  std::size_t digits = 0;
  while (digits < s.size() && s[digits] >= '0' && s[digits] <= '9') {
    const u64 digit = static_cast<u64>(s[digits] - '0');
    if (value > (~u64{0} - digit) / 10) return false;
    value = value * 10 + digit;
    ++digits;
  }
  s.remove_prefix(digits);
  return digits != 0;
}

bool bytes(std::string_view s, u64& value) {
  if (!number(s, value)) return false;
  if (s.ends_with("iB")) s.remove_suffix(2);
  const unsigned shift = s == "K" ? 10 : s == "M" ? 20 : s == "G" ? 30 : 0;
  if (shift == 0 && !s.empty()) return false;
  if (value > ~u64{0} >> shift) return false;
  value <<= shift;
  return true;
}

bool microseconds(std::string_view s, u64& value) {
  if (!number(s, value)) return false;
  const u64 unit = s == "us" ? 1 : s == "ms" ? 1000 : s == "s" ? 1'000'000 : 0;
  if (unit == 0 || value > 1'000'000'000 / unit) return false;
  value *= unit;
  return true;
}

bool paging_mode(std::string_view s, PagingChoice& paging) {
  for (const PagingChoice choice :
       {PagingChoice::Nested, PagingChoice::VirtualTlb, PagingChoice::Shadow, PagingChoice::SoftwareTlb}) {
    if (s != name_of(choice)) continue;
    paging = choice;
    return true;
  }
  return false;
}

class Parser {
 public:
  explicit Parser(VmmConfig& config) : config_(config) {}

  /// The problem of one line, empty if there is none.
  std::string_view line(std::string_view text);
  std::string_view finish();

 private:
  std::string_view section(std::string_view text);
  std::string_view global(std::string_view key, std::string_view value);
  std::string_view of_guest(std::string_view key, std::string_view value);
  static std::string_view add_initrd(GuestConfig& guest, std::string_view value);
  std::string_view check_last() const;

  VmmConfig& config_;
};

std::string_view Parser::line(std::string_view text) {
  text = trimmed(text);
  if (text.empty() || text.front() == '#') return {};
  if (text.front() == '[') return section(text);
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return "expected KEY = VALUE or [guest NAME]";
  const std::string_view key = trimmed(text.substr(0, equals)), value = trimmed(text.substr(equals + 1));
  if (value.empty()) return "no value behind the =";
  return config_.guest_count == 0 ? global(key, value) : of_guest(key, value);
}

std::string_view Parser::section(std::string_view text) {
  constexpr std::string_view word = "[guest";
  if (!text.starts_with(word) || !text.ends_with(']')) return "the only section is [guest NAME]";
  const std::string_view name = trimmed(text.substr(word.size(), text.size() - word.size() - 1));
  if (name.empty() || name.size() > 32) return "a guest's name has 1 to 32 characters: [guest NAME]";
  for (unsigned i = 0; i < config_.guest_count; ++i) {
    if (config_.guests[i].name == name) return "there is a guest of that name already";
  }
  if (const std::string_view problem = check_last(); !problem.empty()) return problem;
  if (config_.guest_count == VmmConfig::max_guests) return "too many guests: at most 128";
  config_.guests[config_.guest_count] = GuestConfig{};
  config_.guests[config_.guest_count++].name = name;
  return {};
}

std::string_view Parser::global(std::string_view key, std::string_view value) {
  if (key == "paging") return paging_mode(value, config_.paging) ? "" : "paging is shadow, vtlb, nested or software";
  if (key == "nested_page") {
    const bool good =
        bytes(value, config_.nested_page) &&
        (config_.nested_page == page || config_.nested_page == page << 9 || config_.nested_page == page << 18);
    return good ? "" : "nested_page is 4K, 2M or 1G";
  }
  if (key == "slice") {
    return microseconds(value, config_.slice_us) && config_.slice_us >= 100 ? ""
                                                                            : "slice is a time from 100us to 1000s";
  }
  if (key == "execution") {
    config_.deprivileged = value == "deprivileged";
    return config_.deprivileged || value == "auto" ? "" : "execution is auto or deprivileged";
  }
  if (key == "scan") {
    config_.scan = value == "on";
    return config_.scan || value == "off" ? "" : "scan is on or off";
  }
  return "unknown key; before the first [guest NAME] there are paging, nested_page, slice, execution and scan";
}

std::string_view Parser::of_guest(std::string_view key, std::string_view value) {
  GuestConfig& guest = config_.guests[config_.guest_count - 1];
  if (key == "memory") {
    const bool good = bytes(value, guest.memory) && guest.memory % page == 0 && guest.memory >= min_memory &&
                      guest.memory <= max_memory;
    return good ? "" : "memory is a size like 256M, whole pages, from 1M";
  }
  if (key == "kernel") return guest.kernel = value, "";
  if (key == "initrd") return add_initrd(guest, value);
  if (key == "cmdline") return guest.cmdline = value, "";
  if (key == "disk") return guest.disk = value, "";
  if (key == "paging") {
    guest.paging_chosen = true;
    return paging_mode(value, guest.paging) ? "" : "paging is shadow, vtlb, nested or software";
  }
  if (key == "limit") return microseconds(value, guest.limit_us) ? "" : "limit is a time like 500ms, up to 1000s";
  return "unknown key; a guest has memory, kernel, initrd, cmdline, disk, paging and limit";
}

std::string_view Parser::add_initrd(GuestConfig& guest, std::string_view value) {
  if (guest.initrd_count == guest.initrds.size()) return "too many initrds: a guest has at most 32";
  const std::size_t blank = std::min(value.find_first_of(" \t"), value.size());
  guest.initrds[guest.initrd_count++] = {value.substr(0, blank), trimmed(value.substr(blank))};
  return {};
}

std::string_view Parser::check_last() const {
  if (config_.guest_count != 0 && config_.guests[config_.guest_count - 1].kernel.empty()) {
    return "the guest above has no kernel";
  }
  return {};
}

std::string_view Parser::finish() {
  if (config_.guest_count == 0) return "no guest: add [guest NAME] with a kernel";
  for (unsigned i = 0; i < config_.guest_count; ++i) {
    if (!config_.guests[i].paging_chosen) config_.guests[i].paging = config_.paging;
  }
  return check_last();
}

}  // namespace

std::string_view name_of(PagingChoice paging) {
  switch (paging) {
    case PagingChoice::Nested: return "nested";
    case PagingChoice::VirtualTlb: return "vtlb";
    case PagingChoice::SoftwareTlb: return "software";
    default: return "shadow";
  }
}

ConfigProblem parse_config(std::string_view text, VmmConfig& config) {
  config.guest_count = 0;
  Parser parser(config);
  ConfigProblem at;
  // Modules may be padded with zeros.
  text = text.substr(0, text.find('\0'));
  while (!text.empty()) {
    ++at.line;
    const std::size_t end = std::min(text.find('\n'), text.size());
    at.text = text.substr(0, end);
    at.problem = parser.line(at.text);
    if (!at.problem.empty()) {
      const std::size_t first = at.text.find_first_not_of(" \t");
      at.column = static_cast<unsigned>(first == std::string_view::npos ? 1 : first + 1);
      return at;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  at.problem = parser.finish();
  at.text = {};
  return at;
}

}  // namespace bunshin::vmm
