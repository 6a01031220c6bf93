// Hostile parameters of the memory hierarchy end in an error that says which one, and where it was written.

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mmu/memory/hierarchy.h"
#include "sim/config/config_reader.h"

namespace bunshin {
namespace {

/// As a machine's configuration reads it: ranges first, then what only the parameters together can say.
MemoryHierarchyParameters read(const ConfigNode& root, u64 cores = 1) {
  MemoryHierarchyParameters parameters;
  ConfigReader reader(root);
  reader.group("caches", parameters, "");
  reader.finish();
  if (const auto problem = parameters.problem(cores)) throw reader.error("caches." + problem->key, problem->what);
  return parameters;
}

std::string error_of(const std::string& yaml) {
  try {
    read(parse_config_tree(yaml, "test.yaml", "."));
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "no error";
}

struct Mistake {
  const char* group;
  const char* setting;
  const char* message;  ///< a part of it
};

class Mistakes : public ::testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, AreErrorsWithTheirPosition) {
  const auto& [group, setting, message] = GetParam();
  const std::string yaml = std::string("caches:\n  ") + group + ":\n    " + setting + "\n";
  const std::string key = std::string(setting).substr(0, std::string(setting).find(':'));
  const std::string where = "test.yaml:3:" + std::to_string(5 + key.size() + 2) + ": caches." + group + "." + key;
  EXPECT_THAT(error_of(yaml), ::testing::StartsWith(where));
  EXPECT_THAT(error_of(yaml), ::testing::HasSubstr(message));
}

INSTANTIATE_TEST_SUITE_P(
    Hierarchy, Mistakes,
    ::testing::Values(Mistake{"l1d", "ways: 0", "out of range"}, Mistake{"l1d", "ways: -8", "whole number"},
                      Mistake{"l1d", "ways: 65", "out of range"}, Mistake{"l1d", "size: 32800", "do not divide"},
                      Mistake{"l1d", "size: 24KiB", "not a power of two"}, Mistake{"l1d", "ways: 7", "do not divide"},
                      Mistake{"l1d", "latency: 15", "cannot be below l1d"},
                      Mistake{"l2", "latency: 50", "cannot be below l2"}, Mistake{"l1i", "size: 0", "out of range"},
                      Mistake{"l1d", "size: 8TiB", "out of range"}, Mistake{"l1d", "latency: -4", "whole number"},
                      Mistake{"l1d", "latency: 0", "out of range"}, Mistake{"l1d", "latency: 100001", "out of range"},
                      Mistake{"l2", "latency: 3", "cannot be below l1"},
                      Mistake{"l3", "latency: 5", "cannot be below l2"}, Mistake{"l1d", "mshrs: 0", "out of range"},
                      Mistake{"l3", "mshrs: 65", "out of range"}, Mistake{"l2", "replacement: plru", "not one of"},
                      Mistake{"l2", "inclusion: mostly", "not one of"}, Mistake{"l2", "size: 0", "do not divide"},
                      Mistake{"l2", "shared_by: 0", "out of range"}, Mistake{"l2", "line_cycles: 1.5", "whole number"},
                      Mistake{"dram", "banks: 12", "power of two"}, Mistake{"dram", "channels: 0", "out of range"},
                      Mistake{"dram", "row_size: 100", "power of two"}, Mistake{"dram", "cas: 1e9", "whole number"},
                      Mistake{"dram", "refresh_interval: 1000", "shorter"}, Mistake{"l2", "sise: 1MiB", "unknown key"},
                      Mistake{"coherence", "upgrade: 18446744073709551615", "out of range"}));

TEST(HierarchyParameters, TheLineIs64Bytes) {
  EXPECT_THAT(error_of("caches:\n  line: 32\n"),
              ::testing::StartsWith("test.yaml:2:9: caches.line: 32 is out of range"));
}

TEST(HierarchyParameters, PrefetchersAreChecked) {
  EXPECT_THAT(error_of("caches:\n  l2:\n    prefetcher:\n      degree: 9\n"),
              ::testing::StartsWith("test.yaml:4:15: caches.l2.prefetcher.degree"));
}

TEST(HierarchyParameters, TreePlruNeedsAPowerOfTwoOfWays) {
  EXPECT_THAT(error_of("caches:\n  l2:\n    size: 768KiB\n    ways: 12\n    replacement: tree-plru\n"),
              ::testing::HasSubstr("test.yaml:5:18: caches.l2.replacement: tree-plru needs"));
  EXPECT_EQ(error_of("caches:\n  l2:\n    size: 768KiB\n    ways: 12\n    replacement: lru\n"), "no error");
}

TEST(HierarchyParameters, DdioNeedsAnL3) {
  EXPECT_THAT(error_of("caches:\n  l3:\n    size: 0\n  coherence:\n    ddio: true\n"),
              ::testing::StartsWith("test.yaml:5:11: caches.coherence.ddio"));
}

TEST(HierarchyParameters, TheHierarchyItselfRefusesThemToo) {
  MemoryHierarchyParameters p;
  p.l2.ways = 0;
  EXPECT_THROW(
      {
        try {
          MemoryHierarchy hierarchy(p, 1, 1'000'000'000, 1);
        } catch (const std::runtime_error& e) {
          EXPECT_THAT(e.what(), ::testing::StartsWith("l2.ways"));
          throw;
        }
      },
      std::runtime_error);
  EXPECT_TRUE(MemoryHierarchyParameters().problem(0).has_value());
  EXPECT_TRUE(MemoryHierarchyParameters().problem(65).has_value());
  EXPECT_FALSE(MemoryHierarchyParameters().problem(64).has_value());
}

TEST(HierarchyParameters, TheExtremesThatAreAllowedWork) {
  MemoryHierarchyParameters p;
  p.l1d = p.l1i = {.size = 64, .ways = 1, .latency = 1, .replacement = "lru", .mshrs = 1, .prefetcher = {}};
  p.l2.size = p.l3.size = 64;
  p.l2.ways = p.l3.ways = 1;
  p.l2.latency = p.l3.latency = 1;
  p.l2.mshrs = p.l3.mshrs = 1;
  p.l2.line_cycles = p.l3.line_cycles = 100'000;
  p.l2.prefetcher = p.l3.prefetcher = p.l1d.prefetcher = {.kind = "streamer", .degree = 8, .distance = 63};
  p.l2.inclusion = p.l3.inclusion = "inclusive";
  p.l2.shared_by = 64;
  p.dram = {.channels = 16, .ranks = 16, .banks = 64, .row_size = 64};
  p.dram.refresh_interval = 2;
  p.dram.refresh_time = 1;
  p.combining_buffers = 1;
  ASSERT_FALSE(p.problem(64).has_value());
  MemoryHierarchy hierarchy(p, 64, 1'000'000, 1);
  u64 cycle = 0;
  for (u64 i = 0; i < 20'000; ++i) {
    const auto kind = static_cast<RequestKind>(i % 13);
    const u64 complete =
        hierarchy.access(static_cast<unsigned>(i % 64), kind, HostPhysical(i * i * 64), cycle).complete;
    ASSERT_GE(complete, cycle);
    cycle += 10;
  }
}

std::vector<std::filesystem::path> fragments() {
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(BUNSHIN_CONFIGS "/cache")) files.push_back(file.path());
  return files;
}

/// Without prefetchers, which hide what is measured.
MemoryHierarchyParameters bare(const std::string& fragment) {
  MemoryHierarchyParameters p = read(load_config_tree(fragment), 1);
  p.l1d.prefetcher = p.l2.prefetcher = p.l3.prefetcher = {};
  return p;
}

/// Cycles of a dependent load in a chase through `bytes`, the second time round.
double chase(const MemoryHierarchyParameters& p, u64 bytes) {
  MemoryHierarchy hierarchy(p, 1, 2'000'000'000, 1);
  u64 cycle = 0;
  u64 begin = 0;
  for (int round = 0; round < 2; ++round) {
    begin = cycle;
    for (u64 a = 0; a < bytes; a += 64) cycle = hierarchy.load(0, HostPhysical(a), cycle).complete;
  }
  return static_cast<double>(cycle - begin) / static_cast<double>(bytes / 64);
}

TEST(CacheFragments, EveryOneIsValid) {
  EXPECT_GE(fragments().size(), 12u);
  for (const auto& file : fragments()) {
    SCOPED_TRACE(file.string());
    EXPECT_NO_THROW(MemoryHierarchy(read(load_config_tree(file), 4), 4, 2'000'000'000, 1));
  }
}

TEST(CacheFragments, AChaseThroughHalfOfALevelShowsItsLatency) {
  for (const auto& file : fragments()) {
    SCOPED_TRACE(file.string());
    const MemoryHierarchyParameters p = bare(file);
    EXPECT_EQ(chase(p, p.l1d.size / 2), static_cast<double>(p.l1d.latency));
    EXPECT_EQ(chase(p, p.l2.size / 2), static_cast<double>(p.l2.latency));
    if (p.l3.size != 0) {
      EXPECT_EQ(chase(p, p.l3.size / 2), static_cast<double>(p.l3.latency));
    }
  }
}

struct MemoryLatency {
  const char* fragment;
  u64 frequency;
  double ns;  ///< as published, or as the fragment says
};

TEST(CacheFragments, ARandomReadTakesWhatTheFragmentSays) {
  for (const auto& [fragment, frequency, ns] : {MemoryLatency{"nehalem", 2'660'000'000, 66},
                                                {"westmere", 2'660'000'000, 67 + 15},
                                                {"merom", 2'400'000'000, 66},
                                                {"penryn", 2'400'000'000, 66},
                                                {"p4-northwood", 3'000'000'000, 107},
                                                {"sandy-bridge", 3'400'000'000, 67},
                                                {"haswell", 3'400'000'000, 69},
                                                {"skylake", 4'000'000'000, 69},
                                                {"barcelona", 2'300'000'000, 85},
                                                {"zen2", 3'600'000'000, 80},
                                                {"zen3", 3'800'000'000, 78}}) {
    SCOPED_TRACE(fragment);
    const MemoryHierarchyParameters p = bare(std::string(BUNSHIN_CONFIGS "/cache/") + fragment + ".yaml");
    MemoryHierarchy hierarchy(p, 1, frequency, 1);
    u64 cycle = 0;
    u64 random = 1;
    constexpr u64 reads = 20'000;
    for (u64 i = 0; i < reads; ++i) {
      random = random * 6364136223846793005ULL + 1442695040888963407ULL;
      cycle = hierarchy.load(0, HostPhysical(random >> 24), cycle).complete;  // over a terabyte
    }
    const double measured = static_cast<double>(cycle) / reads * 1e9 / static_cast<double>(frequency);
    EXPECT_NEAR(measured, ns, ns * 0.03);
  }
}

}  // namespace
}  // namespace bunshin
