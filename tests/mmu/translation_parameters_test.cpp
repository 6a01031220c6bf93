// Hostile parameters of translation end in an error that says which one, and where it was written.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mmu/scheme.h"
#include "mmu/second_stage.h"
#include "mmu/tlb.h"
#include "sim/config/config_reader.h"

namespace bunshin {
namespace {

/// As a machine's configuration reads it: ranges first, then what only the parameters together can say.
std::string error_of(const std::string& yaml) {
  try {
    const ConfigNode root = parse_config_tree(yaml, "test.yaml", ".");
    TlbHierarchyParameters tlb;
    TranslationParameters translation;
    StructureCacheParameters structures;
    SecondStageParameters stage;
    ConfigReader reader(root);
    reader.group("tlb", tlb, "");
    reader.group("translation", translation, "");
    reader.group("structure_caches", structures, "");
    reader.group("second_stage", stage, "");
    reader.finish();
    if (const auto p = translation.problem()) throw reader.error("translation." + p->key, p->what);
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "no error";
}

TEST(TranslationParameters, MistakesAreErrorsWithTheirPosition) {
  using testing::StartsWith;
  EXPECT_THAT(error_of("tlb:\n  walkers: 0\n"), StartsWith("test.yaml:2:12: tlb.walkers: 0 is out of range"));
  EXPECT_THAT(error_of("tlb:\n  replacement: mru\n"), StartsWith("test.yaml:2:16: tlb.replacement"));
  EXPECT_THAT(error_of("tlb:\n  small:\n    ways: 0\n"), StartsWith("test.yaml:3:11: tlb.small.ways"));
  EXPECT_THAT(error_of("tlb:\n  update_cycles: -1\n"), StartsWith("test.yaml:2:18: tlb.update_cycles"));
  EXPECT_THAT(error_of("structure_caches:\n  kind: magic\n"), StartsWith("test.yaml:2:9: structure_caches.kind"));
  EXPECT_THAT(error_of("structure_caches:\n  pd: 100000\n"), StartsWith("test.yaml:2:7: structure_caches.pd"));
  EXPECT_THAT(error_of("second_stage:\n  nested_tlb:\n    entries: -1\n"),
              StartsWith("test.yaml:3:14: second_stage.nested_tlb.entries"));
  EXPECT_THAT(error_of("translation:\n  scheme: hash\n"), StartsWith("test.yaml:2:11: translation.scheme"));
  EXPECT_THAT(error_of("translation:\n  software:\n    trap_cycles: -3\n"),
              StartsWith("test.yaml:3:18: translation.software.trap_cycles"));
}

TEST(TranslationParameters, TheChosenSchemeSaysWhatRangesCannot) {
  const std::string odd = "  pom:\n    small_size: 3MiB\n";
  EXPECT_THAT(error_of("translation:\n  scheme: pom\n" + odd),
              testing::StartsWith("test.yaml:4:17: translation.pom.small_size: must be 0 or a power of two"));
  EXPECT_EQ(error_of("translation:\n" + odd), "no error") << "another scheme is chosen";
}

TEST(TranslationParameters, CopiesAreTheirOwn) {
  TranslationParameters original;
  original.scheme = "pom";
  TranslationParameters copy(original);
  EXPECT_NE(&copy.chosen(), &original.chosen());
  copy.scheme = "radix";
  EXPECT_EQ(original.scheme, "pom");
}

}  // namespace
}  // namespace bunshin
