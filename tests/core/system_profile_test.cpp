#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "core/profile.h"

namespace bunshin {
namespace {

using testing::HasSubstr;

std::string resolve_error(std::vector<std::string> features) {
  CpuProfile p;
  p.feature_names = std::move(features);
  try {
    p.resolve();
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

TEST(Profile, UnknownFeatureNamesTheNearest) {
  EXPECT_THAT(resolve_error({"fpu", "sse4.2"}), HasSubstr("did you mean 'sse4_2'"));
}

TEST(Profile, EmptyListMeansEverythingSimulated) {
  CpuProfile p;
  p.resolve();
  EXPECT_TRUE(p.has(Feature::La57));
  EXPECT_TRUE(p.has(Feature::Avx2));
}

TEST(Profile, ListedFeaturesAreTheOnlyOnes) {
  CpuProfile p;
  p.feature_names = {"fpu", "tsc"};
  p.resolve();
  EXPECT_EQ(p.features.count(), 3u) << "fpu, tsc and the base";
}

TEST(Profile, FeatureWithoutItsPrerequisiteIsRefused) {
  EXPECT_THAT(resolve_error({"pcid"}), HasSubstr("'pcid' needs 'lm'"));
}

TEST(Profile, BrandMustFitCpuid) {
  CpuProfile p;
  p.brand = std::string(48, 'x');
  EXPECT_THROW(p.resolve(), std::runtime_error);
}

}  // namespace
}  // namespace bunshin
