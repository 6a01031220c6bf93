#pragma once

// A processor with every instruction that the simulator has.

#include "tests/core/system_fixture.h"

namespace bunshin::oracle {

inline CpuProfile full_profile(std::string vendor) {
  CpuProfile p = resolved_profile(std::move(vendor));
  for (const Feature f : {Feature::Bmi1, Feature::Bmi2, Feature::Avx, Feature::Avx2, Feature::Fma, Feature::F16c})
    p.features.set(static_cast<unsigned>(f));
  return p;
}

}  // namespace bunshin::oracle
