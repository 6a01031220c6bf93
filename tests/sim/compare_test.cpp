// `bunshin compare`: what it makes of the statistics that runs leave, and which modes it runs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "sim/compare/compare_options.h"
#include "sim/compare/comparison.h"

extern "C" int sc_main(int, char**) { return 0; }

namespace bunshin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ReportData with(const std::map<std::string, u64>& values) {
  ReportData data;
  for (const auto& [name, value] : values) data.stats[name] = {value, "", ""};
  return data;
}

ModeResult native() {
  return mode_result("native",
                     with({{"sim.cycles", 1000},
                           {"core0.timing.instructions", 1},
                           {"core0.timing.user.cycles.base", 300},
                           {"core0.timing.user.cycles.walk_dim1", 50},
                           {"core0.timing.supervisor.cycles.base", 390},
                           {"core0.timing.supervisor.cycles.device", 10},
                           {"core0.timing.supervisor.cycles.fetch_walk", 20},
                           {"core0.timing.supervisor.cycles.halted", 200},
                           {"core0.timing.cycles.halted", 200},
                           {"core0.timing.user.walks", 10},
                           {"core0.timing.user.walk_references", 15}}),
                     true);
}

ModeResult nested() {
  return mode_result("nested",
                     with({{"sim.cycles", 9000},
                           {"core0.timing.instructions", 1},
                           {"core0.vm.entries", 3},
                           {"core0.vm.guest_cycles", 1},
                           {"core0.timing.guest_user.cycles.base", 300},
                           {"core0.timing.guest_supervisor.cycles.base", 410},
                           {"core0.timing.guest_supervisor.cycles.walk_dim2", 100},
                           {"core0.timing.guest_supervisor.walk.dim1.level1.cycles", 10},
                           {"core0.timing.guest_supervisor.walk.dim2.level2.cycles", 30},
                           {"core0.timing.guest_supervisor.walks", 2},
                           {"core0.timing.guest_supervisor.walk_references", 48},
                           {"vmm.guest.guest.start_tsc", 5000},
                           {"vmm.guest.guest.end_tsc", 7000},
                           {"vmm.guest.guest.idle_tsc", 200},
                           {"vmm.guest.guest.guest_tsc", 1000},
                           {"vmm.guest.guest.table_bytes", 8192},
                           {"vmm.guest.guest.exits.io.count", 4},
                           {"vmm.guest.guest.exits.io.tsc", 500},
                           {"vmm.guest.guest.exits.second_stage.count", 6},
                           {"vmm.guest.guest.exits.second_stage.tsc", 100}}),
                     false);
}

u64 sum(const ModeResult& r) {
  u64 all = 0;
  for (const auto& [name, cycles] : r.causes) all += cycles;
  return all;
}

TEST(Compare, ANativeRunIsGuestWalksAndHalted) {
  const ModeResult r = native();
  EXPECT_EQ(r.cycles, 1000u);
  EXPECT_EQ(r.cause("guest_user"), 300u);
  EXPECT_EQ(r.cause("guest_kernel"), 390u);
  EXPECT_EQ(r.cause("guest_devices"), 10u);
  EXPECT_EQ(r.cause("walk_dim1"), 50u);
  EXPECT_EQ(r.cause("walk_fetch"), 20u);
  EXPECT_EQ(r.cause("halted"), 200u);
  EXPECT_EQ(r.cause("other"), 30u) << "what nothing explains is said to be so";
  EXPECT_EQ(sum(r), r.cycles);
  EXPECT_DOUBLE_EQ(r.references_per_walk.value_or(0), 1.5);
}

TEST(Compare, AHypervisorsRunBeginsAndEndsWithTheGuest) {
  const ModeResult r = nested();
  EXPECT_EQ(r.cycles, 2000u);
  EXPECT_EQ(r.cause("walk_dim1"), 25u) << "as the references' cycles divide";
  EXPECT_EQ(r.cause("walk_dim2"), 75u);
  EXPECT_EQ(r.cause("world_switch"), 190u) << "around the guest's own cycles";
  EXPECT_EQ(r.cause("handler.io"), 500u);
  EXPECT_EQ(r.cause("hypervisor"), 200u);
  EXPECT_EQ(r.cause("halted"), 200u);
  EXPECT_EQ(sum(r), r.cycles);
  EXPECT_DOUBLE_EQ(r.references_per_walk.value_or(0), 24.0);
  EXPECT_EQ(r.table_bytes, 8192u);
}

