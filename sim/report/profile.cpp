#include "sim/report/profile.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/report/hot_code.h"
#include "sim/version.h"

namespace bunshin {

namespace {

using nlohmann::json;

constexpr std::size_t spaces_shown = 40, pages_shown = 60;

std::string hex(u64 value) { return fmt::format("{:#x}", value); }

json counters_json(const RunCounters& c) {
  json j;
  for (unsigned i = 0; i < cycle_causes; ++i) j["cycles"][std::string(cycle_cause_names[i])] = c.account.cycles[i];
  for (unsigned i = 0; i < run_counts; ++i) j[std::string(run_count_names[i].name)] = c.counts[i];
  return j;
}

json space_json(const AddressSpace& space) {
  json j{{"cr3", hex(space.cr3)}, {"first_cycle", space.first_cycle}, {"last_cycle", space.last_cycle}};
  for (unsigned p = 0; p < privileges; ++p) j[std::string(privilege_names[p])] = counters_json(space.by_privilege[p]);
  return j;
}

/// The same space on several cores is one; what a core counts for its current one is not folded in yet.
json spaces_json(const MachineTiming& timing) {
  std::map<u64, AddressSpace> merged;
  AddressSpace others;
  u64 evicted = 0;
  for (unsigned core = 0; core < timing.cores(); ++core) {
    AddressSpaces spaces =
        timing.state(core).statistics.all_spaces(timing.state(core).end, timing.state(core).counters());
    for (const AddressSpace& s : spaces.hottest()) {
      AddressSpace& m = merged.try_emplace(s.cr3, AddressSpace{s.cr3, s.first_cycle, s.last_cycle, {}}).first->second;
      m.first_cycle = std::min(m.first_cycle, s.first_cycle);
      m.last_cycle = std::max(m.last_cycle, s.last_cycle);
      for (unsigned p = 0; p < privileges; ++p) m.by_privilege[p] += s.by_privilege[p];
    }
    for (unsigned p = 0; p < privileges; ++p) others.by_privilege[p] += spaces.others().by_privilege[p];
    evicted += spaces.evicted();
  }
  std::vector<AddressSpace> sorted;
  for (const auto& [cr3, space] : merged) {
    if (space.cycles() != 0) sorted.push_back(space);
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const AddressSpace& a, const AddressSpace& b) { return a.cycles() > b.cycles(); });
  json list = json::array();
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (i < spaces_shown) {
      list.push_back(space_json(sorted[i]));
      continue;
    }
    ++evicted;
    for (unsigned p = 0; p < privileges; ++p) others.by_privilege[p] += sorted[i].by_privilege[p];
  }
  return {{"hottest", list}, {"others", space_json(others)}, {"others_count", evicted}};
}

json pages_json(const MachineTiming& timing) {
  std::vector<HotPage> pages;
  for (unsigned core = 0; core < timing.cores(); ++core) {
    for (const HotPage& p : timing.state(core).statistics.pages().hottest(HotPages::capacity)) {
      const auto same = std::find_if(pages.begin(), pages.end(), [&](const HotPage& o) {
        return core != 0 && o.linear == p.linear && o.cr3 == p.cr3 && o.shift == p.shift;
      });
      if (same == pages.end()) {
        pages.push_back(p);
      } else {
        *same += p;
      }
    }
  }
  std::stable_sort(pages.begin(), pages.end(),
                   [](const HotPage& a, const HotPage& b) { return a.cycles() > b.cycles(); });
  json list = json::array();
  for (std::size_t i = 0; i < std::min(pages.size(), pages_shown); ++i) {
    const HotPage& p = pages[i];
    list.push_back({{"linear", hex(p.linear)},
                    {"cr3", p.cr3 == 0 ? "" : hex(p.cr3)},
                    {"bytes", u64{1} << p.shift},
                    {"walks", p.walks},
                    {"walk_references", p.walk_references},
                    {"walk_cycles", p.walk_cycles},
                    {"second_level_hits", p.second_level},
                    {"misses", p.misses},
                    {"miss_cycles", p.miss_cycles}});
  }
  return list;
}

json time_line_json(const TimeLine& line) {
  json samples = json::array();
  for (const TimeLine::Sample& s : line.samples()) {
    samples.push_back({s.cycle, s.instructions, s.counters.account.cycles, s.counters.counts});
  }
  json names = json::array();
  for (const RunCountName& n : run_count_names) names.push_back(std::string(n.name));
  return {{"interval", line.interval()}, {"causes", cycle_cause_names}, {"counts", names}, {"samples", samples}};
}

}  // namespace

json make_profile(const ProfileSources& s) {
  json profile{{"version", std::string(version)},         {"config_file", s.config_file},
               {"kernel", s.config.guest.kernel},         {"timing", s.config.machine.timing},
               {"cores", s.config.machine.cores},         {"frequency", s.config.cpu.frequency},
               {"seed", s.config.machine.seed},           {"cpu", s.config.cpu.brand},
               {"time_line", time_line_json(s.time_line)}};
  if (s.timing == nullptr) return profile;
  profile["address_spaces"] = spaces_json(*s.timing);
  profile["pages"] = pages_json(*s.timing);
  profile["code"] = hot_code_json(s.timing->plans().hot_instructions(), s.names);
  return profile;
}

}  // namespace bunshin
