#pragma once

// Model-specific registers that a guest may touch and that are not the processor's own while it runs.

#include <array>

#include "base/types.h"

namespace bunshin::vmm {

/// Storage of those registers that do nothing but keep their value: MTRRs, and what firmware leaves.
class MsrFile {
 public:
  MsrFile();
  /// False: not one of them.
  bool read(u32 number, u64& value);
  bool write(u32 number, u64 value);

  u64 tsc_aux = 0;

 private:
  static constexpr unsigned variable_pairs = 8;
  u64* find(u32 number);

  std::array<u64, 2 * variable_pairs> mtrr_variable_{};
  std::array<u64, 11> mtrr_fixed_{};
  u64 mtrr_default_type_ = 0;
  u64 misc_enable_ = 1;
  u64 hwcr_ = 1 << 24;  ///< TscFreqSel: the counter runs at the frequency of P-state 0
  u64 nb_cfg_ = 0;
  u64 int_pending_ = 0;  ///< C1E's message: off (BKDG for family 10h, MSRC001_0055)
};

}  // namespace bunshin::vmm
