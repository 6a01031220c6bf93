#pragma once

// Multiboot 1's information structure (specification 0.6.96, 3.3): which memory is free, and the boot modules.

#include "vmm-model/hypervisor.h"

namespace bunshin::vmm::bare {

class BootInformation {
 public:
  static constexpr unsigned max_modules = 64;

  /// Copies what the loader left in memory that may be used otherwise later.
  BootInformation(u32 magic, u64 information);
  /// All RAM but the first megabyte, the hypervisor itself and the modules; with 32-bit tables, below 4 GiB.
  void fill(Hardware& hardware, PagePool& pool) const;
  std::span<const BootModule> modules() const { return {modules_.data(), count_}; }

 private:
  static constexpr unsigned name_bytes = 128, max_ranges = 32;
  struct Range {
    u64 begin = 0, end = 0;
  };
  void add_module(u64 begin, u64 end, u64 name);
  void add_memory(u64 begin, u64 end);
  void add_free(PagePool& pool, Range range) const;

  std::array<BootModule, max_modules> modules_{};
  std::array<std::array<char, name_bytes>, max_modules> names_{};
  unsigned count_ = 0;
  std::array<Range, max_ranges> memory_{};
  unsigned ranges_ = 0;
};

}  // namespace bunshin::vmm::bare
