#pragma once

// What `bunshin walk` is asked to show: one translation, by its paging modes, page sizes and caches.

#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "mmu/paging_mode.h"

namespace bunshin {

/// One dimension: how an address space is mapped, and the page that the address at hand lies in.
struct WalkStage {
  PagingMode mode = PagingMode::FourLevel;
  unsigned shift = 12;  ///< log2 of the page's bytes

  bool present() const { return mode != PagingMode::None; }
  /// Level of the entry that maps the page; 1 holds the entries of 4 KiB pages.
  unsigned leaf_level() const;
  /// Of the root table.
  unsigned levels() const { return paging_format(mode).levels; }
};

enum class SecondStageFormat : u8 { Ept, Npt };

struct WalkSetup {
  WalkStage guest;
  WalkStage host;
  SecondStageFormat format = SecondStageFormat::Ept;
  /// A PAE guest's page-directory-pointer entries were loaded into registers when CR3 was: the walk does not read them.
  bool pdpte_registers = true;
  bool caches = false;
  unsigned warm = 1;  ///< neighbouring pages translated and read before, if caches are on

  /// Levels of the guest that a walk reads from memory, root first; then those of the second stage.
  std::vector<unsigned> guest_levels() const;
  std::vector<unsigned> host_levels() const;
};

/// "4level", "5level", "pae", "32bit", "none" and back. Throws ConfigError naming `option`.
PagingMode parse_scheme(const std::string& option, const std::string& text);
std::string_view scheme_name(PagingMode mode);
/// "4K", "2M", "4M", "1G" and back; of the sizes that `mode` has. Throws ConfigError saying which are possible.
unsigned parse_page(const std::string& option, PagingMode mode, const std::string& text);
std::string page_name(unsigned shift);
/// Sizes of pages of a mode, by log2 of their bytes.
std::vector<unsigned> page_shifts(PagingMode mode);

/// The manual's name of an entry: PML5E, PML4E, PDPTE, PDE, PTE.
std::string_view entry_name(unsigned level);
/// Level as textbooks number it: gL4 and nL4 with a second stage, L4 without.
std::string level_name(const WalkSetup& setup, unsigned dimension, unsigned level);
/// "EPT" or "NPT".
std::string_view format_name(SecondStageFormat format);
/// "4-level guest (4K) on a 4-level EPT (4K), caches off".
std::string describe(const WalkSetup& setup);

}  // namespace bunshin
