// `bunshin walk` without its command: the tables that it builds, what it counts, and what it says.

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "sim/walk/walk_experiment.h"
#include "sim/walk/walk_figure.h"
#include "sim/walk/walk_options.h"
#include "sim/walk/walk_table.h"

/// SystemC's library asks for it; nothing of it runs here.
extern "C" int sc_main(int, char**) { return 0; }

namespace bunshin {
namespace {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

WalkReport walk(const Arguments& arguments) {
  const auto options = parse_walk_options(arguments);
  return WalkExperiment(options->setup, options->config).run();
}

std::string refusal(const Arguments& arguments) {
  try {
    parse_walk_options(arguments);
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "accepted";
}

std::vector<std::string> names(const WalkReport& report) {
  std::vector<std::string> all;
  for (const WalkStep& s : report.steps) all.push_back(level_name(report.setup, s.dimension, s.level));
  return all;
}

TEST(Walk, TheTextbooksCaseMakesTwentyFiveAccesses) {
  const WalkReport report = walk({"--guest", "4level", "--second-stage", "4level", "--caches", "off"});
  EXPECT_EQ(report.references(), 24u);
  EXPECT_EQ(report.accesses(), 25u);
  EXPECT_EQ(report.steps.size(), 25u);
}

TEST(Walk, FiveLevelsOnFiveMakeThirtySix) {
  EXPECT_EQ(walk({"--guest", "5level", "--second-stage", "5level"}).accesses(), 36u);
}

TEST(Walk, TheOrderIsTheTextbooks) {
  EXPECT_THAT(names(walk({"--guest-page", "1G", "--host-page", "1G"})),
              ::testing::ElementsAre("nL4", "nL3", "gL4", "nL4", "nL3", "gL3", "nL4", "nL3", "data"));
  EXPECT_THAT(names(walk({"--second-stage", "none"})), ::testing::ElementsAre("L4", "L3", "L2", "L1", "data"));
}

TEST(Walk, EveryTableHasAPageOfItsOwn) {
  const WalkReport report = walk({});
  std::set<u64> pages;
  for (const WalkStep& s : report.steps) pages.insert(s.host_physical >> page_shift);
  // Four guest tables, three tables of the second stage that all rows share, a last one for each row, and the data.
  EXPECT_EQ(pages.size(), 4u + 3 + 5 + 1);
}

TEST(Walk, EntriesLeadFromStepToStep) {
  const WalkReport report = walk({});
  for (std::size_t i = 0; i + 1 < report.steps.size(); ++i) {
    const WalkStep& s = report.steps[i];
    if (s.dimension != 2) continue;
    EXPECT_EQ(*s.entry & 0xfffff'f000, report.steps[i + 1].host_physical & 0xfffff'f000) << s.number;
  }
}

TEST(Walk, CyclesOfStepsAddUp) {
  for (const char* caches : {"off", "on"}) {
    const WalkReport report = walk({"--caches", caches});
    u64 sum = 0;
    for (const WalkStep& s : report.steps) sum += s.cycles;
    EXPECT_EQ(sum, report.cycles()) << caches;
    EXPECT_EQ(report.steps.back().cycles, report.data_cycles);
  }
}

TEST(Walk, WithoutCachesEverythingComesFromMemory) {
  for (const WalkStep& s : walk({}).steps) EXPECT_EQ(s.hit, "DRAM") << s.number;
}

TEST(Walk, ANeighbourLeavesOneReferenceOfANativeWalk) {
  const WalkReport report = walk({"--second-stage", "none", "--caches", "on"});
  EXPECT_THAT(names(report), ::testing::ElementsAre("L1", "data"));
  EXPECT_EQ(report.steps[0].hit, "L1");
  EXPECT_EQ(report.skipped.size(), 3u);
}

TEST(Walk, SmallerStructureCachesSkipLess) {
  const Arguments native{"--second-stage", "none", "--caches", "on"};
  Arguments none = native;
  for (const char* key : {"pml4", "pdpt", "pd"}) {
    none.insert(none.end(), {"--set", std::string("structure_caches.") + key + "=0"});
  }
  EXPECT_EQ(walk(native).references(), 1u);
  EXPECT_EQ(walk(none).references(), 4u);
}

TEST(Walk, LatenciesAreTheConfigurations) {
  const WalkReport report = walk(
      {"--second-stage", "none", "--caches", "on", "--set", "caches.l1d.latency=5", "--set", "caches.l2.latency=17"});
  EXPECT_EQ(report.steps[0].cycles, 5u);
}

TEST(Walk, SkippedAndMadeTogetherAreTheWholeGrid) {
  for (const char* warm : {"0", "1", "20"}) {
    const WalkReport report = walk({"--caches", "on", "--warm", warm});
    EXPECT_EQ(report.steps.size() + report.skipped.size(), 25u) << warm;
  }
}

TEST(Walk, PdpteRegistersSaveARow) {
  EXPECT_EQ(walk({"--guest", "pae", "--second-stage-format", "ept"}).references(), 14u);
  EXPECT_EQ(walk({"--guest", "pae", "--second-stage-format", "npt"}).references(), 19u);
  EXPECT_EQ(walk({"--guest", "pae", "--second-stage", "none"}).references(), 2u);
  EXPECT_EQ(walk({"--guest", "pae", "--second-stage", "none", "--pdptes", "memory"}).references(), 3u);
}

TEST(Walk, TheVendorDecidesTheFormat) {
  const auto format = [](const char* vendor) {
    return parse_walk_options({"--set", std::string("cpu.vendor=") + vendor})->setup.format;
  };
  EXPECT_EQ(format("GenuineIntel"), SecondStageFormat::Ept);
  EXPECT_EQ(format("AuthenticAMD"), SecondStageFormat::Npt);
}

TEST(Walk, ManyNeighboursOfEverySizeCanBeWarm) {
  for (const char* guest : {"4K", "2M", "1G"}) {
    for (const char* host : {"4level", "32bit", "pae", "none"}) {
      EXPECT_GE(walk({"--guest-page", guest, "--second-stage", host, "--caches", "on", "--warm", "64"}).references(),
                1u)
          << guest << host;
    }
  }
}

TEST(Walk, ImpossibleCombinationsSayWhatIsPossible) {
  EXPECT_THAT(refusal({"--guest", "pae", "--guest-page", "1G"}), ::testing::HasSubstr("4K or 2M"));
  EXPECT_THAT(refusal({"--host-page", "4M"}), ::testing::HasSubstr("4K, 2M or 1G"));
  EXPECT_THAT(refusal({"--guest", "6level"}), ::testing::HasSubstr("4level, 5level, pae, 32bit or none"));
  EXPECT_THAT(refusal({"--guest", "none", "--second-stage", "none"}), ::testing::HasSubstr("nothing to walk"));
  EXPECT_THAT(refusal({"--guest", "none", "--guest-page", "2M"}), ::testing::HasSubstr("no page sizes"));
  EXPECT_THAT(refusal({"--caches", "maybe"}), ::testing::HasSubstr("expected on or off"));
  EXPECT_THAT(refusal({"--warm", "2"}), ::testing::HasSubstr("--caches on"));
  EXPECT_THAT(refusal({"--caches", "on", "--warm", "65"}), ::testing::HasSubstr("0 to 64"));
  EXPECT_THAT(refusal({"--second-stage", "pae", "--second-stage-format", "ept"}), ::testing::HasSubstr("npt"));
  EXPECT_THAT(refusal({"--table", "--guest", "pae"}), ::testing::HasSubstr("--guest"));
}

TEST(WalkJson, KeepsItsContract) {
  const Json json = Json::parse(walk_json(walk({})));
  EXPECT_EQ(json["references"], 24);
  EXPECT_EQ(json["accesses"], 25);
  ASSERT_EQ(json["steps"].size(), 25u);
  u64 cycles = 0;
  for (const Json& step : json["steps"]) {
    for (const char* key : {"dimension", "level", "address", "hit", "cycles"}) EXPECT_TRUE(step.contains(key)) << key;
    cycles += step["cycles"].get<u64>();
  }
  EXPECT_EQ(json["cycles"], cycles);
  EXPECT_EQ(json["steps"][0]["dimension"], 2);
  EXPECT_EQ(json["steps"][4]["name"], "gL4");
  EXPECT_EQ(json["steps"][24]["kind"], "data");
}

TEST(WalkFigure, IsAGridWithEveryReferenceOnce) {
  const WalkReport report = walk({"--caches", "on"});
  const WalkFigure figure(report);
  EXPECT_EQ(figure.rows, 5u);
  EXPECT_EQ(figure.columns, 5u);
  std::set<std::pair<unsigned, unsigned>> places;
  std::set<const WalkStep*> drawn;
  for (const FigureBox& box : figure.boxes) {
    EXPECT_NE(box.step == nullptr, box.skipped.empty());
    places.insert({box.row, box.column});
    if (box.step != nullptr) drawn.insert(box.step);
  }
  EXPECT_EQ(places.size(), 25u);
  EXPECT_EQ(drawn.size(), report.steps.size());
}

TEST(WalkFigure, OneDimensionIsARow) {
  for (const Arguments& a : {Arguments{"--second-stage", "none"}, Arguments{"--guest", "none"}}) {
    const WalkReport report = walk(a);
    const WalkFigure figure(report);
    EXPECT_EQ(figure.rows, 1u);
    EXPECT_EQ(figure.columns, 5u);
  }
}

TEST(WalkTable, NoGatedRowDiffers) {
  const std::vector<WalkTableRow> rows = walk_table(MachineConfig());
  unsigned gates = 0;
  for (const WalkTableRow& row : rows) {
    EXPECT_FALSE(row.miss()) << row.title << " " << (row.setup ? describe(*row.setup) : "");
    gates += row.measured && row.gated ? 1 : 0;
  }
  EXPECT_GT(gates, 100u);
  EXPECT_FALSE(any_miss(rows));
}

TEST(WalkTable, SaysMissWhereAGateFails) {
  WalkTableRow row;
  row.measured = 20;
  row.published = 24;
  row.evidence = Evidence::V1;
  EXPECT_TRUE(any_miss({row}));
  EXPECT_THAT(walk_table_text({row}), ::testing::HasSubstr("-4 miss"));
  row.gated = false;
  EXPECT_FALSE(any_miss({row}));
}

TEST(WalkTable, NamesTheSchemesThatAreLacking) {
  const std::string text = walk_table_text(walk_table(MachineConfig()));
  EXPECT_THAT(text, ::testing::HasSubstr("needs agile paging"));
  EXPECT_THAT(text, ::testing::HasSubstr("PDPTE registers"));
}

}  // namespace
}  // namespace bunshin