TEST(Compare, InUserStateTheHypervisorTellsKernelFromPrograms) {
  const ModeResult r = mode_result("deprivileged",
                                   with({{"core0.timing.instructions", 1},
                                         {"core0.timing.user.cycles.base", 600},
                                         {"core0.timing.supervisor.cycles.base", 5000},
                                         {"vmm.guest.guest.start_tsc", 1000},
                                         {"vmm.guest.guest.end_tsc", 3000},
                                         {"vmm.guest.guest.guest_tsc", 1500},
                                         {"vmm.guest.guest.kernel_tsc", 700},
                                         {"vmm.guest.guest.kernel_entries", 3},
                                         {"vmm.guest.guest.user_tsc", 300},
                                         {"vmm.guest.guest.user_entries", 1}}),
                                   false);
  // 400 cycles for four ways there and back: 300 of them the kernel's.
  EXPECT_EQ(r.cause("guest_kernel"), 400u);
  EXPECT_EQ(r.cause("guest_user"), 200u);
  EXPECT_EQ(r.cause("world_switch"), 900u);
  EXPECT_EQ(r.cause("hypervisor"), 500u);
  EXPECT_EQ(sum(r), r.cycles);
}

TEST(Compare, NonsenseFromAGuestDoesNotWrapAround) {
  const ModeResult r = mode_result("shadow",
                                   with({{"vmm.guest.guest.start_tsc", 9},
                                         {"vmm.guest.guest.end_tsc", 1},
                                         {"vmm.guest.guest.guest_tsc", 5},
                                         {"core0.vm.entries", 1},
                                         {"core0.vm.guest_cycles", 77},
                                         {"vmm.guest.guest.exits.io.count", 4},
                                         {"vmm.guest.guest.exits.io.tsc", 50}}),
                                   false);
  EXPECT_EQ(r.cycles, 0u);
  EXPECT_EQ(r.cause("hypervisor"), 0u);
  EXPECT_EQ(r.cause("world_switch"), 0u);
}

TEST(Compare, CausesAreInOrder) {
  EXPECT_THAT(cause_names({native(), nested()}),
              ElementsAre("guest_user", "guest_kernel", "guest_devices", "walk_dim1", "walk_dim2", "walk_fetch",
                          "world_switch", "handler.io", "handler.second_stage", "hypervisor", "halted", "other"));
  EXPECT_THAT(exit_names({native(), nested()}), ElementsAre("second_stage", "io"));
}

TEST(Compare, JsonHasTheKeysAndNoOthers) {
  const Comparison c{"x.yaml", "lab", "cpu", "ooo", {native(), nested()}, {}};
  const nlohmann::json json = nlohmann::json::parse(comparison_json(c));
  ASSERT_EQ(json.size(), 2u);
  for (const char* mode : {"native", "nested"}) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : json.at(mode).items()) keys.push_back(key);
    EXPECT_THAT(keys, ElementsAre("cycles", "cycles_by_cause", "exits", "guest_exit", "overhead", "references_per_walk",
                                  "table_bytes"));
  }
  EXPECT_DOUBLE_EQ(json.at("nested").at("overhead").get<double>(), 1.0);
  EXPECT_TRUE(
      nlohmann::json::parse(comparison_json({"", "", "", "", {nested()}, {}})).at("nested").at("overhead").is_null());
}

TEST(Compare, ThePageEscapesNames) {
  const Comparison c{"<x>.yaml", "<b>", "cpu", "ooo", {native(), nested()}, {{"deprivileged", "<why>"}}};
  const std::string page = comparison_html(c);
  EXPECT_THAT(page, ::testing::Not(HasSubstr("<b>lab")));
  EXPECT_THAT(page, HasSubstr("&lt;b&gt;"));
  EXPECT_THAT(page, HasSubstr("&lt;why&gt;"));
}

ComparePlan plan(const std::string& processor, std::vector<std::string> modes = {}) {
  MachineConfig config = read_config(std::string(BUNSHIN_CONFIGS) + "/cpu/" + processor + ".yaml", {"guest.kernel=k"});
  CompareOptions options;
  options.config = "x.yaml";
  options.modes = std::move(modes);
  return plan_modes(options, config);
}

std::vector<std::string> names(const ComparePlan& plan) {
  std::vector<std::string> all;
  for (const CompareMode& mode : plan.modes) all.push_back(mode.name);
  return all;
}

TEST(Compare, TheProcessorDecidesTheModes) {
  EXPECT_THAT(names(plan("zen3")), ElementsAre("native", "shadow", "vtlb", "nested"));
  const ComparePlan old = plan("merom");
  EXPECT_THAT(names(old), ElementsAre("native", "shadow", "vtlb"));
  ASSERT_EQ(old.left_out.size(), 3u);
  EXPECT_THAT(old.left_out[0].second, HasSubstr("EPT"));
  EXPECT_THAT(old.left_out[1].second, HasSubstr("translation.scheme=software"));
  EXPECT_THAT(names(plan("p4-northwood")), ElementsAre("native", "deprivileged"));
  EXPECT_THROW(plan("p4-northwood", {"nested"}), ConfigError);
}

TEST(Compare, TheGuestFindsTheSameMemoryInEveryMode) {
  const ComparePlan p = plan("zen3");
  EXPECT_THAT(p.modes[0].overrides, ::testing::Contains("machine.memory=402653184"));
  EXPECT_THAT(p.modes[1].overrides, ::testing::Contains("vmm.guest_memory=402653184"));
}

}  // namespace
}  // namespace bunshin
