#pragma once

// The hypervisor's configuration: a small text that the boot loader hands over as the first module.
//
//   paging = nested            # shadow | vtlb | nested | software
//   nested_page = 2M           # 4K | 2M | 1G: second-stage pages
//   slice = 10ms               # a guest's turn
//   execution = auto           # auto | deprivileged: how guests run, auto by the best that the processor has
//   scan = on                  # on | off: kernels in user state have what does not trap rewritten before it runs
//   [guest debian]
//   memory = 256M
//   kernel = vmlinuz           # a module, by the last part of its name or its number (the configuration is 0)
//   initrd = initrd.gz         # a module; several lines: several, in that order
//   initrd = dom0 console=hvc0 # Multiboot kernels: what is behind the module is for its string
//   cmdline = console=ttyS0 panic=-1
//   disk = root.img            # a module: a raw image, of which each guest sees a copy of its own
//   paging = vtlb              # this guest's, if not the one above
//   limit = 5s                 # stopped when the machine has run for so long
//   [guest lab]
//   …

#include <array>
#include <string_view>

#include "base/types.h"

namespace bunshin::vmm {

/// A RAM disk, or a module of a Multiboot kernel's.
struct InitrdConfig {
  std::string_view module;
  std::string_view arguments;
};

enum class PagingChoice : u8 { Nested, VirtualTlb, Shadow, SoftwareTlb };
inline constexpr unsigned paging_choices = 4;

struct GuestConfig {
  static constexpr unsigned max_initrds = 32;
  std::string_view name;
  u64 memory = u64{64} << 20;
  std::string_view kernel;
  std::array<InitrdConfig, max_initrds> initrds;
  unsigned initrd_count = 0;
  std::string_view cmdline;
  std::string_view disk;
  PagingChoice paging = PagingChoice::Nested;
  bool paging_chosen = false;
  u64 limit_us = 0;  ///< 0: none
};

struct VmmConfig {
  static constexpr unsigned max_guests = 128;
  PagingChoice paging = PagingChoice::Nested;
  u64 nested_page = u64{2} << 20;
  u64 slice_us = 10'000;
  bool scan = true;           ///< of guests in user state
  bool deprivileged = false;  ///< in user state even where the processor has an extension
  std::array<GuestConfig, max_guests> guests;
  unsigned guest_count = 0;
};

/// What is wrong with a configuration and where; `problem` is empty if nothing is.
struct ConfigProblem {
  unsigned line = 0, column = 0;
  std::string_view problem;
  std::string_view text;  ///< what the line says
};

/// Views into `text` go into `config`. Any bytes may come in.
ConfigProblem parse_config(std::string_view text, VmmConfig& config);

std::string_view name_of(PagingChoice paging);

}  // namespace bunshin::vmm
