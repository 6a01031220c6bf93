// The names of a timed core's statistics; docs/statistics.md explains them.

#include "core/timing/statistics.h"

namespace bunshin {

namespace {

std::string level_name(unsigned level) { return ".level" + std::to_string(level); }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return out;
}

}  // namespace

void TimingStatistics::register_stats(StatRegistry& registry, const std::string& prefix,
                                      std::function<RunCounters()> now) const {
  for (unsigned p = 0; p < privileges; ++p) {
    const auto privilege = static_cast<Privilege>(p);
    const std::string base = prefix + std::string(privilege_names[p]) + ".";
    for (unsigned i = 0; i < cycle_causes; ++i) {
      registry.add_count(
          base + "cycles." + std::string(cycle_cause_names[i]),
          [this, privilege, i, now]() -> u64 { return of(privilege, now()).account.cycles[i]; }, "cycles",
          "of the core's time at this privilege level, by cause");
    }
    for (unsigned i = 0; i < run_counts; ++i) {
      const RunCountName& n = run_count_names[i];
      registry.add_count(
          base + std::string(n.name), [this, privilege, i, now]() -> u64 { return of(privilege, now()).counts[i]; },
          n.unit, std::string(n.description) + ", at this privilege level");
    }
    register_walks(registry, base, p);
  }
  register_all_walks(registry, prefix);
}

void TimingStatistics::register_walks(StatRegistry& registry, const std::string& prefix, unsigned privilege) const {
  const WalkCounters& w = walks_[privilege];
  for (unsigned i = 1; i <= WalkCounters::most_references; ++i) {
    registry.add(prefix + "walk_references." + std::to_string(i), w.by_references[i], "walks",
                 "that read so many paging-structure entries, at this privilege level");
  }
  for (unsigned d = 0; d < WalkCounters::dimensions; ++d) {
    for (unsigned level = 1; level < WalkCounters::table_levels; ++level) {
      const WalkCounters::AtLevel& at = w.at[d][level];
      const std::string base = prefix + "walk.dim" + std::to_string(d + 1) + level_name(level);
      registry.add(base + ".references", at.references, "references",
                   "to entries of this level, at this privilege level");
      registry.add(base + ".cycles", at.cycles, "cycles", "of these references, at this privilege level");
    }
  }
}

void TimingStatistics::register_all_walks(StatRegistry& registry, const std::string& prefix) const {
  const auto add = [&](const std::string& name, auto read, const char* unit, const char* description) {
    registry.add_count(
        prefix + name,
        [this, read]() -> u64 {
          u64 sum = 0;
          for (const WalkCounters& w : walks_) sum += read(w);
          return sum;
        },
        unit, description);
  };
  for (unsigned level = 1; level < WalkCounters::table_levels; ++level) {
    add(
        "walks.first" + level_name(level), [level](const WalkCounters& w) { return w.by_first_level[level]; }, "walks",
        "whose first reference was to an entry of this level");
    add(
        "walks.last" + level_name(level), [level](const WalkCounters& w) { return w.by_last_level[level]; }, "walks",
        "whose last reference to the guest's tables was of this level: 1 is a 4 KiB page, 2 is 2 or 4 MiB, 3 is 1 GiB");
    for (unsigned d = 0; d < WalkCounters::dimensions; ++d) {
      const std::string base = "walk.dim" + std::to_string(d + 1) + level_name(level);
      add(
          base + ".references", [d, level](const WalkCounters& w) { return w.at[d][level].references; }, "references",
          "to paging-structure entries of this level");
      add(
          base + ".cycles", [d, level](const WalkCounters& w) { return w.at[d][level].cycles; }, "cycles",
          "of these references and of setting A and D");
      for (unsigned i = 0; i < levels; ++i) {
        add(
            base + ".found." + lower(level_names[i]),
            [d, level, i](const WalkCounters& w) { return w.at[d][level].found[i]; }, "references",
            "to entries of this level that were found there");
      }
    }
  }
}

}  // namespace bunshin
