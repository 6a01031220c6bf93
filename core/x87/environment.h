#pragma once

// The images of FSTENV/FLDENV and FSAVE/FRSTOR (SDM vol. 1, 8.1.10, figures 8-9 to 8-12).

#include <array>

#include "core/x87/x87.h"

namespace bunshin::x87 {

/// The four formats. 64-bit mode uses the protected-mode ones; the pointers are cut to 32 bits there.
struct EnvironmentFormat {
  bool wide = true;            ///< 32-bit operand size: 28 bytes instead of 14
  bool protected_mode = true;  ///< selector and offset; otherwise linear addresses of 20 or 32 bits
  unsigned size() const { return wide ? 28 : 14; }
};

/// Both images; only the first EnvironmentFormat::size() bytes are used by the first.
using EnvironmentImage = std::array<u8, 28>;
using RegisterImage = std::array<u8, 80>;

EnvironmentImage store_environment(const X87State& s, const EnvironmentFormat& format);
void load_environment(X87State& s, const EnvironmentImage& image, const EnvironmentFormat& format);

/// ST(0) … ST(7), ten bytes each. Loading does not touch the tags.
RegisterImage store_registers(const X87State& s);
void load_registers(X87State& s, const RegisterImage& image);

}  // namespace bunshin::x87
