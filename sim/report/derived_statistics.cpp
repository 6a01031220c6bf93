#include "sim/report/derived_statistics.h"

#include <array>

#include <fmt/format.h>

#include "core/timing/run_counters.h"
#include "mmu/memory/request_kind.h"

namespace bunshin {

namespace {

constexpr std::string_view length_of_run = "sim.cycles";

double ratio(double part, double whole) { return whole == 0 ? 0.0 : part / whole; }

class Derivation {
 public:
  explicit Derivation(StatMap& stats, std::string prefix) : stats_(stats), prefix_(std::move(prefix)) {}

  void run() {
    RunCounters all;
    // A region names what moved only; the whole run knows how many cores there are.
    unsigned core = 0;
    for (; stats_.contains(fmt::format("core{}.timing.instructions", core)); ++core) {
      const RunCounters whole = counters(core, "");
      all += whole;
      describe(fmt::format("core{}.timing.", core), whole);
      for (const std::string_view privilege : privilege_names) {
        const std::string dotted = std::string(privilege) + ".";
        if (!stats_.contains(fmt::format("core{}.timing.{}instructions", core, dotted))) continue;
        describe(fmt::format("core{}.timing.{}", core, dotted), counters(core, dotted));
      }
    }
    if (core == 0) return;
    describe("timing.", all);
    memory();
    prefetchers();
  }

 private:
  double value(const std::string& name) const {
    const auto found = stats_.find(prefix_ + name);
    if (found == stats_.end()) return 0;
    if (const u64* count = std::get_if<u64>(&found->second.value)) return static_cast<double>(*count);
    const double* number = std::get_if<double>(&found->second.value);
    return number == nullptr ? 0 : *number;
  }
  u64 count(const std::string& name) const { return static_cast<u64>(value(name)); }
  void add(const std::string& name, std::variant<u64, double, std::string> v, const char* unit, const char* text) {
    stats_.insert_or_assign(prefix_ + name, StatValue{std::move(v), unit, text});
  }

  RunCounters counters(unsigned core, const std::string& privilege) const {
    const std::string base = fmt::format("core{}.timing.{}", core, privilege);
    RunCounters c;
    for (unsigned i = 0; i < cycle_causes; ++i)
      c.account.cycles[i] = count(base + "cycles." + std::string(cycle_cause_names[i]));
    for (unsigned i = 0; i < run_counts; ++i) c.counts[i] = count(base + std::string(run_count_names[i].name));
    if (!privilege.empty()) return c;
    // The caches count for the core as a whole themselves.
    constexpr std::array<std::pair<RunCount, const char*>, 4> caches{{{RunCount::L1iMisses, "l1i"},
                                                                      {RunCount::L1dMisses, "l1d"},
                                                                      {RunCount::L2Misses, "l2"},
                                                                      {RunCount::L3Misses, "l3"}}};
    for (const auto& [counter, name] : caches) {
      for (const AccessClass k : {AccessClass::Load, AccessClass::Store, AccessClass::Fetch, AccessClass::Walk})
        c[counter] +=
            count(fmt::format("cache.core{}.{}.misses.{}", core, name, access_class_names[static_cast<unsigned>(k)]));
    }
    return c;
  }

