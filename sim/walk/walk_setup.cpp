#include "sim/walk/walk_setup.h"

#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>

#include "sim/config/config_tree.h"

namespace bunshin {

namespace {

struct Scheme {
  std::string_view name;
  PagingMode mode;
};
constexpr std::array<Scheme, 5> schemes{{{"4level", PagingMode::FourLevel},
                                         {"5level", PagingMode::FiveLevel},
                                         {"pae", PagingMode::Pae},
                                         {"32bit", PagingMode::TwoLevel},
                                         {"none", PagingMode::None}}};

/// log2 of what an entry of `level` maps.
unsigned level_shift(PagingMode mode, unsigned level) {
  unsigned shift = 12;
  for (unsigned l = 1; l < level; ++l) shift += paging_format(mode).index_bits[l - 1];
  return shift;
}

std::string list(const std::vector<std::string>& names) {
  std::string text = names.front();
  for (std::size_t i = 1; i < names.size(); ++i) text += (i + 1 == names.size() ? " or " : ", ") + names[i];
  return text;
}

std::vector<unsigned> levels_of(const WalkStage& stage, unsigned first) {
  std::vector<unsigned> levels;
  if (!stage.present()) return levels;
  for (unsigned level = first; level >= stage.leaf_level(); --level) levels.push_back(level);
  return levels;
}

}  // namespace

unsigned WalkStage::leaf_level() const {
  unsigned level = 1;
  while (level < levels() && level_shift(mode, level) < shift) ++level;
  return level;
}

std::vector<unsigned> WalkSetup::guest_levels() const {
  const bool registers = paging_format(guest.mode).root_in_registers && pdpte_registers;
  return levels_of(guest, guest.levels() - (registers ? 1 : 0));
}

std::vector<unsigned> WalkSetup::host_levels() const { return levels_of(host, host.levels()); }

PagingMode parse_scheme(const std::string& option, const std::string& text) {
  std::vector<std::string> names;
  for (const Scheme& s : schemes) {
    if (s.name == text) return s.mode;
    names.emplace_back(s.name);
  }
  throw ConfigError(fmt::format("--{} {}: expected {}", option, text, list(names)));
}

std::string_view scheme_name(PagingMode mode) { return std::ranges::find(schemes, mode, &Scheme::mode)->name; }

std::vector<unsigned> page_shifts(PagingMode mode) {
  const PagingFormat& format = paging_format(mode);
  std::vector<unsigned> shifts;
  for (unsigned level = 1; level <= format.levels; ++level) {
    if (level == 1 || (format.large_levels >> level & 1) != 0) shifts.push_back(level_shift(mode, level));
  }
  return shifts;
}

std::string page_name(unsigned shift) {
  constexpr std::string_view units = "KMG";
  return fmt::format("{}{}", 1u << (shift % 10), units[shift / 10 - 1]);
}

unsigned parse_page(const std::string& option, PagingMode mode, const std::string& text) {
  std::string given = text;
  std::ranges::transform(given, given.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (mode == PagingMode::None) {
    if (given == "4K") return 12;
    const std::string owner = option == "guest-page" ? "guest" : "second-stage";
    throw ConfigError(fmt::format("--{} {}: without tables of that dimension (--{} none) there are no page sizes",
                                  option, text, owner));
  }
  std::vector<std::string> names;
  for (const unsigned shift : page_shifts(mode)) {
    if (page_name(shift) == given) return shift;
    names.push_back(page_name(shift));
  }
  throw ConfigError(
      fmt::format("--{} {}: {} tables map pages of {}", option, text, paging_format(mode).name, list(names)));
}

std::string_view entry_name(unsigned level) {
  constexpr std::array<std::string_view, 6> names{"data", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"};
  return names[level];
}

std::string level_name(const WalkSetup& setup, unsigned dimension, unsigned level) {
  if (dimension == 0) return "data";
  const std::string_view prefix = dimension == 2 ? "n" : setup.host.present() ? "g" : "";
  return fmt::format("{}L{}", prefix, level);
}

std::string_view format_name(SecondStageFormat format) { return format == SecondStageFormat::Ept ? "EPT" : "NPT"; }

std::string describe(const WalkSetup& setup) {
  const auto stage = [](const WalkStage& s, std::string_view what) {
    return fmt::format("{} {} ({})", paging_format(s.mode).name, what, page_name(s.shift));
  };
  std::string text;
  if (!setup.host.present()) {
    text = stage(setup.guest, "tables") + ", native";
  } else if (!setup.guest.present()) {
    text = fmt::format("guest without paging on {}", stage(setup.host, format_name(setup.format)));
  } else {
    text = fmt::format("{} on {}", stage(setup.guest, "guest"), stage(setup.host, format_name(setup.format)));
  }
  if (!setup.caches) return text + ", caches off";
  if (setup.warm == 0) return text + ", caches on, cold";
  return text + fmt::format(", caches on, after {} neighbouring page{}", setup.warm, setup.warm == 1 ? "" : "s");
}

}  // namespace bunshin