  void describe(const std::string& base, const RunCounters& c) {
    const u64 total = c.account.total();
    const auto active = static_cast<double>(total - c.account[CycleCause::Halted]);
    const auto number = [&c](RunCount n) { return static_cast<double>(c[n]); };
    const double instructions = number(RunCount::Instructions);
    const double thousands = instructions / 1000;
    const double translating = static_cast<double>(c.account[CycleCause::FetchWalk] + c.account[CycleCause::Tlb] +
                                                   c.account[CycleCause::Walk1] + c.account[CycleCause::Walk2]);
    add(base + "cycles", total, "cycles", "all causes together");
    add(base + "cpi", ratio(active, instructions), "cycles/instruction", "without halted time");
    add(base + "ipc", ratio(instructions, active), "instructions/cycle", "without halted time");
    add(base + "translation_share", ratio(translating, active), "",
        "share of the time, without halted time, that translation took (tlb, fetch_walk, walk_dim1, walk_dim2)");
    add(base + "mpki.branch", ratio(number(RunCount::Mispredicted), thousands), "per 1000 instructions",
        "mispredictions");
    add(base + "mpki.l1i", ratio(number(RunCount::L1iMisses), thousands), "per 1000 instructions", "misses");
    add(base + "mpki.l1d", ratio(number(RunCount::L1dMisses), thousands), "per 1000 instructions", "misses");
    add(base + "mpki.l2", ratio(number(RunCount::L2Misses), thousands), "per 1000 instructions", "misses");
    add(base + "mpki.l3", ratio(number(RunCount::L3Misses), thousands), "per 1000 instructions", "misses");
    add(base + "mpki.tlb_first_level", ratio(number(RunCount::SecondLevelTlb) + number(RunCount::Walks), thousands),
        "per 1000 instructions", "misses of the first-level TLBs");
    add(base + "mpki.tlb_second_level", ratio(number(RunCount::Walks), thousands), "per 1000 instructions",
        "walks: misses of the second-level TLB too");
    add(base + "references_per_walk", ratio(number(RunCount::WalkReferences), number(RunCount::Walks)),
        "references/walk", "paging-structure entries that a walk read on average");
    add(base + "cycles_per_walk", ratio(number(RunCount::WalkCycles), number(RunCount::Walks)), "cycles/walk",
        "that a walk took on average");
    add(base + "branch_miss_rate", ratio(number(RunCount::Mispredicted), number(RunCount::Branches)), "",
        "share of the branches that were mispredicted");
  }

  void memory() {
    const double reads =
        value("cache.dram.row_hits") + value("cache.dram.row_misses") + value("cache.dram.row_conflicts");
    add("cache.dram.row_hit_rate", ratio(value("cache.dram.row_hits"), reads), "",
        "share of the reads that found their row open");
    // A region has no seconds of its own; the clock is the same.
    const auto whole = [this](const char* name) {
      const auto found = stats_.find(name);
      if (found == stats_.end()) return 0.0;
      const u64* c = std::get_if<u64>(&found->second.value);
      return c != nullptr ? static_cast<double>(*c) : std::get<double>(found->second.value);
    };
    const double seconds = value(std::string(length_of_run)) * ratio(whole("sim.seconds"), whole("sim.cycles"));
    const double bytes = (value("cache.dram.reads") + value("cache.dram.writes")) * static_cast<double>(line_bytes);
    add("cache.dram.bandwidth", ratio(bytes, seconds), "bytes/s", "read and written, of simulated time");
  }

  void prefetchers() {
    constexpr std::string_view ending = ".prefetches";
    std::vector<std::string> caches;
    for (const auto& [name, stat] : stats_) {
      if (name.starts_with(prefix_ + "cache.") && name.ends_with(ending))
        caches.push_back(name.substr(prefix_.size(), name.size() - prefix_.size() - ending.size()));
    }
    for (const std::string& cache : caches) {
      const double used = value(cache + ".prefetches_useful") + value(cache + ".prefetches_late");
      add(cache + ".prefetch_accuracy", ratio(used, value(cache + ".prefetches")), "",
          "share of the prefetched lines that were used, in time or late");
    }
  }

  StatMap& stats_;
  std::string prefix_;
};

}  // namespace

std::vector<std::string> statistics_scopes(const StatMap& stats) {
  std::vector<std::string> scopes;
  for (const auto& [name, stat] : stats) {
    if (!name.ends_with(length_of_run)) continue;
    const std::string prefix = name.substr(0, name.size() - length_of_run.size());
    if (prefix.empty()) scopes.insert(scopes.begin(), prefix);
    if (prefix.ends_with('.')) scopes.push_back(prefix);
  }
  return scopes;
}

void add_derived_statistics(StatMap& stats) {
  for (const std::string& scope : statistics_scopes(stats)) Derivation(stats, scope).run();
}

}  // namespace bunshin
